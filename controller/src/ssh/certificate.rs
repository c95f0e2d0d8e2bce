//! The certificate beside a key file, as OpenSSH names it: `ssh-key-cert.pub` for `ssh-key`.
//!
//! It is read for each login: certificates are good for hours, and a controller runs for months.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use russh::keys::{Certificate, PrivateKey};

use super::error::SshError;
use crate::durable;

/// The certificate of this key, if it has one.
pub(super) async fn beside(key_file: &Path, key: &PrivateKey) -> Result<Option<Certificate>, SshError> {
    let path = path(key_file);
    let unreadable = |source: russh::keys::Error| SshError::KeyFile { path: path.clone(), source: Box::new(source) };
    let Some(text) = durable::read(&path).await.map_err(|source| unreadable(source.into()))? else { return Ok(None) };
    let certificate = Certificate::from_openssh(&String::from_utf8_lossy(&text));
    let certificate = certificate.map_err(|source| unreadable(source.into()))?;
    match certificate.public_key() == key.public_key().key_data() {
        true => Ok(Some(certificate)),
        false => Err(SshError::OtherCertificate { path, key: key_file.to_owned() }),
    }
}

/// Where it would be.
pub(super) fn path(key_file: &Path) -> PathBuf {
    let mut path = OsString::from(key_file);
    path.push("-cert.pub");
    path.into()
}
