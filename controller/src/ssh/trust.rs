//! The moment in the handshake at which the host shows its key.

use russh::client::Handler;
use russh::keys::PublicKeyOrCertificate;

use super::error::{ShownKey, SshError};
use super::known_hosts::{KnownHosts, Name, Verdict};

/// Asks the recorded keys. Everything else that a server may ask of its client is refused, as the trait does by itself.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) place: String,
    pub(super) name: Name,
    pub(super) known: KnownHosts,
}

/// What ends a handshake: the protocol, or our judgement.
#[derive(Debug)]
pub(super) enum Fault {
    Protocol(russh::Error),
    Distrust(Box<SshError>),
}

impl From<russh::Error> for Fault {
    fn from(error: russh::Error) -> Self {
        Self::Protocol(error)
    }
}

impl Handler for Trust {
    type Error = Fault;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Fault> {
        let verdict = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.known.judge(&self.name, key),
            PublicKeyOrCertificate::Certificate(certificate) => self.known.judge_certificate(&self.name, certificate),
        };
        match self.distrust(verdict, ShownKey::of(&shown.public_key())) {
            None => Ok(true),
            Some(error) => Err(Fault::Distrust(Box::new(error))),
        }
    }
}

impl Trust {
    fn distrust(&self, verdict: Verdict, seen: ShownKey) -> Option<SshError> {
        let place = self.place.clone();
        match verdict {
            Verdict::Trusted => None,
            Verdict::Unknown => {
                let file = self.known.path().display().to_string();
                Some(SshError::UnknownHost { place, seen, file, unread: self.known.unread().into() })
            }
            Verdict::Changed(recorded) => Some(SshError::ChangedKey { place, seen, recorded }),
            Verdict::Revoked(revoked) => Some(SshError::RevokedKey { place, seen, revoked }),
            Verdict::BadCertificate(reason) => Some(SshError::BadCertificate { place, seen, reason }),
        }
    }
}
