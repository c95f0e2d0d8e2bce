//! What a job was asked while it runs, and the moment from which it is too late to ask.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Why a job should not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Somebody does not want it any more.
    Cancel,
    /// The worker stops; the job goes on when it is back.
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steering {
    Going,
    /// Its backup may be visible from now on.
    Committing,
    Asked(Wish),
}

/// One job's steering: either it is asked to end, or it commits, never both.
#[derive(Debug)]
pub(super) struct Control {
    steering: Mutex<Steering>,
    asked: watch::Sender<Option<Wish>>,
}

impl Default for Control {
    fn default() -> Self {
        Self { steering: Mutex::new(Steering::Going), asked: watch::Sender::new(None) }
    }
}

impl Control {
    /// Asks; false if it was asked before, or if it is too late.
    pub(super) fn ask(&self, wish: Wish) -> bool {
        let mut steering = self.lock();
        let in_time = *steering == Steering::Going;
        if in_time {
            *steering = Steering::Asked(wish);
            self.asked.send_replace(Some(wish));
        }
        in_time
    }

    /// Passes the point from which it is too late to ask, once `record` has succeeded. Whoever asks meanwhile waits.
    pub(super) fn commit(&self, record: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let mut steering = self.lock();
        match *steering {
            Steering::Asked(Wish::Cancel) => Err("the job was cancelled".into()),
            Steering::Asked(Wish::Stop) => Err("the worker stops".into()),
            Steering::Going | Steering::Committing => {
                record()?;
                *steering = Steering::Committing;
                Ok(())
            }
        }
    }

    /// What it was asked, if anything.
    pub(super) fn wish(&self) -> Option<Wish> {
        *self.asked.borrow()
    }

    /// Waits until it is asked.
    pub(super) async fn asked(&self) -> Wish {
        let mut asked = self.asked.subscribe();
        match asked.wait_for(Option::is_some).await.map(|wish| *wish) {
            Ok(Some(wish)) => wish,
            // The sender is ours, and the condition wants a wish.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Steering> {
        self.steering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_is_asked_in_time_or_commits() {
        let control = Control::default();
        assert_eq!(control.commit(|| Err("disk full".into())), Err("disk full".into()));
        assert!(control.ask(Wish::Cancel));
        assert!(!control.ask(Wish::Stop));
        assert_eq!((control.asked().await, control.wish()), (Wish::Cancel, Some(Wish::Cancel)));
        assert_eq!(control.commit(|| panic!("too early")), Err("the job was cancelled".into()));

        let control = Control::default();
        assert_eq!(control.commit(|| Ok(())), Ok(()));
        assert!(!control.ask(Wish::Cancel));
        assert_eq!((control.commit(|| Ok(())), control.wish()), (Ok(()), None));
    }
}
