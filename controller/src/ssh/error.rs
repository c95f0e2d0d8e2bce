//! What can go wrong on the way to a host, and whose turn it is then.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use russh::keys::{HashAlg, PublicKey};
use thiserror::Error;

/// Why a host could not be reached or did not do what was asked. `place` is host and port. The sources are boxed because they are long, and this stands in every
/// result.
#[derive(Debug, Error)]
pub enum SshError {
    /// No TCP connection.
    #[error("{place} cannot be reached")]
    Unreachable { place: String, source: io::Error },
    /// The jump host is there, but not what is behind it.
    #[error("{place} cannot be reached from its jump host {jump}")]
    UnreachableBehind { place: String, jump: String, source: Box<russh::Error> },
    /// The jump host is there, and does not lead there.
    #[error(
        "the jump host {jump} does not connect this login to {place}; the key there needs `port-forwarding`, and its account a `PermitOpen` for {place} if it has any"
    )]
    RefusedBehind { place: String, jump: String, source: Box<russh::Error> },
    /// The way ends at the jump host. Its own error tells why, and what it means.
    #[error("the jump host {jump} cannot be passed")]
    Jump { jump: String, source: Box<SshError> },
    /// It took too long.
    #[error("{place} took more than {} s to {doing}", after.as_secs_f32())]
    TimedOut { place: String, doing: &'static str, after: Duration },
    /// There was a connection, and it ended.
    #[error("the link to {place} was lost")]
    Lost { place: String, source: Option<Box<russh::Error>> },
    /// The host has no room for another channel now.
    #[error("{place} does not open another channel")]
    Busy { place: String, source: Box<russh::Error> },

    /// No key of this host is recorded.
    #[error(
        "{place} is not known: it shows {seen}, and {file} has no key of it{}; compare the fingerprint with the host's own, then record it with `strongroom host add`",
        UnreadLines(unread)
    )]
    UnknownHost { place: String, seen: ShownKey, file: String, unread: Box<[usize]> },
    /// Other keys are recorded.
    #[error(
        "the host key of {place} has changed: it shows {seen}, but recorded is {}; if the host was installed anew, confirm its key with `strongroom host add`, else something else answers at its address",
        Listed(recorded)
    )]
    ChangedKey { place: String, seen: ShownKey, recorded: Vec<RecordedKey> },
    /// This very key must not be used any more.
    #[error("the host key of {place} is revoked: it shows {seen}, which {revoked} forbids")]
    RevokedKey { place: String, seen: ShownKey, revoked: String },
    /// A recorded authority signed it, but it is not valid.
    #[error("{place} shows a host certificate ({seen}) that is not valid: {reason}")]
    BadCertificate { place: String, seen: ShownKey, reason: String },
    /// It no longer has a key of any recorded kind.
    #[error("{place} shows no host key of a recorded kind; recorded is {}", Listed(recorded))]
    NoRecordedKind { place: String, recorded: Vec<RecordedKey>, source: Box<russh::Error> },
    /// Only RSA keys or the like are recorded.
    #[error(
        "what is recorded for {place} is of no kind that this program checks: {}; record its Ed25519 or ECDSA key with `strongroom host add`",
        Listed(recorded)
    )]
    UncheckedKind { place: String, recorded: Vec<RecordedKey> },
    /// It has only such keys.
    #[error("{place} shows neither an Ed25519 nor an ECDSA host key")]
    NoCheckedKind { place: String },
    /// It shows a key without holding its secret half.
    #[error("{place} cannot sign with the host key that it shows")]
    BadHostSignature { place: String, source: Box<russh::Error> },
    /// No common algorithms.
    #[error("{place} shares no algorithms with this program")]
    NoAgreement { place: String, source: Box<russh::Error> },
    /// The file of host keys.
    #[error("{} cannot be read", path.display())]
    KnownHosts { path: PathBuf, source: io::Error },
    /// A line that forbids a key must not be skipped.
    #[error("{}:{line}: this @revoked line cannot be understood", path.display())]
    RevokedLine { path: PathBuf, line: usize },

    /// No key was accepted.
    #[error("{place} lets nobody in as {user} with {}", Tried(tried))]
    LoginRefused { place: String, user: String, tried: Vec<String> },
    /// Our own key.
    #[error("the key file {} cannot be used", path.display())]
    KeyFile { path: PathBuf, source: Box<russh::keys::Error> },
    /// Our own key.
    #[error("the key file {} is an RSA key, which this program does not use; make an Ed25519 key", path.display())]
    RsaKeyFile { path: PathBuf },
    /// Our own key, on disk.
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Our own certificate.
    #[error("{} is the certificate of another key than {}", path.display(), key.display())]
    OtherCertificate { path: PathBuf, key: PathBuf },
    /// The agent.
    #[error("the SSH agent at {} does not answer", socket.display())]
    Agent { socket: PathBuf, source: Box<russh::keys::Error> },
    /// The agent's answer to a login.
    #[error("the SSH agent at {} cannot sign", socket.display())]
    AgentSignature { socket: PathBuf, source: Box<russh::AgentAuthError> },

    /// sshd said no to something other than a login.
    #[error("{place} refuses {what}")]
    Refused { place: String, what: &'static str, source: Option<Box<russh::Error>> },
    /// The command is not there.
    #[error("no worker is installed on {place}: {}", Heard(said))]
    NoWorker { place: String, said: String },
    /// The command is there and ended at once.
    #[error("the worker on {place} does not serve: {}", Heard(said))]
    WorkerDown { place: String, said: String },
    /// Something else answered.
    #[error("{place} answered {heard:?} instead of the worker's greeting{}", Also(said))]
    NoGreeting { place: String, heard: String, said: String },
    /// It is a worker that speaks otherwise.
    #[error(
        "the worker on {place} greets with version {version}; this program knows version {}",
        super::greeting::VERSION
    )]
    OtherGreeting { place: String, version: String },
    /// More than anybody wants to hold.
    #[error("a command on {place} printed more than {most_bytes} bytes")]
    TooMuchOutput { place: String, most_bytes: usize },
    /// A file did not get there.
    #[error("{path} cannot be written on {place}: {reason}")]
    Upload { place: String, path: String, reason: String },
    /// Our side of an upload.
    #[error("what is to be copied to {place} cannot be read")]
    UploadSource { place: String, source: io::Error },
}

