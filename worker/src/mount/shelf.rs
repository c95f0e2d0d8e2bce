//! The snapshots of a mount, by the names that they have there.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_repository::{Error, Repository, Snapshot, Snapshots, Tree, Unreadable, chain};

/// A snapshot as a directory.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) snapshot: Snapshot,
    pub(super) tree: Tree,
}

/// All snapshots, oldest first.
#[derive(Debug)]
pub(super) struct Shelf {
    shown: RwLock<Vec<Arc<Shown>>>,
}

impl Shelf {
    /// The snapshots now in force.
    pub(super) async fn fill(repository: &Arc<Repository>) -> Result<Self, Error> {
        Ok(Self { shown: RwLock::new(read(repository, &[]).await?) })
    }

    /// Takes in what was added, and lets go of what was dropped.
    pub(super) async fn refresh(&self, repository: &Arc<Repository>) -> Result<(), Error> {
        repository.refresh().await?;
        let now = read(repository, &self.all()).await?;
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<Arc<Shown>> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn latest(&self) -> Option<Arc<Shown>> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    pub(super) fn named(&self, name: &[u8]) -> Option<Arc<Shown>> {
        self.all().into_iter().find(|shown| shown.name.as_bytes() == name)
    }
}

async fn read(repository: &Arc<Repository>, known: &[Arc<Shown>]) -> Result<Vec<Arc<Shown>>, Error> {
    let show = |snapshot: Snapshot| match known.iter().find(|shown| shown.snapshot.id == snapshot.id) {
        Some(shown) => Arc::clone(shown),
        None => {
            let (name, tree) = (name(&snapshot), repository.tree(&snapshot));
            Arc::new(Shown { name, snapshot, tree })
        }
    };
    let Snapshots { readable, unreadable } = repository.snapshots().await?;
    for Unreadable { id, error, .. } in unreadable {
        tracing::warn!("snapshot {id} is not shown: {}", chain(&error));
    }
    Ok(readable.into_iter().map(show).collect())
}

/// Sorts by time, and holds nothing that a shell minds.
fn name(snapshot: &Snapshot) -> String {
    format!("{}-{}", shown_time(snapshot.manifest.time), &snapshot.id.hex()[..8])
}

fn shown_time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H-%M-%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_text() {
        assert_eq!(shown_time(Timestamp::UNIX_EPOCH), "1970-01-01T00-00-00Z");
        assert_eq!(shown_time("2026-11-22T02:28:58.9Z".parse().unwrap()), "2026-11-22T02-28-58Z");
    }
}
