//! `sftp://user@host:port/absolute/path`, and `gateway://` in the same way.

use std::fmt;
use std::num::NonZeroU16;

use super::{encoded, percent_decoded};
use crate::store::StoreError;

/// The port of sshd where none is named.
const PORT: NonZeroU16 = NonZeroU16::new(22).expect("22 is not 0");

/// Who serves a folder of another machine; both speak SFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServedBy {
    /// The SFTP program of its sshd: `sftp://`.
    Sshd,
    /// A worker, `strongroom-worker store FOLDER`: `gateway://`.
    Worker,
}

impl ServedBy {
    fn scheme(self) -> &'static str {
        match self {
            Self::Sshd => "sftp://",
            Self::Worker => "gateway://",
        }
    }
}

/// A folder of another machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SftpPlace {
    served_by: ServedBy,
    user: Option<String>,
    host: String,
    port: NonZeroU16,
    folder: String,
}

impl SftpPlace {
    /// Who serves it.
    #[must_use]
    pub fn served_by(&self) -> ServedBy {
        self.served_by
    }

    /// Who logs in there; none for whoever runs the program.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The machine's name or address, without the brackets of IPv6.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port of its sshd.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.get()
    }

    /// The folder, from `/` on, without a slash at its end.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let malformed = || StoreError::MalformedSftp;
        let served_by = [ServedBy::Sshd, ServedBy::Worker].into_iter().find(|by| url.starts_with(by.scheme()));
        let served_by = served_by.ok_or_else(malformed)?;
        let rest = &url[served_by.scheme().len()..];
        let (authority, path) = rest.split_once('/').ok_or_else(malformed)?;
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(StoreError::CredentialsInLocation),
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (host, port) = host_and_port(host).ok_or_else(malformed)?;
        let is_valid = user.is_none_or(is_user) && is_host(host);
        let folder = folder(path).filter(|_| is_valid).ok_or_else(malformed)?;
        Ok(Self { served_by, user: user.map(Into::into), host: host.into(), port, folder })
    }
}

fn host_and_port(text: &str) -> Option<(&str, NonZeroU16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    match port.strip_prefix(':') {
        Some(port) => Some((host, port.parse().ok()?)),
        None if port.is_empty() => Some((host, PORT)),
        None => None,
    }
}

fn is_user(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._$".contains(&byte);
    !text.is_empty() && !text.starts_with('-') && text.bytes().all(allowed)
}

fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
    !text.is_empty() && !text.starts_with('-') && text.bytes().all(allowed)
}

/// The decoded path without doubled slashes. Names travel as text on this wire, so others are refused.
fn folder(path: &str) -> Option<String> {
    let text = String::from_utf8(percent_decoded(path.as_bytes())?).ok()?;
    let components: Vec<&str> = text.split('/').filter(|component| !component.is_empty()).collect();
    let is_plain = components.iter().all(|&component| component != "." && component != "..");
    is_plain.then(|| format!("/{}", components.join("/")))
}

impl fmt::Display for SftpPlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.served_by.scheme())?;
        if let Some(user) = &self.user {
            write!(out, "{user}@")?;
        }
        if self.host.contains(':') { write!(out, "[{}]", self.host) } else { out.write_str(&self.host) }?;
        if self.port != PORT {
            write!(out, ":{}", self.port)?;
        }
        out.write_str(&encoded(self.folder.as_bytes()))
    }
}
