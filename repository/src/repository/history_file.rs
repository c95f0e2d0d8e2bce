//! The folded history in the local cache, so that opening reads only the commits that came since.

use std::path::PathBuf;

use super::Repository;
use crate::cache;
use crate::history::History;

impl Repository {
    fn history_path(&self) -> PathBuf {
        self.cache.join("history.json")
    }

    /// Takes over what was remembered; [`Repository::refresh`] checks it against the store.
    pub(super) fn load_history_file(&self) {
        let remembered = cache::read(&self.history_path()).ok();
        let remembered = remembered.and_then(|bytes| serde_json::from_slice::<History>(&bytes).ok());
        if let Some(history) = remembered {
            self.set_history(history);
        }
    }

    pub(crate) fn save_history_file(&self, history: &History) {
        let saved = serde_json::to_vec(history).map_err(std::io::Error::other);
        if let Err(error) = saved.and_then(|json| cache::write(&self.history_path(), &json)) {
            tracing::debug!(%error, "history not cached");
        }
    }
}
