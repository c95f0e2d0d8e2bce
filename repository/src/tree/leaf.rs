//! Leaf pages: the entries themselves, grouped by directory.

use std::ops::Range;
use std::sync::Arc;

use super::entry::{self, Entry};
use super::owners::{OwnerTables, OwnersInUse};
use crate::codec::{Malformed, Reader, put_bytes, put_varint};

/// The kind byte of a leaf.
pub const KIND: u8 = 0;

/// An entry with the directory that it is in.
pub type Located = (Arc<[u8]>, Entry);

/// A leaf that is being written.
#[derive(Debug, Default)]
pub struct LeafBuilder {
    owners: OwnersInUse,
    groups: Vec<Group>,
    entries: u32,
    content_bytes: u64,
    encoded_bytes: usize,
}

#[derive(Debug)]
struct Group {
    directory: Vec<u8>,
    count: u32,
    encoded: Vec<u8>,
}

impl LeafBuilder {
    /// Appends an entry; the caller keeps the tree's order.
    pub fn push(&mut self, directory: &[u8], entry: &Entry) {
        if self.groups.last().is_none_or(|group| group.directory != directory) {
            self.groups.push(Group { directory: directory.to_vec(), count: 0, encoded: Vec::new() });
        }
        if let Some(group) = self.groups.last_mut() {
            let before = group.encoded.len();
            entry::encode(entry, &mut self.owners, &mut group.encoded);
            group.count += 1;
            self.encoded_bytes += group.encoded.len() - before;
        }
        self.entries += 1;
        self.content_bytes += entry.size;
    }

    /// Entries so far.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// Sum of the sizes of the files so far.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Encoded bytes so far.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        self.encoded_bytes
    }

    /// The page's bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.encoded_bytes + 4096);
        page.push(KIND);
        self.owners.encode(&mut page);
        for group in &self.groups {
            put_bytes(&mut page, &group.directory);
            put_varint(&mut page, u64::from(group.count));
            page.extend_from_slice(&group.encoded);
        }
        page
    }
}

/// All entries of a leaf with their directories.
pub fn decode(page: &[u8]) -> Result<Vec<Located>, Malformed> {
    let mut entries = Vec::new();
    let mut leaf = LeafReader::new(page)?;
    while let Some((directory, entry)) = leaf.next_entry()? {
        entries.push((directory, entry));
    }
    Ok(entries)
}

/// Reads a leaf entry by entry.
#[derive(Debug)]
pub struct LeafReader<'a> {
    from: Reader<'a>,
    owners: OwnerTables,
    directory: Arc<[u8]>,
    left_in_group: usize,
}

impl<'a> LeafReader<'a> {
    /// Starts at the first entry.
    pub fn new(page: &'a [u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(page);
        if from.u8("page kind")? != KIND {
            return Err(Malformed { what: "page kind", at: 0 });
        }
        let owners = OwnerTables::decode(&mut from)?;
        Ok(Self { from, owners, directory: Arc::from(&b""[..]), left_in_group: 0 })
    }

    /// The next entry, or none at the end of the page.
    pub fn next_entry(&mut self) -> Result<Option<Located>, Malformed> {
        Ok(self.next_spanned()?.map(|(located, _)| located))
    }

    /// The next entry and the range of its bytes in the page.
    pub fn next_spanned(&mut self) -> Result<Option<(Located, Range<usize>)>, Malformed> {
        while self.left_in_group == 0 {
            if self.from.is_empty() {
                return Ok(None);
            }
            self.directory = Arc::from(self.from.bytes("directory")?);
            self.left_in_group = self.from.count(8, "group")?;
        }
        self.left_in_group -= 1;
        let start = self.from.position();
        let entry = entry::decode(&mut self.from, &self.owners)?;
        Ok(Some(((Arc::clone(&self.directory), entry), start..self.from.position())))
    }

    /// Decodes the entry that begins at byte `at` of the page, as [`Self::next_spanned`] reported it.
    pub fn entry_at(page: &'a [u8], at: usize) -> Result<Entry, Malformed> {
        let owners = Self::new(page)?.owners;
        let mut from = Reader::new(page);
        from.take(at, "entry")?;
        entry::decode(&mut from, &owners)
    }
}
