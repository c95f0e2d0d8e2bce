//! The keys that are tried, one after another.

use std::path::Path;
use std::sync::Arc;

use russh::client::Handle;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};

use super::certificate;
use super::error::SshError;
use super::target::{Identity, Target};
use super::trust::Trust;

/// Logs in with the first key that the host accepts.
pub(super) async fn log_in(handle: &mut Handle<Trust>, target: &Target) -> Result<(), SshError> {
    let mut tried = Vec::new();
    for identity in &target.identities {
        let accepted = match identity {
            Identity::Key { path, key } => with_key(handle, target, path, key, &mut tried).await?,
            Identity::Agent(socket) => with_agent(handle, target, socket, &mut tried).await?,
        };
        if accepted {
            return Ok(());
        }
    }
    Err(SshError::LoginRefused { place: target.place(), user: target.user.clone(), tried })
}

async fn with_key(
    handle: &mut Handle<Trust>,
    target: &Target,
    path: &Path,
    key: &Arc<PrivateKey>,
    tried: &mut Vec<String>,
) -> Result<bool, SshError> {
    tried.push(format!("{} ({})", path.display(), key.public_key().fingerprint(HashAlg::Sha256)));
    let plain = PrivateKeyWithHashAlg::new(Arc::clone(key), None);
    match handle.authenticate_publickey(&target.user, plain).await {
        Ok(result) if result.success() => return Ok(true),
        Ok(_) => {}
        Err(source) => return Err(ended(handle, target, tried, source)),
    }
    // Behind the key: what a worker's `authorized_keys` restricts must not be had without restriction by a certificate for the same account.
    let Some(certificate) = certificate::beside(path, key).await? else { return Ok(false) };
    tried.push(format!("{} (certificate {:?})", certificate::path(path).display(), certificate.key_id()));
    match handle.authenticate_openssh_cert(&target.user, Arc::clone(key), certificate).await {
        Ok(result) => Ok(result.success()),
        Err(source) => Err(ended(handle, target, tried, source)),
    }
}

async fn with_agent(
    handle: &mut Handle<Trust>,
    target: &Target,
    socket: &Path,
    tried: &mut Vec<String>,
) -> Result<bool, SshError> {
    let silent = |source| SshError::Agent { socket: socket.to_owned(), source: Box::new(source) };
    let mut agent = AgentClient::connect_uds(socket).await.map_err(silent)?;
    for identity in agent.request_identities().await.map_err(silent)? {
        // The agent, unlike this program, may sign by RSA.
        let hash = match identity.public_key().algorithm().is_rsa() {
            true => handle.best_supported_rsa_hash().await.ok().flatten().flatten(),
            false => None,
        };
        let user = &target.user;
        let answer = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                tried.push(format!("the agent's {}", key.fingerprint(HashAlg::Sha256)));
                handle.authenticate_publickey_with(user, key, hash, &mut agent).await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                tried.push(format!("the agent's certificate {:?}", certificate.key_id()));
                handle.authenticate_certificate_with(user, certificate, hash, &mut agent).await
            }
        };
        match answer {
            Ok(result) if result.success() => return Ok(true),
            Ok(_) => {}
            Err(russh::AgentAuthError::Send(_)) => return Err(ended(handle, target, tried, russh::Error::SendError)),
            Err(source) => {
                return Err(SshError::AgentSignature { socket: socket.to_owned(), source: Box::new(source) });
            }
        }
    }
    Ok(false)
}

/// The connection ended during a login. After several keys that is how sshd says "too many": a later try would end the same way.
fn ended(handle: &Handle<Trust>, target: &Target, tried: &[String], source: russh::Error) -> SshError {
    match tried.len() {
        0 | 1 => SshError::lost(&target.place(), source),
        _ if handle.is_closed() => {
            SshError::LoginRefused { place: target.place(), user: target.user.clone(), tried: tried.to_vec() }
        }
        _ => SshError::lost(&target.place(), source),
    }
}
