//! One job: its entry in the ledger, what watchers see of it, and how it is steered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use strongroom_repository::Loan;
use strongroom_worker::pace::Pace;
use strongroom_worker::progress::Position;
use tokio::sync::watch;

use super::control::Control;
use super::view::{Phase, View};
use crate::job_id::JobId;
use crate::ledger::{Entry, Ledger, LedgerError, Recorded};
use crate::task::Task;

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    id: JobId,
    ledger: Arc<Ledger>,
    clock: fn() -> Timestamp,
    entry: Mutex<Entry>,
    view: watch::Sender<View>,
    control: Control,
    pace: Arc<Pace>,
    /// The keys of a restore, as long as it is not over.
    loan: watch::Sender<Option<Arc<Loan>>>,
}

impl Job {
    /// A job whose entry is in the ledger.
    pub(super) fn new(entry: Entry, ledger: Arc<Ledger>, clock: fn() -> Timestamp) -> Self {
        let phase = Option::<Phase>::from(&entry.state);
        let phase = phase.unwrap_or(Phase::Running { doing: "starting".into(), position: Position::default() });
        let view = View {
            job: entry.job.clone(),
            generation: entry.generation,
            number: entry.number,
            phase,
            is_paused: entry.paused,
            wants_loan: matches!(entry.request, Task::Restore(_)) && !entry.has_ended(),
        };
        let pace = Pace::new(match &entry.request {
            Task::Backup(request) => request.limits.read_bytes_per_second,
            Task::Restore(_) => None,
        });
        if entry.paused {
            pace.halt();
        }
        Self {
            id: entry.job.clone(),
            ledger,
            clock,
            entry: Mutex::new(entry),
            view: watch::Sender::new(view),
            control: Control::default(),
            pace: Arc::new(pace),
            loan: watch::Sender::new(None),
        }
    }

    /// Takes the keys of a restore that waits for them. What is lent to any other job is dropped.
    pub(super) fn lend(&self, loan: Loan) {
        let wanted = self.view.send_if_modified(|view| std::mem::take(&mut view.wants_loan));
        if wanted {
            self.loan.send_replace(Some(Arc::new(loan)));
        }
    }

    /// Waits for the keys of a restore.
    pub(super) async fn loan(&self) -> Arc<Loan> {
        let mut lent = self.loan.subscribe();
        match lent.wait_for(Option::is_some).await.map(|loan| loan.clone()) {
            Ok(Some(loan)) => loan,
            // The sender is ours, and the condition wants a loan.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    pub(super) fn id(&self) -> &JobId {
        &self.id
    }

    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    /// How fast it reads.
    pub(super) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Halts it, or lets it go on; in the ledger first.
    pub(super) fn set_paused(&self, paused: bool) -> Result<(), LedgerError> {
        self.record(|entry| (entry.paused, entry.number) = (paused, entry.number + 1))?;
        if paused {
            self.pace.halt()
        } else {
            self.pace.go_on()
        }
        Ok(())
    }

    /// Looks at the entry.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Entry) -> T) -> T {
        look(&self.lock())
    }

    /// What watchers see.
    pub(super) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// Changes the entry: in the ledger first, then here, then for watchers. On an error nothing has changed. It waits for the disk.
    pub(super) fn record(&self, change: impl FnOnce(&mut Entry)) -> Result<(), LedgerError> {
        let mut entry = self.lock();
        let mut next = entry.clone();
        change(&mut next);
        if next.state != entry.state {
            (next.changed, next.number) = ((self.clock)(), next.number + 1);
        }
        self.ledger.write(&next)?;
        *entry = next;
        self.show(&entry);
        Ok(())
    }

    /// Ends the job. If the ledger cannot be written the end is shown all the same: it is true, and found out again after a restart.
    pub(super) fn end(&self, state: Recorded) {
        self.loan.send_replace(None);
        self.view.send_if_modified(|view| std::mem::take(&mut view.wants_loan));
        let Err(error) = self.record(|entry| end(entry, state.clone())) else { return };
        tracing::error!(job = %self.id, error = strongroom_repository::chain(&error), "the end of a job cannot be kept");
        let mut entry = self.lock();
        entry.number += 1;
        entry.changed = (self.clock)();
        end(&mut entry, state);
        self.show(&entry);
    }

    fn show(&self, entry: &Entry) {
        self.view.send_modify(|view| {
            (view.generation, view.number, view.is_paused) = (entry.generation, entry.number, entry.paused);
            if let Some(phase) = Option::<Phase>::from(&entry.state) {
                view.phase = phase;
            }
        });
    }

    /// Tells watchers what is being done.
    pub(super) fn show_doing(&self, what: &str) {
        self.view.send_if_modified(|view| match &mut view.phase {
            Phase::Running { doing, .. } if doing != what => {
                what.clone_into(doing);
                true
            }
            _ => false,
        });
    }

    /// Tells watchers how far it is.
    pub(super) fn show_position(&self, now: Position) {
        self.view.send_if_modified(|view| match &mut view.phase {
            Phase::Running { position, .. } if *position != now => {
                *position = now;
                true
            }
            _ => false,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Entry> {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(entry: &mut Entry, state: Recorded) {
    if matches!(state, Recorded::BackedUp { .. }) {
        // Nobody has to look for it any more.
        entry.committing.clear();
    }
    if matches!(state, Recorded::Restored { .. }) {
        entry.placed = None;
    }
    entry.state = state;
}
