//! Addresses on the web: `https://chat.example.org/hook`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::host::HostAddress;
use crate::report::quoted;
use crate::values::{Refusal, Written};

/// A URL of the web. What stands behind its host may be a secret, as with the robots of chat services, and is not shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    written: String,
    /// Where the host and its port end.
    origin_end: usize,
}

const HTTPS: &str = "https://";
const HTTP: &str = "http://";
/// What servers take.
const URL_BYTES_MAX: usize = 2048;

impl Url {
    /// All of it, for the call.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Scheme, host and port: what may be shown.
    pub fn origin(&self) -> &str {
        &self.written[..self.origin_end]
    }
}

impl FromStr for Url {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let Parts { scheme, authority, host } = parts(text)?;
        if scheme == HTTP && !is_this_machine(&host) {
            let reason = format!("the URL {} would be sent unencrypted", shown(text));
            return Err(Refusal::new(reason, "write https://; only this machine itself is reached by http://"));
        }
        Ok(Self { written: text.to_owned(), origin_end: scheme.len() + authority.len() })
    }
}

/// The beginning of a URL.
pub(crate) struct Parts<'u> {
    scheme: &'static str,
    /// The host and its port.
    authority: &'u str,
    host: String,
}

/// Refuses what cannot be called, or has a secret where everybody sees it.
pub(crate) fn parts(text: &str) -> Result<Parts<'_>, Refusal> {
    let refuse = |why: &str, remedy: &str| Err(Refusal::new(format!("the URL {} {why}", shown(text)), remedy));
    let whole = "write all of it, such as https://chat.example.org/hook";
    let (scheme, rest) = match (text.strip_prefix(HTTPS), text.strip_prefix(HTTP)) {
        (Some(rest), _) => (HTTPS, rest),
        (_, Some(rest)) => (HTTP, rest),
        _ => return refuse("does not begin with https://", whole),
    };
    if text.len() > URL_BYTES_MAX || text.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
        let remedy = format!("write up to {URL_BYTES_MAX} characters of ASCII, and others by % and two digits");
        return refuse("is too long, or has blanks or other characters that no URL has", &remedy);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return refuse("has a user in it", "take it out; a secret goes into a file, named by `secret-file:`");
    }
    if rest.contains('#') {
        return refuse("has a part behind #, which is never sent", "take it out");
    }
    let Some(host) = host(authority) else { return refuse("has no host, or no valid one", whole) };
    Ok(Parts { scheme, authority, host })
}

/// The host of `host`, `host:port`, `[address]` or `[address]:port`.
pub(crate) fn host(authority: &str) -> Option<String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    port.map_or(Some(1), |port| port.parse::<u16>().ok()).filter(|port| *port > 0)?;
    host.parse::<HostAddress>().ok().map(|_| host.to_owned())
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// As much of a text as can be no secret.
fn shown(text: &str) -> String {
    let begin = text.find("://").map_or(0, |at| at + 3);
    let end = text[begin..].find(['/', '?']).map_or(text.len(), |at| begin + at);
    quoted(if text[..end].contains('@') { &text[..begin] } else { &text[..end] })
}

impl Written for Url {
    const WHAT: &'static str = "a URL such as https://chat.example.org/hook";
    const CODE: Code = Code::BadUrl;
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.origin())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Url({self}…)")
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
