//! A lane: one thread's way into the repository. Hash, known?, compress, seal.

use std::sync::Arc;

use zstd::zstd_safe::CParameter;

use super::Session;
use crate::error::Error;
use crate::ids::FileHash;
use crate::object::ObjectType;
use crate::pack::{StoredChunk, compress};
use crate::tree::entry::ChunkRef;

/// zstd's default. Measured on the Linux tree in 1 MiB frames: level 2 saves 0.7 of 6 CPU seconds and costs 13 of 203 MB; level 5 saves 15 MB for twice the time.
pub(crate) const ZSTD_LEVEL: i32 = 3;
/// Match tables of 2^16 entries instead of the level's 2^17 and 2^16: with both they stay in a core's second-level cache beside the data. 5 % less CPU for 0.35 % more
/// bytes, on the same tree.
const TABLE_LOG: u32 = 16;
/// Every 16th data frame is opened and compared before it leaves: at 1 GiB/s for decompression that is 0.08 s of CPU for 1.3 GB; all of them would be 1.3 s,
/// a fifth of the whole backup. Metadata is always checked, and the rest by the verifier that holds the key.
const CHECK_EVERY: u64 = 16;

/// One thread's way into the repository.
pub struct Lane {
    session: Arc<Session>,
    compressor: zstd::bulk::Compressor<'static>,
    /// The solid frame that small chunks share.
    plain: Vec<u8>,
    chunks: Vec<StoredChunk>,
    payload: Vec<u8>,
    frames: u64,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Lane({} bytes waiting)", self.plain.len())
    }
}

impl Session {
    /// A way into the session for one thread.
    pub fn lane(self: &Arc<Self>) -> Result<Lane, Error> {
        Ok(Lane {
            session: Arc::clone(self),
            compressor: compressor()?,
            plain: Vec::new(),
            chunks: Vec::new(),
            payload: Vec::new(),
            frames: 0,
        })
    }
}

/// A compressor of the repository's level.
pub(crate) fn compressor() -> Result<zstd::bulk::Compressor<'static>, Error> {
    let make = || {
        let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
        compressor.set_parameter(CParameter::HashLog(TABLE_LOG))?;
        compressor.set_parameter(CParameter::ChainLog(TABLE_LOG))?;
        Ok(compressor)
    };
    make().map_err(|error: std::io::Error| Error::Poisoned(format!("no compressor: {error}").into()))
}

impl Lane {
    /// Stores a chunk unless it is known, and returns its reference. Small chunks wait in this lane until their frame is full.
    pub fn add(&mut self, chunk: &[u8]) -> Result<ChunkRef, Error> {
        self.add_hashed(chunk, blake3::hash(chunk).as_bytes())
    }

    /// Stores a file that is one chunk and returns its hash; its entry says [`Content::Whole`](crate::Content::Whole).
    pub fn add_whole(&mut self, file: &[u8]) -> Result<FileHash, Error> {
        let hash = *blake3::hash(file).as_bytes();
        self.add_hashed(file, &hash)?;
        Ok(hash)
    }

    fn add_hashed(&mut self, chunk: &[u8], hash: &FileHash) -> Result<ChunkRef, Error> {
        let id = self.session.repository.key.shared.chunk_name(hash);
        let length = chunk.len() as u32;
        if self.session.claim(&id)? {
            self.store(StoredChunk { prefix: id.prefix(), length }, chunk)?;
        }
        Ok(ChunkRef { id, length })
    }

    fn store(&mut self, stored: StoredChunk, chunk: &[u8]) -> Result<(), Error> {
        let target = self.session.repository.config.parameters.frame_target as usize;
        if chunk.len() >= target / 2 {
            return self.seal(chunk, &[stored]);
        }
        if self.plain.len() + chunk.len() > target {
            self.flush()?;
        }
        self.plain.extend_from_slice(chunk);
        self.chunks.push(stored);
        Ok(())
    }

    /// Seals what is waiting. To be called when the thread has no more chunks: what is not flushed is not stored, and the commit would miss it.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.chunks.is_empty() {
            return Ok(());
        }
        let (plain, chunks) = (std::mem::take(&mut self.plain), std::mem::take(&mut self.chunks));
        let sealed = self.seal(&plain, &chunks);
        (self.plain, self.chunks) = (plain, chunks);
        self.plain.clear();
        self.chunks.clear();
        sealed
    }

    fn seal(&mut self, plain: &[u8], chunks: &[StoredChunk]) -> Result<(), Error> {
        let compression = compress(&mut self.compressor, plain, &mut self.payload);
        let check = self.frames.is_multiple_of(CHECK_EVERY).then_some(plain);
        self.frames += 1;
        let sealed = self.session.packer.append(ObjectType::Pack, compression, &self.payload, chunks, check)?;
        self.session.count(plain.len(), sealed);
        Ok(())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if !self.chunks.is_empty() {
            // Whoever drops a lane in the middle gives the backup up; a commit after that would name chunks that were never stored.
            self.session.packer.poison("a lane was dropped with chunks that were not flushed");
        }
    }
}
