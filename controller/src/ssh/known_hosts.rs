//! What a `known_hosts` file says about a host's key.
//!
//! OpenSSH's format and its rules, with three deliberate differences, all on the strict side: a host on another port than 22 is known by its `[host]:port`
//! alone, not also by its bare name; a key of a kind that is not recorded counts as changed when keys of other kinds are; and a `@revoked` line that cannot be
//! understood is an error, because skipping it would accept what it forbids. Any other such line is skipped: that can only make a host unknown.
//!
//! Pure: [`lines`] plans what a file should say, [`crate::durable`] writes it.

mod lines;
mod names;

use std::path::{Path, PathBuf};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::known_hosts::HostPatterns;
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey};

use super::error::{RecordedKey, ShownKey, SshError};
use super::target::HostKeys;
pub use lines::{forget, record};
pub use names::Name;

/// The kinds of host key that are checked, best first.
pub(super) const CHECKED: [Algorithm; 4] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
];

/// The lines of one file.
#[derive(Debug, Clone)]
pub struct KnownHosts {
    path: PathBuf,
    lines: Vec<Line>,
    unread: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Line {
    /// From 1; 0 for a key that no file has yet.
    number: usize,
    mark: Mark,
    hosts: HostPatterns,
    key: PublicKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Key,
    Authority,
    Revoked,
}

/// What is known of a key that a host shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is recorded for this host.
    Trusted,
    /// Nothing is recorded for this host.
    Unknown,
    /// Only other keys are.
    Changed(Vec<RecordedKey>),
    /// It must not be used; file and line.
    Revoked(String),
    /// A recorded authority signed it for something else, or for another time.
    BadCertificate(String),
}

impl KnownHosts {
    /// Reads a file's text. `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SshError> {
        let mut known = Self { path: path.to_owned(), lines: Vec::new(), unread: Vec::new() };
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            match Line::parse(number, line) {
                Ok(Some(line)) => known.lines.push(line),
                Ok(None) => {}
                Err(Mark::Revoked) => return Err(SshError::RevokedLine { path: known.path, line: number }),
                Err(_) => known.unread.push(number),
            }
        }
        Ok(known)
    }

    /// Reads what a target is known by.
    pub(super) async fn load(keys: &HostKeys, name: &Name) -> Result<Self, SshError> {
        match keys {
            HostKeys::File(path) => {
                let text = crate::durable::read(path).await;
                let text = text.map_err(|source| SshError::KnownHosts { path: path.clone(), source })?;
                Self::parse(path, &String::from_utf8_lossy(&text.unwrap_or_default()))
            }
            HostKeys::Confirmed(keys) => Ok(Self::confirmed(keys, name)),
        }
    }

    fn confirmed(keys: &[PublicKey], name: &Name) -> Self {
        let line = |key: &PublicKey| Line {
            number: 0,
            mark: Mark::Key,
            hosts: HostPatterns::Patterns(vec![name.as_str().to_owned()]),
            key: key.clone(),
        };
        Self { path: PathBuf::from("what was confirmed"), lines: keys.iter().map(line).collect(), unread: Vec::new() }
    }

    /// What is known of a plain key.
    #[must_use]
    pub fn judge(&self, name: &Name, key: &PublicKey) -> Verdict {
        if let Some(line) = self.revoked(name, key) {
            return Verdict::Revoked(self.at(line));
        }
        let mut recorded = self.of(name, Mark::Key).peekable();
        if recorded.peek().is_none() {
            return Verdict::Unknown;
        }
        match recorded.any(|line| line.key.key_data() == key.key_data()) {
            true => Verdict::Trusted,
            false => Verdict::Changed(self.recorded(name)),
        }
    }

    /// What is known of a certificate: the authority's key must be recorded, and the certificate be for this host and for now.
    #[must_use]
    pub fn judge_certificate(&self, name: &Name, certificate: &Certificate) -> Verdict {
        let authority = PublicKey::from(certificate.signature_key().clone());
        let own = PublicKey::from(certificate.public_key().clone());
        if let Some(line) = self.revoked(name, &own).or_else(|| self.revoked(name, &authority)) {
            return Verdict::Revoked(self.at(line));
        }
        if !self.of(name, Mark::Authority).any(|line| line.key.key_data() == authority.key_data()) {
            return match self.recorded(name) {
                recorded if recorded.is_empty() => Verdict::Unknown,
                recorded => Verdict::Changed(recorded),
            };
        }
        match invalid(certificate, &authority, name) {
            None => Verdict::Trusted,
            Some(reason) => Verdict::BadCertificate(reason),
        }
    }

    /// The kinds of plain key to ask this host for: those recorded, so that a host with keys of several kinds shows one that can be compared. All that are
    /// checked for an unknown host, which is then refused with the fingerprint that it shows.
    pub(super) fn kinds(&self, name: &Name) -> Vec<Algorithm> {
        match self.of(name, Mark::Key).next() {
            Some(_) => self.recorded_kinds(name),
            None if self.authorities(name) => Vec::new(),
            None => CHECKED.to_vec(),
        }
    }

    /// Whether an authority for this host is recorded, so that certificates are to be asked for.
    pub(super) fn authorities(&self, name: &Name) -> bool {
        self.of(name, Mark::Authority).next().is_some()
    }

    /// What is recorded for this host, its authorities among it.
    pub(super) fn recorded(&self, name: &Name) -> Vec<RecordedKey> {
        let recorded = |line: &Line| RecordedKey { key: ShownKey::of(&line.key), at: self.at(line) };
        self.of(name, Mark::Key).chain(self.of(name, Mark::Authority)).map(recorded).collect()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn unread(&self) -> &[usize] {
        &self.unread
    }

    fn recorded_kinds(&self, name: &Name) -> Vec<Algorithm> {
        let recorded = |kind: &Algorithm| self.of(name, Mark::Key).any(|line| line.key.algorithm() == *kind);
        CHECKED.into_iter().filter(recorded).collect()
    }

    fn revoked<'a>(&'a self, name: &'a Name, key: &PublicKey) -> Option<&'a Line> {
        self.of(name, Mark::Revoked).find(|line| line.key.key_data() == key.key_data())
    }

    fn of<'a>(&'a self, name: &'a Name, mark: Mark) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.mark == mark && name.is_in(&line.hosts))
    }

    fn at(&self, line: &Line) -> String {
        match line.number {
            0 => self.path.display().to_string(),
            number => format!("{}:{number}", self.path.display()),
        }
    }
}

