//! A repository that was opened with a key: its objects, its history, its snapshots.

mod checkpoints;
mod create;
mod forget;
mod gone;
mod history_file;
mod index_in_force;
mod keyring;
mod lending;
mod objects;
mod records;
#[cfg(test)]
pub(crate) mod scene;
mod snapshots;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use object_store::ObjectStore;

pub(crate) use checkpoints::{decode as decode_checkpoint, number_of as checkpoint_number};
pub use create::{Created, InitOptions};
pub use forget::Forgotten;
pub(crate) use gone::Gone;
use index_in_force::OpenIndex;
pub use keyring::{NewHolder, WriterIdentity};
pub(crate) use objects::{
    Written, get, get_optional, get_range, hint, leave_hint, list, parse_hint, put_new, remove, size, store_error,
};
pub use snapshots::{Snapshots, Unreadable};

use crate::config::{Config, Parameters};
use crate::cut::Cutter;
use crate::error::Error;
use crate::history::{Authority, Effect, History};
use crate::ids::{ObjectId, PublicKey, RepositoryId, SegmentNonce};
use crate::index::Index;
use crate::keys::{Credential, Key};
use crate::live::Live;
use crate::object;
use crate::pack::SegmentKey;
use crate::read::{FrameCache, Standbys};

/// How many small objects are fetched at once: enough to hide a round trip, few enough for any server.
const FETCHES_AT_ONCE: usize = 16;

/// An open repository. Cheap to share; all methods take `&self`.
#[derive(Debug)]
pub struct Repository {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) cache: PathBuf,
    pub(crate) config: Config,
    pub(crate) key: Arc<Key>,
    history: RwLock<Arc<History>>,
    index: tokio::sync::Mutex<Option<OpenIndex>>,
    /// A later one, for readers whose packs are gone: the frames that they know by number stay those of the index that they opened.
    newer_index: tokio::sync::Mutex<Option<OpenIndex>>,
    current_index: RwLock<Arc<Index>>,
    /// Signers that were checked, with their holder's name.
    signers: Mutex<HashMap<PublicKey, String>>,
    pub(crate) segment_keys: Mutex<HashMap<SegmentNonce, Arc<SegmentKey>>>,
    pub(crate) frames: FrameCache,
    pub(crate) standbys: Standbys,
    /// The frames that were looked for by name, where somebody wants to know.
    pub(crate) trace: Mutex<Option<Live>>,
}

impl Repository {
    /// Opens a repository: the configuration, the holder's key object, and the commits that the local cache does not know yet.
    pub async fn open(store: Arc<dyn ObjectStore>, credential: &Credential, cache: &Path) -> Result<Arc<Self>, Error> {
        let config = keyring::read_config(&*store).await?;
        let key = keyring::unlock(&*store, &config, credential).await?;
        let repository = Self::with_key(store, config, key, cache);
        let history = repository.first_history().await?;
        repository.set_history(history);
        let mut repository = repository;
        repository.unlock_later_epochs().await?;
        Ok(Arc::new(repository))
    }

    fn with_key(store: Arc<dyn ObjectStore>, config: Config, key: Key, cache: &Path) -> Self {
        let cache = cache.join(config.repository.hex());
        Self::of(store, config, Arc::new(key), cache)
    }

    /// Another copy of this repository, opened with the same key.
    pub async fn open_copy(&self, store: Arc<dyn ObjectStore>, cache: &Path) -> Result<Arc<Self>, Error> {
        let config = keyring::read_config(&*store).await?;
        if config.repository != self.id() || config.admin_key != self.config.admin_key {
            return Err(Error::NotACopy { of: self.id(), here: config.repository });
        }
        let copy = Self::of(store, config, Arc::clone(&self.key), cache.join(self.id().hex()));
        let history = copy.first_history().await?;
        copy.set_history(history);
        Ok(Arc::new(copy))
    }

    /// The same repository, at the same commit, with its objects as another store has them.
    pub(crate) fn seen_through(&self, store: Arc<dyn ObjectStore>) -> Arc<Self> {
        let other = Self::of(store, self.config.clone(), Arc::clone(&self.key), self.cache.clone());
        other.set_history((*self.history()).clone());
        Arc::new(other)
    }

    fn of(store: Arc<dyn ObjectStore>, config: Config, key: Arc<Key>, cache: PathBuf) -> Self {
        Self {
            store,
            cache,
            config,
            key,
            history: RwLock::default(),
            index: tokio::sync::Mutex::default(),
            newer_index: tokio::sync::Mutex::default(),
            current_index: RwLock::default(),
            signers: Mutex::default(),
            segment_keys: Mutex::default(),
            frames: FrameCache::default(),
            standbys: Standbys::default(),
            trace: Mutex::default(),
        }
    }

