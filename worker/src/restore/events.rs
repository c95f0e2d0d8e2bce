//! What a restore tells while it runs, at the moments between its phases.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::RestoreError;
use super::report::RestoreReport;

/// A moment of a restore. Listeners are called on the thread that reached it, which waits for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreEvent {
    /// The staging directory is open and locked.
    Staging {
        /// Where it is.
        path: PathBuf,
    },
    /// A part is written and flushed, and will be read back next.
    Flushed {
        /// Which part, from 0.
        window: u64,
        /// What is staged lies here, by its path in the snapshot.
        tree: PathBuf,
    },
    /// A part was read back and compared.
    ReadBack {
        /// Which part, from 0.
        window: u64,
    },
    /// Everything is verified, and is being put in place from now on.
    Placing,
    /// Everything is in place; the staging directory is about to be removed.
    Placed,
}

/// A function that is called with every event.
type Listen = dyn Fn(&RestoreEvent) + Send + Sync;

/// May the restore become visible?
type MayPlace = Box<dyn Fn() -> Result<(), String> + Send + Sync>;
/// Is its report kept?
type Placed = Box<dyn Fn(&RestoreReport) -> Result<(), String> + Send + Sync>;

/// Who is asked before a restore becomes visible, and told what came of it while it can still be resumed. Both are called on the restore's own thread.
pub struct Gate {
    /// Before the first file is moved into place. An error ends the restore: it stays staged, and the same request goes on from there.
    pub may_place: MayPlace,
    /// When everything is in place, before the staging directory goes. After an error it stays, and the same request ends the restore once more.
    pub placed: Placed,
}

/// Who listens.
#[derive(Clone, Default)]
pub struct Listener {
    listen: Option<Arc<Listen>>,
    gate: Option<Arc<Gate>>,
}

impl Listener {
    /// Nobody.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Calls `listen` with every event.
    pub fn new(listen: impl Fn(&RestoreEvent) + Send + Sync + 'static) -> Self {
        Self { listen: Some(Arc::new(listen)), gate: None }
    }

    /// The same, with a gate.
    #[must_use]
    pub fn with_gate(self, gate: Gate) -> Self {
        Self { gate: Some(Arc::new(gate)), ..self }
    }

    pub(super) fn may_place(&self) -> Result<(), RestoreError> {
        self.gate.as_ref().map_or(Ok(()), |gate| (gate.may_place)()).map_err(RestoreError::Withheld)
    }

    pub(super) fn placed(&self, report: &RestoreReport) -> Result<(), RestoreError> {
        self.gate.as_ref().map_or(Ok(()), |gate| (gate.placed)(report)).map_err(RestoreError::Withheld)
    }

    pub(super) fn tell(&self, event: &RestoreEvent) {
        if let Some(listen) = &self.listen {
            listen(event);
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(if self.listen.is_some() { "Listener(some)" } else { "Listener(none)" })
    }
}
