//! Page-aligned memory for transfers that bypass the page cache, kept for the next one.
//!
//! Reuse matters: memory that a process (or a virtual machine) touches for the first time costs
//! a page fault every 4 KiB. Reading 64 MiB into fresh buffers took 65 ms, into used ones 50 ms.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::MmapMut;

/// Addresses, offsets and lengths of such transfers are multiples of this: the page size, which no
/// common medium's sector size exceeds. Where it is not enough the kernel says EINVAL.
pub(super) const ALIGNMENT: usize = 4096;

/// Buffers come in multiples of this, so that reads of many sizes find a used one that fits.
const GRAIN: usize = 1024 * 1024;

/// A used buffer is taken for a request of at least this part of it; smaller ones would hold on
/// to memory that they do not need.
const WASTE_MAX: usize = 4;

/// Memory kept idle: three reads of 8 MiB (and a page, if they begin in the middle of one), and
/// two transfers of writers.
const IDLE_BYTES_MAX: usize = 3 * 9 * GRAIN + 2 * 2 * GRAIN;

type Idle = Arc<Mutex<Vec<MmapMut>>>;

/// The idle buffers of one store.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers {
    idle: Idle,
}

impl Buffers {
    /// A buffer of at least `size` bytes. Its content is whatever the last user left.
    pub(super) fn take(&self, size: usize) -> io::Result<Buffer> {
        let memory = match self.take_used(size) {
            Some(memory) => memory,
            None => MmapMut::map_anon(size.next_multiple_of(GRAIN))?,
        };
        Ok(Buffer { memory: Some(memory), home: Arc::clone(&self.idle) })
    }

    /// The smallest idle buffer that fits.
    fn take_used(&self, size: usize) -> Option<MmapMut> {
        let fits = size..=size.max(GRAIN).saturating_mul(WASTE_MAX);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, _) = (0..)
            .zip(idle.iter().map(|memory| memory.len()))
            .filter(|(_, length)| fits.contains(length))
            .min_by_key(|&(_, length)| length)?;
        Some(idle.swap_remove(found))
    }
}

/// A buffer on loan; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Buffer {
    /// None only while it is being dropped.
    memory: Option<MmapMut>,
    home: Idle,
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.as_deref().unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.as_deref_mut().unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        let idle_bytes: usize = idle.iter().map(|memory| memory.len()).sum();
        if let Some(memory) = self.memory.take()
            && idle_bytes + memory.len() <= IDLE_BYTES_MAX
        {
            idle.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(buffers: &Buffers, size: usize) -> Buffer {
        buffers.take(size).expect("memory")
    }

    #[test]
    fn buffers_are_aligned_and_used_again() {
        let buffers = Buffers::default();
        let first = taken(&buffers, 2 * GRAIN + 1);
        assert_eq!(first.len(), 3 * GRAIN);
        assert_eq!(first.as_ptr().align_offset(ALIGNMENT), 0);
        let address = first.as_ptr();
        drop(first);
        let again = taken(&buffers, GRAIN);
        assert_eq!(again.as_ptr(), address);
        assert_ne!(taken(&buffers, GRAIN).as_ptr(), address, "it is on loan");
    }

    #[test]
    fn the_smallest_that_fits_is_taken() {
        let buffers = Buffers::default();
        let sizes = [9, 2, 4].map(|size| taken(&buffers, size * GRAIN));
        drop(sizes);
        assert_eq!(taken(&buffers, 3 * GRAIN).len(), 4 * GRAIN);
        assert_eq!(taken(&buffers, 5 * GRAIN).len(), 9 * GRAIN);
        assert_eq!(taken(&buffers, 10 * GRAIN).len(), 10 * GRAIN);
    }

    #[test]
    fn little_requests_do_not_hold_large_buffers() {
        let buffers = Buffers::default();
        drop(taken(&buffers, 9 * GRAIN));
        assert_eq!(taken(&buffers, 2 * GRAIN).len(), 2 * GRAIN);
    }

    #[test]
    fn idle_memory_is_bounded() {
        let buffers = Buffers::default();
        let many: Vec<_> = (0..9).map(|_| taken(&buffers, 8 * GRAIN)).collect();
        drop(many);
        let idle = buffers.idle.lock().expect("lock");
        assert_eq!(idle.len(), IDLE_BYTES_MAX / (8 * GRAIN));
    }
}
