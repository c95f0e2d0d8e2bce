//! A binary-fuse filter in front of each run: about 9 bits a chunk say "not here" without touching the run (1 in 256 is a false alarm).

use std::path::Path;

use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter as _, FilterRef as _};

use super::run::Run;
use crate::cache;
use crate::ids::ChunkId;

/// A filter, kept in memory.
#[derive(Debug)]
pub(crate) enum Filter {
    Built(BinaryFuse8),
    /// Descriptor and fingerprints as they lay in the cache.
    Loaded(Vec<u8>),
    /// Could not be built: everything may be here.
    Absent,
}

const DESCRIPTOR: usize = <BinaryFuse8 as DmaSerializable>::DESCRIPTOR_LEN;

fn key(prefix: &[u8; 16]) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&prefix[..8]);
    u64::from_le_bytes(eight)
}

impl Filter {
    /// Loads the filter of a run from its cache file, or builds it and fills the file.
    pub(crate) fn of(run: &Run, path: &Path) -> Self {
        if let Ok(bytes) = cache::read(path)
            && bytes.len() > DESCRIPTOR
        {
            return Self::Loaded(bytes);
        }
        let filter = Self::build(run);
        if let Self::Built(filter) = &filter {
            let mut content = vec![0; DESCRIPTOR];
            filter.dma_copy_descriptor_to(&mut content);
            content.extend_from_slice(filter.dma_fingerprints());
            if let Err(error) = cache::write(path, &content) {
                tracing::debug!(%error, "filter not cached");
            }
        }
        filter
    }

    fn build(run: &Run) -> Self {
        let mut keys: Vec<u64> = (0..run.chunk_count()).map(|at| key(&run.prefix(at))).collect();
        keys.sort_unstable();
        keys.dedup();
        BinaryFuse8::try_from(keys).map_or(Self::Absent, Self::Built)
    }

    /// False only if the run does not hold the chunk.
    pub(crate) fn may_hold(&self, id: &ChunkId) -> bool {
        let key = key(&id.prefix());
        match self {
            Self::Built(filter) => filter.contains(&key),
            Self::Loaded(bytes) => {
                let (descriptor, fingerprints) = bytes.split_at(DESCRIPTOR);
                BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&key)
            }
            Self::Absent => true,
        }
    }
}