/// What an error means for whoever called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SshErrorKind {
    /// Nothing answers there now.
    Unreachable,
    /// It was there and is gone, or has no room.
    Lost,
    /// It took too long.
    TimedOut,
    /// sshd is there, and the worker's daemon is not yet, or not now.
    WorkerDown,
    /// Its identity is in doubt.
    HostKey,
    /// It does not let us in, or not do that.
    Refused,
    /// There is none, or something else in its place.
    NoWorker,
    /// Our own files.
    Local,
    /// A file or a command on the host.
    Host,
}

impl SshErrorKind {
    /// Whether the same may work later with nobody doing anything. Otherwise it is a person's turn.
    #[must_use]
    pub fn retry(self) -> bool {
        matches!(self, Self::Unreachable | Self::Lost | Self::TimedOut | Self::WorkerDown)
    }
}

impl SshError {
    /// What it means.
    #[must_use]
    pub fn kind(&self) -> SshErrorKind {
        match self {
            Self::Unreachable { .. } | Self::UnreachableBehind { .. } => SshErrorKind::Unreachable,
            Self::Jump { source, .. } => source.kind(),
            Self::Lost { .. } | Self::Busy { .. } => SshErrorKind::Lost,
            Self::TimedOut { .. } => SshErrorKind::TimedOut,
            Self::WorkerDown { .. } => SshErrorKind::WorkerDown,
            Self::UnknownHost { .. }
            | Self::ChangedKey { .. }
            | Self::RevokedKey { .. }
            | Self::BadCertificate { .. }
            | Self::NoRecordedKind { .. }
            | Self::UncheckedKind { .. }
            | Self::NoCheckedKind { .. }
            | Self::BadHostSignature { .. } => SshErrorKind::HostKey,
            Self::LoginRefused { .. }
            | Self::Refused { .. }
            | Self::RefusedBehind { .. }
            | Self::NoAgreement { .. } => SshErrorKind::Refused,
            Self::NoWorker { .. } | Self::NoGreeting { .. } | Self::OtherGreeting { .. } => SshErrorKind::NoWorker,
            Self::KnownHosts { .. }
            | Self::RevokedLine { .. }
            | Self::KeyFile { .. }
            | Self::RsaKeyFile { .. }
            | Self::OtherCertificate { .. }
            | Self::Write { .. }
            | Self::Agent { .. }
            | Self::AgentSignature { .. }
            | Self::UploadSource { .. } => SshErrorKind::Local,
            Self::TooMuchOutput { .. } | Self::Upload { .. } => SshErrorKind::Host,
        }
    }

    /// Whether the same may work later with nobody doing anything.
    #[must_use]
    pub fn retry(&self) -> bool {
        self.kind().retry()
    }

    /// The link ended, for a reason or without one.
    pub(crate) fn lost(place: &str, source: impl Into<Option<russh::Error>>) -> Self {
        Self::Lost { place: place.to_owned(), source: source.into().map(Box::new) }
    }
}

/// A host key as a host shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownKey {
    /// Such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

impl ShownKey {
    /// Of this key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self { algorithm: key.algorithm().to_string(), fingerprint: key.fingerprint(HashAlg::Sha256).to_string() }
    }
}

impl fmt::Display for ShownKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.algorithm, self.fingerprint)
    }
}

/// A host key and where it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedKey {
    /// The key.
    pub key: ShownKey,
    /// File and line.
    pub at: String,
}

impl fmt::Display for RecordedKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.key, self.at)
    }
}

struct Listed<'a>(&'a [RecordedKey]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            write!(out, "{}{key}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

struct UnreadLines<'a>(&'a [usize]);

impl fmt::Display for UnreadLines<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            [line] => write!(out, " (its line {line} cannot be understood)"),
            [line, rest @ ..] => write!(out, " (its line {line} and {} more cannot be understood)", rest.len()),
        }
    }
}

struct Tried<'a>(&'a [String]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => out.write_str("no key: none was given, and the agent holds none"),
            tried => out.write_str(&tried.join(", ")),
        }
    }
}

/// What somebody printed, or that nobody did.
struct Heard<'a>(&'a str);

impl fmt::Display for Heard<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.trim() {
            "" => out.write_str("its command ended without a word"),
            said => write!(out, "{said:?}"),
        }
    }
}

struct Also<'a>(&'a str);

impl fmt::Display for Also<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.trim() {
            "" => Ok(()),
            said => write!(out, ", and wrote {said:?}"),
        }
    }
}
