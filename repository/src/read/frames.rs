//! Recently opened frames, for readers that jump around; and what lies ahead of those that do not.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::ids::SegmentNonce;
use crate::index::{FrameId, Index};
use crate::pack::FRAME_HEADER_SIZE;

/// Plain bytes that are kept: 32 frames of 1 MiB, the working set of a directory that somebody browses.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// Sealed bytes that are read ahead at most, and at first: who walks a tree reads its pages in their order, and on a long way each request counts. The pages of 100,000
/// files are some 4 MB.
const AHEAD_BYTES_MAX: u64 = 1 << 20;
const AHEAD_BYTES_FIRST: u64 = 64 << 10;

/// The lasting name of a frame, which is the same in every index.
pub(crate) type FrameName = (SegmentNonce, u32);

/// A small most-recently-used cache of plain frames, and sealed ones that were read ahead.
#[derive(Debug, Default)]
pub(crate) struct FrameCache {
    plain: Mutex<VecDeque<(FrameName, Bytes)>>,
    ahead: Mutex<Ahead>,
}

/// What a reader that goes on as before needs next.
#[derive(Debug, Default)]
struct Ahead {
    sealed: HashMap<FrameName, Bytes>,
    /// The frame that was read last, and how much may be read ahead if the next one comes next.
    last: Option<FrameId>,
    bytes: u64,
}

impl FrameCache {
    /// The frames to fetch when this one is needed: it, and those behind it if whoever reads has come from the one before.
    pub(crate) fn to_fetch(&self, index: &Index, frame: FrameId) -> Vec<FrameId> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = ahead.last.is_some_and(|last| index.frame_after(last) == Some(frame));
        ahead.bytes = if goes_on { (ahead.bytes * 2).clamp(AHEAD_BYTES_FIRST, AHEAD_BYTES_MAX) } else { 0 };
        let (mut frames, mut left) = (Vec::from([frame]), ahead.bytes);
        while let Some(next) = frames.last().and_then(|last| index.frame_after(*last)) {
            let length =
                index.frame(next).map_or(0, |found| u64::from(found.row.sealed_length) + FRAME_HEADER_SIZE as u64);
            let Some(rest) = left.checked_sub(length) else { break };
            left = rest;
            frames.push(next);
        }
        ahead.last = Some(frame);
        frames
    }

    /// Keeps what was read ahead, in place of what was before.
    pub(crate) fn keep_ahead(&self, sealed: impl IntoIterator<Item = (FrameName, Bytes)>) {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner).sealed = sealed.into_iter().collect();
    }

    /// A frame that was read ahead, which is read now.
    pub(crate) fn take_ahead(&self, name: FrameName, frame: FrameId) -> Option<Bytes> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let sealed = ahead.sealed.remove(&name)?;
        ahead.last = Some(frame);
        Some(sealed)
    }

    pub(crate) fn get(&self, frame: FrameName) -> Option<Bytes> {
        let mut kept = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(id, _)| *id == frame)?;
        let found = kept.remove(at)?;
        let plain = found.1.clone();
        kept.push_front(found);
        Some(plain)
    }

    pub(crate) fn insert(&self, frame: FrameName, plain: Bytes) {
        let mut kept = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
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
