//! What a restore tells while it runs, at the moments between its phases.

use std::path::PathBuf;
use std::sync::Arc;

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

/// Who listens.
#[derive(Clone, Default)]
pub struct Listener(Option<Arc<Listen>>);

impl Listener {
    /// Nobody.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Calls `listen` with every event.
    pub fn new(listen: impl Fn(&RestoreEvent) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listen)))
    }

    pub(super) fn tell(&self, event: &RestoreEvent) {
        if let Some(listen) = &self.0 {
            listen(event);
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(if self.0.is_some() { "Listener(some)" } else { "Listener(none)" })
    }
}
