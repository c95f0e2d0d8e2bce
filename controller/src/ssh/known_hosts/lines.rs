//! The lines of a `known_hosts` file that are for one host: written when its keys were confirmed, taken out when it leaves.
//!
//! Only lines that are for this host alone are touched. A pattern that matches other hosts too stays, and so does every `@` line: people wrote those.

use std::io;
use std::path::Path;

use russh::keys::PublicKey;
use russh::keys::ssh_key::{self, known_hosts::HostPatterns};

use super::names::Name;
use super::{Line, Mark};
use crate::durable;
use crate::ssh::error::SshError;

/// Others may read which hosts there are: `known_hosts` files hold no secret.
const MODE: u32 = 0o644;

/// Makes `keys` the recorded keys of this host, durably. Says whether the file had to change.
pub async fn record(path: &Path, address: &str, port: u16, keys: &[PublicKey]) -> Result<bool, SshError> {
    rewrite(path, |text| with(text, &Name::new(address, port), keys)).await
}

/// Takes the keys of this host out, durably. Says whether there were any.
pub async fn forget(path: &Path, address: &str, port: u16) -> Result<bool, SshError> {
    rewrite(path, |text| Ok(without(text, &Name::new(address, port)))).await
}

async fn rewrite(path: &Path, change: impl FnOnce(&str) -> Result<String, ssh_key::Error>) -> Result<bool, SshError> {
    let failed = |source| SshError::Write { path: path.to_owned(), source };
    let old = durable::read(path).await.map_err(|source| SshError::KnownHosts { path: path.to_owned(), source })?;
    let old = String::from_utf8_lossy(&old.unwrap_or_default()).into_owned();
    let new = change(&old).map_err(|error| failed(io::Error::other(error)))?;
    if new == old {
        return Ok(false);
    }
    durable::replace(path, new.as_bytes(), MODE).await.map_err(failed)?;
    Ok(true)
}

/// The file with these keys, and no others, on lines for this host alone. The same text if it says that already.
pub(super) fn with(text: &str, name: &Name, keys: &[PublicKey]) -> Result<String, ssh_key::Error> {
    let own: Vec<Line> = text.lines().filter_map(|line| own_line(line, name)).collect();
    let says = |key: &PublicKey| own.iter().any(|line| line.key.key_data() == key.key_data());
    if own.len() == keys.len() && keys.iter().all(says) {
        return Ok(text.to_owned());
    }
    let mut new = without(text, name);
    for key in keys {
        // Without the comment: it is the other side's text.
        let key = PublicKey::from(key.key_data().clone()).to_openssh()?;
        new.push_str(&format!("{} {}\n", name.as_str(), key.trim_end()));
    }
    Ok(new)
}

/// The file without the lines that are for this host alone.
pub(super) fn without(text: &str, name: &Name) -> String {
    let kept = text.lines().filter(|line| own_line(line, name).is_none());
    kept.fold(String::with_capacity(text.len()), |mut kept, line| {
        kept.push_str(line);
        kept.push('\n');
        kept
    })
}

/// A line for this host and for no other.
fn own_line(line: &str, name: &Name) -> Option<Line> {
    let line = Line::parse(1, line).ok().flatten()?;
    let alone = match &line.hosts {
        HostPatterns::Patterns(patterns) => matches!(&patterns[..], [one] if one.eq_ignore_ascii_case(name.as_str())),
        hashed @ HostPatterns::HashedName { .. } => name.is_in(hashed),
    };
    (alone && line.mark == Mark::Key).then_some(line)
}
