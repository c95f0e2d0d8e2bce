//! An empty copy: the keys, then the configuration, as they are.

use std::sync::Arc;

use object_store::ObjectStore;
use serde::Serialize;

use crate::error::Error;
use crate::history::Operation;
use crate::object::{CONFIG, ObjectType};
use crate::repository::{Repository, get, get_optional, list, put_new};

/// What was missing of the copy itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Made {
    /// Whether the copy was begun just now.
    pub is_new: bool,
    /// Key objects that it lacked.
    pub keys: u64,
}

/// Makes an empty copy of `from` in a store, or brings the keys that the one there lacks. The configuration comes last: before it there is no repository.
pub async fn make(from: &Repository, store: &Arc<dyn ObjectStore>) -> Result<Made, Error> {
    let is_new = match Repository::read_config(&**store).await {
        Ok(config) if config.repository == from.id() => false,
        Ok(config) => return Err(Error::NotACopy { of: from.id(), here: config.repository }),
        Err(Error::NoRepository) => true,
        Err(error) => return Err(error),
    };
    let mut keys = 0;
    for (name, _) in list(&*from.store, ObjectType::Key.folder()).await? {
        if get_optional(&**store, &name).await?.is_none() {
            put_new(&**store, &name, get(&*from.store, &name).await?).await?;
            keys += 1;
        }
    }
    if is_new {
        put_new(&**store, CONFIG, get(&*from.store, CONFIG).await?).await?;
    }
    Ok(Made { is_new, keys })
}

/// Tells the copy of new epochs and revoked writers. They need the admin's authority, so a reader's key.
pub(super) async fn follow(from: &Repository, to: &Repository) -> Result<(), Error> {
    let (theirs, ours) = (from.history(), to.history());
    let epochs = theirs.epochs.iter().filter(|(epoch, _)| !ours.epochs.contains_key(epoch));
    let epochs = epochs.map(|(epoch, public_key)| Operation::NewEpoch { epoch: *epoch, public_key: *public_key });
    let revoked = theirs.revoked.keys().filter(|key| !ours.revoked.contains_key(key));
    let revoked = revoked.map(|public_key| Operation::RevokeWriter { public_key: *public_key });
    let operations: Vec<Operation> = epochs.chain(revoked).collect();
    if operations.is_empty() {
        return Ok(());
    }
    to.key.secrets("tell a copy that keys were changed or removed")?;
    to.commit_operations(operations).await.map(drop)
}
