//! How far a run is: numbers that its threads raise and a terminal reads whenever it likes.
//!
//! They are for the eye. The record of a run is its report, never these.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one run. Totals are zero until they are known.
#[derive(Debug, Default)]
pub struct Progress {
    files_done: AtomicU64,
    files_total: AtomicU64,
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Files and other nodes that are through.
    pub files_done: u64,
    /// All of them, or zero while that is unknown.
    pub files_total: u64,
    /// Bytes of content that are through.
    pub bytes_done: u64,
    /// All of them, or zero while that is unknown.
    pub bytes_total: u64,
}

impl Progress {
    /// Raises what is done.
    pub fn advance(&self, files: u64, bytes: u64) {
        self.files_done.fetch_add(files, Ordering::Relaxed);
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Sets what there is to do.
    pub fn set_total(&self, files: u64, bytes: u64) {
        self.files_total.store(files, Ordering::Relaxed);
        self.bytes_total.store(bytes, Ordering::Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            files_done: self.files_done.load(Ordering::Relaxed),
            files_total: self.files_total.load(Ordering::Relaxed),
            bytes_done: self.bytes_done.load(Ordering::Relaxed),
            bytes_total: self.bytes_total.load(Ordering::Relaxed),
        }
    }
}
