//! The keys that are tried, one after another.

use std::path::Path;
use std::sync::Arc;

use russh::client::Handle;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};

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
    let key = PrivateKeyWithHashAlg::new(Arc::clone(key), None);
    match handle.authenticate_publickey(&target.user, key).await {
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
        let AgentIdentity::PublicKey { key, .. } = identity else { continue };
        // The agent, unlike this program, may sign by RSA.
        let hash = match key.algorithm().is_rsa() {
            true => handle.best_supported_rsa_hash().await.ok().flatten().flatten(),
            false => None,
        };
        tried.push(format!("the agent's {}", key.fingerprint(HashAlg::Sha256)));
        match handle.authenticate_publickey_with(&target.user, key, hash, &mut agent).await {
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
