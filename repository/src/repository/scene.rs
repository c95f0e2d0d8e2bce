//! Small repositories in memory, for the tests of what nobody outside sees.

use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use object_store::ObjectStore;
use tempfile::TempDir;

use super::{InitOptions, NewHolder, Repository};
use crate::config::Parameters;
use crate::keys::{Credential, KeyFile};
use crate::store::InMemory;

pub(crate) type Store = Arc<dyn ObjectStore>;

/// A repository on a machine that has not seen it before.
pub(crate) struct Cold {
    repository: Arc<Repository>,
    _cache: TempDir,
}

impl Deref for Cold {
    type Target = Arc<Repository>;

    fn deref(&self) -> &Arc<Repository> {
        &self.repository
    }
}

/// A new repository in memory, and its owner's key.
pub(crate) async fn made() -> (Store, KeyFile) {
    let store: Store = Arc::new(InMemory::new());
    let options = InitOptions {
        parameters: Parameters::small(),
        created: Timestamp::UNIX_EPOCH,
        holder: "owner".into(),
        how: NewHolder::KeyFile,
    };
    let created = Repository::init(Arc::clone(&store), options).await.unwrap();
    (store, created.key_file.unwrap())
}

/// Opens it with an empty cache.
pub(crate) async fn open(store: &Store, key: &KeyFile) -> Cold {
    let cache = tempfile::tempdir().unwrap();
    let opened = Repository::open(Arc::clone(store), &Credential::File(key.clone()), cache.path()).await;
    Cold { repository: opened.unwrap(), _cache: cache }
}