impl Line {
    /// Nothing for a comment or an empty line; what kind of line it is if it cannot be understood.
    fn parse(number: usize, line: &str) -> Result<Option<Self>, Mark> {
        let mut words = line.split_ascii_whitespace().peekable();
        let mark = match words.peek() {
            None => return Ok(None),
            Some(word) if word.starts_with('#') => return Ok(None),
            Some(word) if word.starts_with('@') => words.next().and_then(Mark::of).ok_or(Mark::Key)?,
            Some(_) => Mark::Key,
        };
        let parsed = (|| {
            let (hosts, kind, key) = (words.next()?, words.next()?, words.next()?);
            let key = PublicKey::from_openssh(&format!("{kind} {key}")).ok()?;
            Some(Self { number, mark, hosts: hosts.parse().ok()?, key })
        })();
        parsed.map(Some).ok_or(mark)
    }
}

impl Mark {
    fn of(word: &str) -> Option<Self> {
        match word {
            "@cert-authority" => Some(Self::Authority),
            "@revoked" => Some(Self::Revoked),
            _ => None,
        }
    }
}

/// Why a certificate of a recorded authority is not good for this host now.
fn invalid(certificate: &Certificate, authority: &PublicKey, name: &Name) -> Option<String> {
    if certificate.cert_type() != CertType::Host {
        return Some("it is one for users, not for hosts".to_owned());
    }
    // One without names would be good for any host; OpenSSH came to refuse it too.
    if !certificate.valid_principals().iter().any(|principal| name.is_principal(principal)) {
        return Some(format!("it is for {:?}", certificate.valid_principals()));
    }
    let authority = authority.fingerprint(HashAlg::Sha256);
    certificate.validate([&authority]).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests;
