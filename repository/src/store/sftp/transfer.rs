//! Bytes of one file, with many requests on the way.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::{GetRange, PutPayload};

use super::error::SftpError;
use super::session::{Handle, Session};

/// One request. Servers must take 32 KiB, and not every one takes more.
const REQUEST_BYTES: usize = 32 * 1024;

/// Requests on the way: 2 MiB, which is what sshd lets a channel have.
const REQUESTS_MAX: usize = 64;

impl Session {
    /// Writes the whole payload at the beginning of an empty file.
    pub(super) async fn write(&self, handle: &Handle<'_>, path: &str, payload: &PutPayload) -> Result<(), SftpError> {
        let mut offset = 0;
        let pieces = payload.iter().flat_map(|part| part.chunks(REQUEST_BYTES));
        let placed: Vec<(u64, &[u8])> = pieces
            .map(|piece| {
                let at = offset;
                offset += piece.len() as u64;
                (at, piece)
            })
            .collect();
        let write = |(at, piece): (u64, &[u8])| {
            let written = self.raw.write(handle.id.as_str(), at, piece.to_vec());
            async move { self.ask("write", path, written).await.map(drop) }
        };
        stream::iter(placed).map(write).buffer_unordered(REQUESTS_MAX).try_collect().await
    }

    /// Reads a range that lies inside the file.
    pub(super) async fn read(&self, handle: &Handle<'_>, path: &str, range: Range<u64>) -> Result<Bytes, SftpError> {
        let starts = range.clone().step_by(REQUEST_BYTES);
        let pieces = starts.map(|start| start..range.end.min(start + REQUEST_BYTES as u64));
        let read = |piece| self.read_piece(handle, path, piece);
        let mut bytes = Vec::with_capacity(range.end.saturating_sub(range.start) as usize);
        let mut read = stream::iter(pieces).map(read).buffered(REQUESTS_MAX);
        while let Some(piece) = read.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    /// The first bytes of a range that may pass the end of the file, in one request; none where it begins behind it, or counts from the end.
    pub(super) async fn read_beginning(
        &self,
        handle: &Handle<'_>,
        path: &str,
        range: &GetRange,
    ) -> Result<Bytes, SftpError> {
        let (start, wanted) = match range {
            GetRange::Bounded(range) => (range.start, range.end.saturating_sub(range.start)),
            GetRange::Offset(start) => (*start, u64::MAX),
            GetRange::Suffix(_) => return Ok(Bytes::new()),
        };
        let wanted = wanted.min(REQUEST_BYTES as u64) as u32;
        let read = self.ask("read", path, self.raw.read(handle.id.as_str(), start, wanted)).await?.data;
        // More than was asked for is no answer to it.
        Ok(if read.len() > wanted as usize { Bytes::new() } else { read.into() })
    }

    async fn read_piece(&self, handle: &Handle<'_>, path: &str, piece: Range<u64>) -> Result<Vec<u8>, SftpError> {
        let mut bytes = Vec::new();
        loop {
            let at = piece.start + bytes.len() as u64;
            let wanted = (piece.end - at) as u32;
            if wanted == 0 {
                return Ok(bytes);
            }
            let found = self.ask("read", path, self.raw.read(handle.id.as_str(), at, wanted)).await?.data;
            if found.is_empty() || found.len() > wanted as usize {
                let why = "it gave another number of bytes than it has".into();
                return Err(SftpError::Failed { doing: "read", path: path.into(), why });
            }
            bytes.extend_from_slice(&found);
        }
    }
}
