//! The controller's own key pair: made once, kept in one file that its owner alone may read.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::rand;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::error::SshError;
use super::target::{Identity, read_key};
use crate::durable;

/// What hosts see behind the key in their `authorized_keys`.
const COMMENT: &str = "strongroom";
const OWNER_ONLY: u32 = 0o600;

/// A key pair that is on disk.
#[derive(Debug, Clone)]
pub struct ControllerKey {
    path: PathBuf,
    key: Arc<PrivateKey>,
    public_line: String,
}

impl ControllerKey {
    /// To log in with.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Key { path: self.path.clone(), key: Arc::clone(&self.key) }
    }

    /// What hosts get.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        self.key.public_key()
    }

    /// The same as one line for `authorized_keys`, without a comment.
    #[must_use]
    pub fn public_line(&self) -> &str {
        &self.public_line
    }

    /// `SHA256:…`
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.public().fingerprint(HashAlg::Sha256).to_string()
    }
}

/// The key pair in this file, which is made if there is none. An existing one is never replaced: every host knows it.
pub async fn ensure_key(path: &Path) -> Result<ControllerKey, SshError> {
    if !tokio::fs::try_exists(path).await.map_err(unwritable(path))? {
        make(path).await?;
    }
    // A file that others could read is repaired, and not refused: the key is in use on every host, and nobody is helped by backups that stop.
    tokio::fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY)).await.map_err(unwritable(path))?;
    let key = Arc::new(read_key(path, None)?);
    let public = PublicKey::from(key.public_key().key_data().clone());
    let public_line = public
        .to_openssh()
        .map_err(|source| SshError::KeyFile { path: path.to_owned(), source: Box::new(source.into()) })?;
    Ok(ControllerKey { path: path.to_owned(), key, public_line: public_line.trim_end().to_owned() })
}

async fn make(path: &Path) -> Result<(), SshError> {
    let key_error = |source: russh::keys::ssh_key::Error| SshError::KeyFile {
        path: path.to_owned(),
        source: Box::new(source.into()),
    };
    let mut seed = Zeroizing::new([0; Ed25519PrivateKey::BYTE_SIZE]);
    rand::fill(seed.as_mut_slice()).map_err(|error| unwritable(path)(std::io::Error::other(error)))?;
    let key = PrivateKey::new(Ed25519Keypair::from_seed(&seed).into(), COMMENT).map_err(key_error)?;
    let text = key.to_openssh(LineEnding::LF).map_err(key_error)?;
    match durable::create(path, text.as_bytes(), OWNER_ONLY).await {
        // Somebody else's first: theirs is as good.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        written => written.map_err(unwritable(path)),
    }
}

fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> SshError {
    let path = path.to_owned();
    move |source| SshError::Write { path: path.clone(), source }
}
