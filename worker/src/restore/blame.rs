//! Whose fault it is that a file came back different: the disk's, the repository's, or that of whoever wrote the snapshot.
//!
//! Asked only about files that did. The answer decides whether the restore failed or a file is lost, so it is worth fetching the file again.

use std::sync::Arc;

use strongroom_repository::{ChunkRef, Entry, Error, ErrorKind, Repository, chain};
use tokio::runtime::Handle;

use super::report::ProblemKind;

/// Fetches content again.
#[derive(Debug, Clone)]
pub(super) struct Blame {
    pub(super) repository: Arc<Repository>,
    /// The readers' threads may wait for it.
    pub(super) runtime: Handle,
}

impl Blame {
    /// Whose fault it is, and a word about it.
    pub(super) fn of(&self, entry: &Entry, chunks: &[ChunkRef]) -> (ProblemKind, String) {
        let stored = self.runtime.block_on(stored_hash(&self.repository, entry, chunks));
        match stored {
            Ok(stored) if Some(stored) == entry.hash => {
                (ProblemKind::Mismatch, "its content, read back, is not the one at the source".into())
            }
            Ok(_) => (
                ProblemKind::Malformed,
                "its content in the repository is not the one that was hashed at the source".into(),
            ),
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                (ProblemKind::Repository, chain(&error))
            }
            // It cannot be known now. The disk is what was just seen to be wrong.
            Err(error) => (
                ProblemKind::Mismatch,
                format!("it came back different, and the repository cannot say more: {}", chain(&error)),
            ),
        }
    }
}

/// The hash of a file as the repository has it.
async fn stored_hash(repository: &Repository, entry: &Entry, chunks: &[ChunkRef]) -> Result<[u8; 32], Error> {
    let mut hasher = Spread { hasher: blake3::Hasher::new(), at: 0 };
    let mut runs = entry.extents.clone().unwrap_or_default().into_iter();
    let mut run = runs.next();
    for chunk in chunks {
        let bytes = repository.read_chunk(chunk).await?;
        let mut rest = &bytes[..];
        while let Some(extent) = run.as_mut().filter(|_| !rest.is_empty()) {
            hasher.zeros_to(extent.offset);
            let (now, later) = rest.split_at(rest.len().min(extent.length as usize));
            hasher.add(now);
            (extent.offset, extent.length) = (extent.offset + now.len() as u64, extent.length - now.len() as u64);
            rest = later;
            if extent.length == 0 {
                run = runs.next();
            }
        }
        hasher.add(rest);
    }
    hasher.zeros_to(entry.size);
    Ok(*hasher.hasher.finalize().as_bytes())
}

/// Content with its holes as zeros.
struct Spread {
    hasher: blake3::Hasher,
    at: u64,
}

impl Spread {
    fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
    }

    fn zeros_to(&mut self, offset: u64) {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.at < offset {
            let length = (offset - self.at).min(ZEROS.len() as u64);
            self.add(&ZEROS[..length as usize]);
        }
    }
}
