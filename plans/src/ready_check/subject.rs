//! What checks look at, as plans write it.

use std::fmt;
use std::str::FromStr;

use crate::fault::Code;
use crate::report::quoted;
use crate::url;
use crate::values::{Refusal, Written};

/// A path in the directory to which was restored: `srv/www`, or `.` for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RestoredPath(String);

/// A unit of systemd: `billing.service`, or `billing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnitName(String);

/// A port of this machine or another one: `5432`, `db1:5432`, `[::1]:5432`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortPlace {
    written: String,
    /// Without brackets.
    host: Option<String>,
    port: u16,
}

/// Where a server says that it is well. Nothing secret is sent, so it need not be encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HealthUrl(String);

/// A statement of SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query(String);

/// As systemd has it.
const UNIT_BYTES_MAX: usize = 255;
/// Room for a join or two; what is longer belongs into a view of the database.
const QUERY_BYTES_MAX: usize = 4096;

impl PortPlace {
    /// A name or an address; none for this machine.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The number.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for RestoredPath {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refuse = |why: &str, remedy: &str| Err(Refusal::new(format!("the path {} {why}", quoted(text)), remedy));
        if text.starts_with('/') {
            let remedy = format!("write it without the slash: {}", text.trim_start_matches('/'));
            return refuse("would not be looked for where was restored", &remedy);
        }
        if text.is_empty() || text.chars().any(char::is_control) {
            return refuse("is empty or has control characters", "write one such as srv/www, or `.` for everything");
        }
        if text != "." && text.split('/').any(|part| part == "." || part == "..") {
            return refuse("has `.` or `..` in it", "write the path that it leads to, from the restored directory on");
        }
        // What begins like an option would be taken for one.
        Ok(Self(if text.starts_with('-') { format!("./{text}") } else { text.to_owned() }))
    }
}

impl FromStr for UnitName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let fits = |char: char| char.is_ascii_alphanumeric() || r":_.\@-".contains(char);
        if !text.is_empty() && text.len() <= UNIT_BYTES_MAX && text.chars().all(fits) && !text.starts_with('-') {
            return Ok(Self(text.to_owned()));
        }
        let remedy = "write one as `systemctl` lists them, such as billing.service";
        Err(Refusal::new(format!("{} is not the name of a unit", quoted(text)), remedy))
    }
}

impl FromStr for PortPlace {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (host, port) = text.rsplit_once(':').map_or((None, text), |(host, port)| (Some(host), port));
        let is_host = host.is_none() || url::host(text).is_some();
        match port.parse() {
            Ok(port) if port > 0 && is_host && !port_has_sign(text) => {
                let host = host.map(|host| host.trim_matches(['[', ']']).to_owned());
                Ok(Self { written: text.to_owned(), host, port })
            }
            _ => Err(Refusal::new(format!("{} is not a port", quoted(text)), "write 1 to 65535, or HOST:PORT")),
        }
    }
}

/// `+80` is a number to Rust, and nothing else's port.
fn port_has_sign(text: &str) -> bool {
    text.contains('+')
}

impl FromStr for HealthUrl {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        url::parts(text).map(|_| Self(text.to_owned()))
    }
}

impl FromStr for Query {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.trim().is_empty() || text.len() > QUERY_BYTES_MAX || text.contains('\0') {
            let remedy = format!("write one statement of up to {QUERY_BYTES_MAX} bytes");
            return Err(Refusal::new("the query is empty, too long, or has zero bytes", remedy));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Written for RestoredPath {
    const WHAT: &'static str = "a path in what was restored, such as srv/www";
    const CODE: Code = Code::BadPath;

    fn pattern() -> Option<String> {
        Some("^[^/]".to_owned())
    }
}

impl Written for UnitName {
    const WHAT: &'static str = "a unit such as billing.service";
    const CODE: Code = Code::BadName;
}

impl Written for PortPlace {
    const WHAT: &'static str = "a port such as 5432, or db1:5432";
    const CODE: Code = Code::BadAddress;
}

impl Written for HealthUrl {
    const WHAT: &'static str = "a URL such as http://127.0.0.1:8080/health";
    const CODE: Code = Code::BadUrl;

    fn pattern() -> Option<String> {
        Some("^https?://".to_owned())
    }
}

impl Written for Query {
    const WHAT: &'static str = "a query such as select count(*) from bookings";
    const CODE: Code = Code::BadText;
}

impl fmt::Display for RestoredPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for PortPlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.written)
    }
}

impl fmt::Display for HealthUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_a_host_or_are_of_this_machine() {
        let read = |text: &str| text.parse::<PortPlace>().ok().map(|place| (place.host, place.port));
        let of = |host: &str, port| Some((Some(host.to_owned()), port));
        assert_eq!(read("5432"), Some((None, 5432)));
        assert_eq!((read("db1:5432"), read("[::1]:80")), (of("db1", 5432), of("::1", 80)));
        for text in ["", "0", "65536", "+80", "db1", "db1:", ":80", "[::1]", "::1", "a b:80", "http://a:80"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn paths_stay_where_was_restored() {
        let read = |text: &str| text.parse::<RestoredPath>().ok().map(|path| path.0);
        assert_eq!((read("srv/www").as_deref(), read(".").as_deref()), (Some("srv/www"), Some(".")));
        assert_eq!(read("-x").as_deref(), Some("./-x"));
        for text in ["", "/srv", "..", "srv/../etc", "./srv", "a\nb"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
