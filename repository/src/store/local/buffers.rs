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

/// Memory kept idle: three reads of 8 MiB, which take 16 MiB of addresses but 8 MiB of memory
/// each, and room for the 2 MiB buffers of a few writers.
const IDLE_BYTES_MAX: usize = 3 * 16 * 1024 * 1024 + 8 * 1024 * 1024;

type Idle = Arc<Mutex<Vec<MmapMut>>>;

/// The idle buffers of one store.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers {
    idle: Idle,
}

impl Buffers {
    /// A buffer of at least `size` bytes. Its content is whatever the last user left.
    pub(super) fn take(&self, size: usize) -> io::Result<Buffer> {
        let capacity = size.next_power_of_two().max(ALIGNMENT);
        let used = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.iter().position(|memory| memory.len() == capacity).map(|found| idle.swap_remove(found))
        };
        let memory = match used {
            Some(memory) => memory,
            None => MmapMut::map_anon(capacity)?,
        };
        Ok(Buffer { memory: Some(memory), home: Arc::clone(&self.idle) })
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

    #[test]
    fn buffers_are_aligned_and_used_again() {
        let buffers = Buffers::default();
        let first = buffers.take(10_000).expect("memory");
        assert_eq!(first.len(), 16_384);
        assert_eq!(first.as_ptr().align_offset(ALIGNMENT), 0);
        let address = first.as_ptr();
        drop(first);
        let again = buffers.take(9_000).expect("memory");
        assert_eq!(again.as_ptr(), address);
        assert_ne!(buffers.take(9_000).expect("memory").as_ptr(), address);
    }

    #[test]
    fn idle_memory_is_bounded() {
        let buffers = Buffers::default();
        let many: Vec<_> = (0..9).map(|_| buffers.take(16 << 20).expect("memory")).collect();
        drop(many);
        let idle = buffers.idle.lock().expect("lock");
        assert_eq!(idle.len(), IDLE_BYTES_MAX >> 24);
    }
}
