//! Many lists in one compressed block.

use crate::codec::{Malformed, Reader, put_bytes};

/// A block is closed once it is that large: small enough that two threads share the work of even one host evenly, large enough to compress well.
const BYTES: usize = 1 << 20;
/// The names of one page are shorter than this: a page is no larger.
const BYTES_MAX: usize = BYTES + (8 << 20);
/// Names compress as well at a low level, and every search decompresses all of them.
const LEVEL: i32 = 3;

/// Some lists that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// How many.
    pub(super) lists: u32,
    /// Whether no more are added to it.
    pub(super) is_full: bool,
    /// zstd.
    pub(super) packed: Vec<u8>,
}

/// A block that is being made.
#[derive(Debug, Default)]
pub(super) struct Open {
    lists: u32,
    plain: Vec<u8>,
}

impl Block {
    /// The lists' bytes, for [`lists`].
    pub(super) fn unpack(&self) -> Result<Vec<u8>, Malformed> {
        zstd::bulk::decompress(&self.packed, BYTES_MAX).map_err(|_| Malformed { what: "block of names", at: 0 })
    }

    /// Takes it up again, to add to it.
    pub(super) fn reopen(&self) -> Result<Open, Malformed> {
        Ok(Open { lists: self.lists, plain: self.unpack()? })
    }
}

/// The lists in a block's bytes, in order.
pub(super) fn lists(plain: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    let mut from = Reader::new(plain);
    std::iter::from_fn(move || (!from.is_empty()).then(|| from.bytes("list of names")))
}

impl Open {
    /// Adds a list.
    pub(super) fn push(&mut self, list: &[u8]) {
        put_bytes(&mut self.plain, list);
        self.lists += 1;
    }

    /// Whether it is time to close it.
    pub(super) fn is_full(&self) -> bool {
        self.plain.len() >= BYTES
    }

    /// Closes it; none if there is nothing in it.
    pub(super) fn close(self) -> Result<Option<Block>, std::io::Error> {
        if self.lists == 0 {
            return Ok(None);
        }
        let packed = zstd::bulk::compress(&self.plain, LEVEL)?;
        Ok(Some(Block { lists: self.lists, is_full: self.is_full(), packed }))
    }
}
