//! Where a host is, who logs in there, and by which keys it is known.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{HashAlg, PrivateKey, PublicKey, load_secret_key};

use super::error::SshError;

/// The port that `known_hosts` files leave out.
pub const SSH_PORT: u16 = 22;

/// How long each stage of a connection may take, unless a site says otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// One sshd, and how to log in there.
#[derive(Debug, Clone)]
pub struct Target {
    /// A name or an IP address, as it is recorded in `known_hosts`.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// What is tried, in this order.
    pub identities: Vec<Identity>,
    /// The keys that the host may show.
    pub known_hosts: HostKeys,
    /// The host whose sshd makes the TCP connection to this one.
    pub jump: Option<Box<Target>>,
    /// The most that each stage (reach, agree on keys, log in) may take.
    pub connect_timeout: Duration,
}

/// The keys by which hosts are known.
#[derive(Debug, Clone)]
pub enum HostKeys {
    /// A file in the form of OpenSSH's `known_hosts`. A missing one knows no host.
    File(PathBuf),
    /// The keys of this one host that a person has just confirmed and that no file has yet.
    Confirmed(Vec<PublicKey>),
}

/// What proves who we are.
#[derive(Clone)]
pub enum Identity {
    /// A private key.
    Key {
        /// The file it was read from.
        path: PathBuf,
        /// The key.
        key: Arc<PrivateKey>,
    },
    /// Whatever the agent behind this socket holds.
    Agent(PathBuf),
}

impl Target {
    /// Host and port, for texts.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.address, self.port)
    }
}

impl Identity {
    /// Reads a key file. Opening an encrypted one costs its key derivation, so this is done once, not for each connection.
    pub fn from_file(path: &Path, passphrase: Option<&str>) -> Result<Self, SshError> {
        Ok(Self::Key { path: path.to_owned(), key: Arc::new(read_key(path, passphrase)?) })
    }
}

/// A private key of a kind that can be used.
pub(super) fn read_key(path: &Path, passphrase: Option<&str>) -> Result<PrivateKey, SshError> {
    let key = load_secret_key(path, passphrase)
        .map_err(|source| SshError::KeyFile { path: path.to_owned(), source: Box::new(source) })?;
    match key.algorithm().is_rsa() {
        true => Err(SshError::RsaKeyFile { path: path.to_owned() }),
        false => Ok(key),
    }
}

/// Says which key, never the key.
impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { path, key } => {
                write!(out, "Key({}, {})", path.display(), key.public_key().fingerprint(HashAlg::Sha256))
            }
            Self::Agent(socket) => write!(out, "Agent({})", socket.display()),
        }
    }
}

impl From<PathBuf> for HostKeys {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// Host and port as a person would type them.
pub(crate) fn place(address: &str, port: u16) -> String {
    match (port, address.contains(':')) {
        (SSH_PORT, _) => address.to_owned(),
        (_, true) => format!("[{address}]:{port}"),
        (_, false) => format!("{address}:{port}"),
    }
}
