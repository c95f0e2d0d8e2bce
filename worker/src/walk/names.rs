//! The names in one directory, sorted, in memory that is used again for the next.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::RawDir;

/// One call of `getdents64` fills this, in bytes: some 1500 names, so that nearly every directory takes one call and one that finds the end.
const BUFFER_BYTES: usize = 64 * 1024;

/// Sorted names.
#[derive(Debug)]
pub(super) struct Names {
    buffer: Box<[MaybeUninit<u8>]>,
    /// The names, each with its final zero.
    bytes: Vec<u8>,
    items: Vec<Item>,
}

/// Where a name is, and its first eight bytes as a number that sorts alike: most comparisons end there.
#[derive(Debug, Clone, Copy)]
struct Item {
    key: u64,
    start: u32,
    length: u32,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![MaybeUninit::uninit(); BUFFER_BYTES].into_boxed_slice(),
            bytes: Vec::new(),
            items: Vec::new(),
        }
    }

    /// A place holder without a buffer.
    pub(super) fn empty() -> Self {
        Self { buffer: Box::default(), bytes: Vec::new(), items: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    /// Reads all names of an open directory. After an error, those that were read before it are there.
    pub(super) fn read(&mut self, directory: BorrowedFd<'_>) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_with(directory, &mut buffer);
        self.buffer = buffer;
        self.sort();
        result
    }

    fn read_with(&mut self, directory: BorrowedFd<'_>, buffer: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let mut entries = RawDir::new(directory, buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                self.push(name)?;
            }
        }
        Ok(())
    }

    /// Adds a name; [`Self::sort`] is the caller's.
    pub(super) fn push(&mut self, name: &CStr) -> io::Result<()> {
        let start = u32::try_from(self.bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let bytes = name.to_bytes_with_nul();
        self.bytes.extend_from_slice(bytes);
        self.items.push(Item { key: sort_key(bytes), start, length: bytes.len() as u32 });
        Ok(())
    }

    pub(super) fn sort(&mut self) {
        let Self { bytes, items, .. } = self;
        let name = |item: &Item| &bytes[item.start as usize..][..item.length as usize];
        items.sort_unstable_by(|left, right| left.key.cmp(&right.key).then_with(|| name(left).cmp(name(right))));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.items.iter().filter_map(|item| self.name(item))
    }

    pub(super) fn contains(&self, wanted: &[u8]) -> bool {
        self.items.binary_search_by(|item| self.name(item).map_or(&b""[..], CStr::to_bytes).cmp(wanted)).is_ok()
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let Self { bytes, items, .. } = self;
        items.retain(|item| keep(&bytes[item.start as usize..][..item.length as usize - 1]));
    }

    fn name(&self, item: &Item) -> Option<&CStr> {
        CStr::from_bytes_with_nul(&self.bytes[item.start as usize..][..item.length as usize]).ok()
    }
}

/// The final zero and the padding sort before every other byte, as the end of a name does.
fn sort_key(name: &[u8]) -> u64 {
    let mut first = [0; 8];
    let count = name.len().min(8);
    first[..count].copy_from_slice(&name[..count]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    #[test]
    fn names_sort_bytewise() {
        let mut expect: Vec<&[u8]> =
            vec![b"a", b"ab", b"abcdefgh", b"abcdefghi", b"abcdefgh1", b"A", b"\xff", b"abcdefg", b"a\x01", b"b"];
        let mut names = Names::new();
        for name in &expect {
            names.push(&CString::new(*name).unwrap()).unwrap();
        }
        names.sort();
        expect.sort_unstable();
        let sorted: Vec<&[u8]> = names.iter().map(CStr::to_bytes).collect();
        assert_eq!(sorted, expect);
        assert!(names.contains(b"abcdefgh1") && !names.contains(b"abcdefgh2"));
        names.retain(|name| name == b"b");
        assert_eq!(names.iter().map(CStr::to_bytes).collect::<Vec<_>>(), [b"b"]);
    }
}
