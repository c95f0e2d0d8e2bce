//! Recently opened frames, for readers that jump around.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::ids::SegmentNonce;

/// Plain bytes that are kept: 32 frames of 1 MiB, the working set of a directory that somebody browses.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// The lasting name of a frame, which is the same in every index.
pub(crate) type FrameName = (SegmentNonce, u32);

/// A small most-recently-used cache of plain frames.
#[derive(Debug, Default)]
pub(crate) struct FrameCache(Mutex<VecDeque<(FrameName, Bytes)>>);

impl FrameCache {
    pub(crate) fn get(&self, frame: FrameName) -> Option<Bytes> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(id, _)| *id == frame)?;
        let found = kept.remove(at)?;
        let plain = found.1.clone();
        kept.push_front(found);
        Some(plain)
    }

    pub(crate) fn insert(&self, frame: FrameName, plain: Bytes) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((frame, plain));
        let mut total = 0;
        let fits = kept.iter().take_while(|(_, plain)| {
            total += plain.len();
            total <= KEPT_BYTES_MAX
        });
        let keep = fits.count().max(1);
        kept.truncate(keep);
    }
}