    /// The repository's id.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        self.config.repository
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The measured sizes.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        self.config.parameters
    }

    /// The key that opened it.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The store that it lies in.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// A cutter of this repository.
    #[must_use]
    pub fn cutter(&self) -> Cutter {
        Cutter::new(&self.key.shared, &self.config.parameters)
    }

    /// What is in force, as of the last refresh.
    #[must_use]
    pub fn history(&self) -> Arc<History> {
        Arc::clone(&self.history.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_history(&self, history: History) {
        *self.history.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(history);
    }

    /// The epoch that new data keys are sealed to.
    pub(crate) fn newest_epoch(&self) -> (u32, PublicKey) {
        let history = self.history();
        let newest = history.epochs.last_key_value().map(|(epoch, public)| (*epoch, *public));
        newest.unwrap_or((self.config.epoch, self.config.public_key))
    }

    /// Reads the commits that came since, and folds them in.
    pub async fn refresh(&self) -> Result<(), Error> {
        let before = self.history();
        let history = self.history_of_now(&before).await?;
        if history != *before {
            self.save_history_file(&history);
            self.set_history(history);
        }
        Ok(())
    }

    /// The history as the store has it, beside the one that is worked with.
    async fn history_of_now(&self, before: &History) -> Result<History, Error> {
        let history = self.continue_history(before).await?;
        self.catch_up(history).await
    }

    /// The history with the commits that came after it.
    async fn catch_up(&self, mut history: History) -> Result<History, Error> {
        while let Some(bytes) = get_optional(&*self.store, &object::commit_name(history.newest + 1)).await? {
            self.fold(&mut history, &bytes).await?;
        }
        Ok(history)
    }

    /// The cached history if the repository still has it; otherwise, or at first, what the hint lets us fetch side by side.
    async fn continue_history(&self, before: &History) -> Result<History, Error> {
        if before.newest > 0 {
            if self.goes_on_from(before).await? {
                return Ok(before.clone());
            }
            tracing::warn!(
                commit = before.newest,
                "the repository's history is not the one remembered here: reading it anew"
            );
        }
        let hint = hint(&*self.store).await;
        self.fold_until(self.first_checkpoint(hint).await, hint).await
    }

    /// The history with the commits after it up to a number, as far as they are there.
    async fn fold_until(&self, mut history: History, newest: u64) -> Result<History, Error> {
        while history.newest < newest {
            let last = newest.min(history.newest + FETCHES_AT_ONCE as u64);
            let names: Vec<String> = (history.newest + 1..=last).map(object::commit_name).collect();
            let fetches = names.iter().map(|name| get_optional(&*self.store, name));
            let fetched = futures::future::try_join_all(fetches).await?;
            // A hint that promises too much is only a hint; but a gap with a commit behind it is a loss, and a writer must not fill it.
            let present = fetched.iter().take_while(|bytes| bytes.is_some()).count();
            if fetched[present..].iter().any(Option::is_some) {
                return Err(Error::Missing { name: names[present].clone() });
            }
            for bytes in fetched.into_iter().flatten() {
                self.fold(&mut history, &bytes).await?;
            }
            if history.newest < last {
                break;
            }
        }
        Ok(history)
    }

    async fn fold(&self, history: &mut History, bytes: &[u8]) -> Result<(), Error> {
        let number = history.newest + 1;
        let (commit, signer) = self.open_commit(number, bytes)?;
        let authority = self.authority(&signer).await?;
        let folded = history.apply(&commit, ObjectId::of(bytes), authority);
        let effect = folded.map_err(|bad| Error::damaged(object::commit_name(number), bad.to_string()))?;
        if effect == Effect::Void {
            tracing::warn!(commit = number, %signer, "a commit without the right to its operations changes nothing");
        }
        Ok(())
    }

    /// What a signer may do.
    pub(crate) async fn authority(&self, signer: &PublicKey) -> Result<Authority, Error> {
        if *signer == self.config.admin_key {
            return Ok(Authority::Admin);
        }
        match self.signer_name(signer).await {
            Ok(_) => Ok(Authority::Writer(*signer)),
            Err(error) if error.kind() == crate::error::ErrorKind::Key => Ok(Authority::Nobody),
            Err(error) => Err(error),
        }
    }

    /// The name of a signer, from the admin's registration.
    pub(crate) async fn signer_name(&self, signer: &PublicKey) -> Result<String, Error> {
        if *signer == self.config.admin_key {
            return Ok("admin".into());
        }
        let known = self.signers.lock().unwrap_or_else(PoisonError::into_inner).get(signer).cloned();
        if let Some(name) = known {
            return Ok(name);
        }
        let name = keyring::registered_writer(&*self.store, &self.config, signer).await?;
        self.signers.lock().unwrap_or_else(PoisonError::into_inner).insert(*signer, name.clone());
        Ok(name)
    }

    /// The private keys of the epochs that the history announces, as far as this holder has them.
    async fn unlock_later_epochs(&mut self) -> Result<(), Error> {
        let epochs: BTreeMap<u32, PublicKey> = self.history().epochs.clone();
        // Nobody else has it before the repository is open.
        let Some(key) = Arc::get_mut(&mut self.key) else { return Ok(()) };
        keyring::unlock_epochs(&*self.store, &self.config, key, &epochs).await
    }
}
