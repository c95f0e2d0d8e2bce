//! Whose turn it is: jobs of one source one after the other, and of all sources only so many at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Who may work.
#[derive(Debug)]
pub(super) struct Turns {
    subjects: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
    places: Arc<Semaphore>,
    /// Those of restores: none waits behind a night's backups.
    restores: Arc<Semaphore>,
}

/// The right to work, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _place: Option<OwnedSemaphorePermit>,
    _subject: OwnedMutexGuard<()>,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        let places = || Arc::new(Semaphore::new(at_once));
        Self { subjects: Mutex::default(), places: places(), restores: places() }
    }

    /// Waits for the source first: a job that waits for another of its own source takes no place from the others.
    pub(super) async fn take(&self, subject: String) -> Turn {
        self.take_of(&self.places, subject).await
    }

    /// The same for a restore, which has places of its own.
    pub(super) async fn take_restore(&self, subject: String) -> Turn {
        self.take_of(&self.restores, subject).await
    }

    async fn take_of(&self, places: &Arc<Semaphore>, subject: String) -> Turn {
        let lock = {
            let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever works or waits holds a second reference.
            subjects.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(subjects.entry(subject).or_default())
        };
        let subject = lock.lock_owned().await;
        // None only if the semaphore were closed, which nobody does.
        let place = Arc::clone(places).acquire_owned().await.ok();
        Turn { _place: place, _subject: subject }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_of_a_source_and_two_of_all() {
        let turns = Turns::new(2);
        let take = |subject: &str| Box::pin(turns.take(subject.to_owned()));
        let first = take("a").await;
        let mut same = take("a");
        assert!((&mut same).now_or_never().is_none());
        let second = take("b").await;
        let mut third = take("c");
        assert!((&mut third).now_or_never().is_none());
        drop(turns.take_restore("restore to /srv".into()).now_or_never().unwrap());
        drop(second);
        let third = third.await;
        assert!((&mut same).now_or_never().is_none());
        drop(first);
        let same = same.await;
        drop((same, third));
        take("d").await;
        assert_eq!(turns.subjects.lock().unwrap().len(), 1);
    }
}
