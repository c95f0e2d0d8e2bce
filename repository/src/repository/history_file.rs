//! The folded history in the local cache, so that opening reads only the commits that came since. Copies of one repository have the same id and histories of their own, each
//! in a file that is named after its first commit.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Repository, get_optional, hint, size};
use crate::cache;
use crate::error::Error;
use crate::history::History;
use crate::ids::ObjectId;
use crate::object;

/// Enough to tell the copies of one repository apart.
const NAME_DIGITS: usize = 16;
/// How the files are called.
const PREFIX: &str = "history-";
/// And those that say how far a history went.
const FURTHEST: &str = "furthest";

impl Repository {
    /// A file of the cache that is about this copy alone, not about all copies of the repository: `strays` becomes `strays-0123456789abcdef`.
    pub(crate) fn file_of_copy(&self, what: &str) -> PathBuf {
        self.cache.join(file_name(what, self.history().first_object))
    }

    /// The history as of now: what is remembered of this copy and the commits since, or all of it.
    pub(super) async fn first_history(&self) -> Result<History, Error> {
        let remembered = self.remembered();
        for known in &remembered {
            if self.goes_on_from(known).await? {
                let history = self.catch_up(known.clone()).await?;
                if history != *known {
                    self.save_history_file(&history);
                }
                return Ok(history);
            }
        }
        let history = self.history_of_now(&History::default()).await?;
        let of_this_copy =
            |known: &&History| known.first_object.is_some() && known.first_object == history.first_object;
        if let Some(known) = remembered.iter().find(of_this_copy) {
            tracing::warn!(
                remembered = known.newest,
                newest = history.newest,
                "the repository's history is not the one remembered here: was an older state of the store put back?"
            );
        }
        self.save_history_file(&history);
        Ok(history)
    }

    /// Whether the store's history is that one, or goes on from it.
    pub(super) async fn goes_on_from(&self, history: &History) -> Result<bool, Error> {
        let Some(known) = history.newest_object else { return Ok(false) };
        let stored = get_optional(&*self.store, &object::commit_name(history.newest)).await?;
        Ok(stored.is_some_and(|bytes| ObjectId::of(&bytes) == known))
    }

    /// Refuses where somebody knows of later commits than there are: this machine, or the hint, which is written after its commit. Whoever deletes what nobody needs
    /// would delete what the lost commits refer to.
    pub(crate) async fn refuse_if_went_back(&self) -> Result<(), Error> {
        let history = self.history();
        let path = self.cache.join(file_name(FURTHEST, history.first_object));
        let (remembered, hint) = (furthest(&path), hint(&*self.store).await);
        let mut newest = history.newest;
        // Others may commit meanwhile.
        while newest < remembered.max(hint) && size(&*self.store, &object::commit_name(newest + 1)).await?.is_some() {
            newest += 1;
        }
        let witness = if newest < remembered {
            format!("this machine saw commit {remembered} ({} remembers it)", path.display())
        } else if newest < hint {
            format!("the object 'hint' tells of commit {hint}")
        } else {
            return Ok(());
        };
        Err(Error::WentBack { newest, witness })
    }

    /// The histories of all copies that are remembered, the one used last first.
    fn remembered(&self) -> Vec<History> {
        let entries = fs::read_dir(&self.cache).into_iter().flatten().flatten();
        let mut files: Vec<(SystemTime, PathBuf)> = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort_by(|left, right| right.cmp(left));
        let histories = files.iter().filter_map(|(_, path)| serde_json::from_slice(&cache::read(path).ok()?).ok());
        histories.collect()
    }

    pub(crate) fn save_history_file(&self, history: &History) {
        let path = self.cache.join(file_name("history", history.first_object));
        let saved = serde_json::to_vec(history).map_err(std::io::Error::other);
        let saved = saved.and_then(|json| cache::write(&path, &json)).and_then(|()| self.save_furthest(history));
        if let Err(error) = saved {
            tracing::debug!(%error, "history not cached");
        }
    }

    /// In a file of its own, which no history that went back takes the place of.
    fn save_furthest(&self, history: &History) -> std::io::Result<()> {
        let path = self.cache.join(file_name(FURTHEST, history.first_object));
        match furthest(&path) < history.newest {
            true => cache::write(&path, history.newest.to_string().as_bytes()),
            false => Ok(()),
        }
    }
}

/// The newest commit that this machine ever saw; 0 if none.
fn furthest(path: &Path) -> u64 {
    let text = cache::read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn file_name(what: &str, first: Option<ObjectId>) -> String {
    let first = first.map(|first| first.hex()).unwrap_or_default();
    format!("{what}-{}", first.get(..NAME_DIGITS).unwrap_or("empty"))
}
