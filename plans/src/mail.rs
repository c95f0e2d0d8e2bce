//! Notices by mail: `smtp: { server: mail.example.org:587, from: strongroom@example.org, to: [ops@example.org] }`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::host::HostAddress;
use crate::name::Line;
use crate::report::quoted;
use crate::source_path::SourcePath;
use crate::tree::Node;
use crate::values::{self, Refusal, Written};
use crate::words::{self, Meaning, Word};

/// By which server, from whom, to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mail {
    server: MailServer,
    tls: MailTls,
    from: MailAddress,
    to: Vec<MailAddress>,
    login: Option<MailLogin>,
    ca_file: Option<SourcePath>,
}

/// A server and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    host: HostAddress,
    port: Option<u16>,
}

/// How the way to the server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTls {
    /// Begun in the clear, and then encrypted or given up.
    Starttls,
    /// Encrypted from the first byte.
    Tls,
    /// In the clear.
    None,
}

/// An address that mail is sent from or to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MailAddress(String);

/// Who sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MailLogin {
    /// The user.
    pub user: Line,
    /// A file with the password.
    pub password_file: SourcePath,
}

/// RFC 5321: 64 bytes before the @, 254 in all.
const LOCAL_BYTES_MAX: usize = 64;
const ADDRESS_BYTES_MAX: usize = 254;

static SHAPE: Shape = Shape {
    title: "`smtp`",
    keys: &[
        ("server", Meaning::Now("mail.example.org:587")),
        ("tls", Meaning::Now("starttls")),
        ("from", Meaning::Now("strongroom@example.org")),
        ("to", Meaning::Now("[ops@example.org]")),
        ("user", Meaning::Now("strongroom")),
        ("password-file", Meaning::Now("/etc/strongroom/mail-password")),
        ("ca-file", Meaning::Now("/etc/strongroom/ca.pem")),
    ],
};

static TLS: &[Word<MailTls>] = &[
    ("starttls", Meaning::Now(MailTls::Starttls)),
    ("tls", Meaning::Now(MailTls::Tls)),
    ("none", Meaning::Now(MailTls::None)),
];

impl Mail {
    /// The server's name or address.
    pub fn host(&self) -> &HostAddress {
        &self.server.host
    }

    /// The server's port; where none is given, the usual one of its protection.
    pub fn port(&self) -> u16 {
        self.server.port.unwrap_or(match self.tls {
            MailTls::Starttls => 587,
            MailTls::Tls => 465,
            MailTls::None => 25,
        })
    }

    /// How the way to the server is protected.
    pub fn tls(&self) -> MailTls {
        self.tls
    }

    /// From whom.
    pub fn from(&self) -> &MailAddress {
        &self.from
    }

    /// To whom; at least one.
    pub fn to(&self) -> &[MailAddress] {
        &self.to
    }

    /// Who sends, where the server asks.
    pub fn login(&self) -> Option<&MailLogin> {
        self.login.as_ref()
    }

    /// A file of certificates (PEM) that are trusted besides the system's.
    pub fn ca_file(&self) -> Option<&SourcePath> {
        self.ca_file.as_ref()
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let server = fields.required("server", findings, values::written);
        let tls = fields.optional("tls", findings, |node, findings| words::word(node, "protection", TLS, findings));
        let from = fields.required("from", findings, values::written);
        let to = fields.required("to", findings, |node, findings| {
            values::list(node, MailAddress::WHAT, findings, values::written)
        });
        let is_secret = fields.node("user").is_some() || fields.node("password-file").is_some();
        let login = is_secret.then(|| {
            let user = fields.required("user", findings, values::written);
            let password_file = fields.required("password-file", findings, values::written);
            Some(MailLogin { user: user?, password_file: password_file? })
        });
        let ca_file = fields.optional("ca-file", findings, values::written);
        let tls = tls.unwrap_or(MailTls::Starttls);
        if let Some(node) = fields.node("password-file").filter(|_| tls == MailTls::None) {
            let remedy = "write `tls: starttls` or `tls: tls`";
            findings.report(Code::OpenPassword, &node.span, "the password would be sent unencrypted", remedy);
        }
        let login = login.map_or(Some(None), |login| login.map(Some))?;
        Some(Self { server: server?, tls, from: from?, to: to?, login, ca_file })
    }
}

impl MailAddress {
    /// The address as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MailAddress {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let is_fit = |local: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
            local.len() <= LOCAL_BYTES_MAX && local.split('.').all(|part| !part.is_empty() && part.bytes().all(fits))
        };
        match text.rsplit_once('@') {
            Some((local, domain))
                if is_fit(local) && domain.parse::<HostAddress>().is_ok() && text.len() <= ADDRESS_BYTES_MAX =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Refusal::new(
                format!("{} is no address of mail", quoted(text)),
                "write one such as ops@example.org, without a name or brackets",
            )),
        }
    }
}

impl FromStr for MailServer {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        // An IPv6 address has colons of its own, and no port here.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (text, None),
        };
        let port = port.map(|port| port.parse().ok().filter(|port| *port > 0));
        match (host.parse(), port) {
            (Ok(host), None) => Ok(Self { host, port: None }),
            (Ok(host), Some(Some(port))) => Ok(Self { host, port: Some(port) }),
            _ => Err(Refusal::new(
                format!("{} is no server of mail", quoted(text)),
                "write its name or address, and its port, such as mail.example.org:587",
            )),
        }
    }
}

impl Written for MailAddress {
    const WHAT: &'static str = "an address such as ops@example.org";
    const CODE: Code = Code::BadAddress;
}

impl Written for MailServer {
    const WHAT: &'static str = "a server such as mail.example.org:587";
    const CODE: Code = Code::BadAddress;
}

impl fmt::Display for MailAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for MailServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(out, "{}:{port}", self.host),
            None => self.host.fmt(out),
        }
    }
}

impl Serialize for MailServer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
