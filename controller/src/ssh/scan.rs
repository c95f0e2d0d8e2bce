//! The keys that a host shows to anybody, for a person to compare with the host's own before anything is trusted. Nobody logs in.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::AlgorithmKind;
use russh::client::Handler;
use russh::keys::{Algorithm, PublicKey, PublicKeyOrCertificate};

use super::connection::Connection;
use super::dial::{base_config, jump, reach, within};
use super::error::SshError;
use super::known_hosts::CHECKED;
use super::target::{Target, place};

/// The host's keys, best kind first; never none. [`super::ShownKey::of`] gives their fingerprints.
pub async fn scan(
    address: &str,
    port: u16,
    through: Option<&Target>,
    patience: Duration,
) -> Result<Vec<PublicKey>, SshError> {
    let jump = jump(through).await?;
    let mut keys = Vec::new();
    for kind in CHECKED {
        keys.extend(key_of_kind(address, port, jump.as_ref(), patience, kind).await?);
    }
    match keys.is_empty() {
        false => Ok(keys),
        true => Err(SshError::NoCheckedKind { place: place(address, port) }),
    }
}

/// One handshake: a server shows one key in each.
async fn key_of_kind(
    address: &str,
    port: u16,
    jump: Option<&Connection>,
    patience: Duration,
    kind: Algorithm,
) -> Result<Option<PublicKey>, SshError> {
    let transport = reach(address, port, jump, patience).await?;
    let mut config = base_config();
    config.preferred.key = Cow::Owned(vec![kind]);
    let seen = Seen::default();
    let shaking = transport.shake_hands(Arc::new(config), seen.clone());
    let ended = within(patience, &place(address, port), "show its keys", shaking).await?;
    match (seen.take(), ended) {
        (Some(key), _) => Ok(Some(key)),
        (None, Err(russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, .. })) => Ok(None),
        (None, Err(source @ russh::Error::NoCommonAlgo { .. })) => {
            Err(SshError::NoAgreement { place: place(address, port), source: Box::new(source) })
        }
        (None, Err(lost)) => Err(SshError::lost(&place(address, port), lost)),
        (None, Ok(_)) => Err(SshError::lost(&place(address, port), None)),
    }
}

/// Keeps the key that is shown, and ends the handshake there.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Option<PublicKey>>>);

impl Seen {
    fn take(&self) -> Option<PublicKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Handler for Seen {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown.public_key());
        Ok(false)
    }
}
