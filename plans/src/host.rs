//! A host of the site, and how it is reached.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::name::Name;
use crate::report::quoted;
use crate::schedule::Zone;
use crate::selector::NAME_KEY;
use crate::text::Span;
use crate::tree::Node;
use crate::values::{self, Refusal, Written};
use crate::words::Meaning;

/// A host of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    name: Name,
    address: HostAddress,
    port: u16,
    user: UserName,
    labels: BTreeMap<Name, Name>,
    jump: Option<Name>,
    jump_user: UserName,
    zone: Option<Zone>,
}

/// An IP address, or a name of the DNS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostAddress(String);

/// The account on a host to which the controller logs in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct UserName(String);

/// A host, and where it names another one.
#[derive(Debug)]
pub(crate) struct PlacedHost {
    pub(crate) host: Host,
    pub(crate) jump_span: Option<Span>,
}

/// Where sshd listens unless somebody moved it.
const SSH_PORT: u16 = 22;
/// The account that `host add` makes.
const USER: &str = "strongroom";
/// Not the same: the key there starts the worker and leads nowhere else, and one that may forward reaches every socket that its account can.
pub(crate) const JUMP_USER: &str = "strongroom-jump";
/// The longest name of the DNS.
const ADDRESS_BYTES_MAX: usize = 253;
/// What useradd takes.
const USER_BYTES_MAX: usize = 32;

static SHAPE: Shape = Shape {
    title: "a host",
    keys: &[
        ("address", Meaning::Now("10.0.0.5")),
        ("port", Meaning::Now("22")),
        ("user", Meaning::Now("strongroom")),
        ("labels", Meaning::Now("{ role: db, env: prod }")),
        ("jump", Meaning::Now("bastion")),
        ("jump-user", Meaning::Now("strongroom-jump")),
        ("zone", Meaning::Now("Asia/Shanghai")),
    ],
};

impl Host {
    /// Its name, unique within the site.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Where it is.
    pub fn address(&self) -> &HostAddress {
        &self.address
    }

    /// Where its sshd listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// To which account the controller logs in.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// What selectors go by.
    pub fn labels(&self) -> &BTreeMap<Name, Name> {
        &self.labels
    }

    /// The host of the site through which this one is reached.
    pub fn jump(&self) -> Option<&Name> {
        self.jump.as_ref()
    }

    /// To which account the controller logs in on its way to the hosts behind this one.
    pub fn jump_user(&self) -> &UserName {
        &self.jump_user
    }

    /// Its time zone, if it has another one than the site.
    pub fn zone(&self) -> Option<&TimeZone> {
        self.zone.as_ref().map(Zone::time_zone)
    }

    pub(crate) fn read(name: &Name, node: &Node, findings: &mut Findings<'_>) -> Option<PlacedHost> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let address = fields.required("address", findings, values::written);
        let port = fields.optional("port", findings, |node, findings| {
            values::count_up_to(node, u16::MAX.into(), findings).and_then(|port| u16::try_from(port.get()).ok())
        });
        let user = fields.optional("user", findings, values::written);
        let labels = match fields.node("labels") {
            Some(node) => read_labels(node, findings),
            None => Some(BTreeMap::new()),
        };
        let jump: Option<Name> = fields.optional("jump", findings, values::written);
        let jump_span = fields.node("jump").map(|node| node.span.clone()).filter(|_| jump.is_some());
        let jump_user = fields.optional("jump-user", findings, values::written);
        let zone = fields.optional("zone", findings, values::written);
        let host = Self {
            name: name.clone(),
            address: address?,
            port: port.unwrap_or(SSH_PORT),
            user: user.unwrap_or_else(|| UserName(USER.to_owned())),
            // Without its labels it would be a host that no selector means.
            labels: labels?,
            jump,
            jump_user: jump_user.unwrap_or_else(|| UserName(JUMP_USER.to_owned())),
            zone,
        };
        Some(PlacedHost { host, jump_span })
    }
}

fn read_labels(node: &Node, findings: &mut Findings<'_>) -> Option<BTreeMap<Name, Name>> {
    let labels = values::named(node, "`role: db`", findings, |key, node, findings| {
        if key.as_str() == NAME_KEY {
            let remedy = "call the label otherwise: `name=` selects a host by its name";
            findings.report(Code::BadName, &node.span, "a label cannot be called `name`", remedy);
        }
        values::written(node, findings)
    })?;
    labels.into_iter().map(|(key, value)| Some((key.parse().ok()?, value?))).collect()
}

impl HostAddress {
    /// The address as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UserName {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostAddress {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refuse = |why: &str, remedy: &str| Err(Refusal::new(format!("the address {} {why}", quoted(text)), remedy));
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        match text {
            _ if text.contains('@') => refuse("has a user in it", "write the user behind `user:`"),
            _ if text.starts_with('[') => refuse("is in brackets", "write an IPv6 address without brackets"),
            _ if text.contains(':') => {
                refuse("has a port in it, or is no IPv6 address", "write the port behind `port:`")
            }
            _ if is_dns_name(text) => Ok(Self(text.to_owned())),
            _ => {
                refuse("is no address", "write an IP address or a name of the DNS, such as 10.0.0.5 or db1.example.org")
            }
        }
    }
}

/// No label begins or ends with a hyphen, and the last is no number: `10.0.0` is an address that lacks its end.
fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let fits = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        (1..=63).contains(&label.len()) && fits && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= ADDRESS_BYTES_MAX && text.split('.').all(is_label) && !text.rsplit('.').next().is_none_or(is_number)
}

impl FromStr for UserName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let starts_well = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
        let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if starts_well && fits && text.len() <= USER_BYTES_MAX {
            return Ok(Self(text.to_owned()));
        }
        let remedy = format!("write up to {USER_BYTES_MAX} letters, digits, `-`, `_` and `.`, with a letter in front");
        Err(Refusal::new(format!("{} is no user of a host", quoted(text)), remedy))
    }
}

impl Written for HostAddress {
    const WHAT: &'static str = "an address such as 10.0.0.5";
    const CODE: Code = Code::BadAddress;
}

impl Written for UserName {
    const WHAT: &'static str = "a user such as strongroom";
    const CODE: Code = Code::BadAddress;
}

impl fmt::Display for HostAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for HostAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
