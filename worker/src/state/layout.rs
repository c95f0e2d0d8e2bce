//! The fixed parts of the body, byte for byte. All numbers are little-endian.

use strongroom_repository::tree::entry::{Kind, Time};

use crate::filesystem::Stat;
use crate::walk::Descent;

/// How a body begins. The digit is the version: another layout takes another digit, and the old file is left aside.
pub(super) const MAGIC: &[u8; 16] = b"strongroomstate1";

/// Size of a record: inode 8, ctime 8, mtime 8, size 8, device 4, mode 4, end of the name in the block's names 4, descent 4.
pub(super) const RECORD_BYTES: usize = 48;

/// Size of a row of the table of directories: offset 8, bytes of content 8, checksum 16, length 4, first entry 4, depth 4, directory after the
/// subtree 4, files 4, directories 4, others 4, zero 4.
pub(super) const ROW_BYTES: usize = 64;

const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

/// What tells whether a node changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Its number on the device; 0, which no node has, if the next run must read it again.
    pub inode: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Time of the last modification, likewise.
    pub mtime_ns: i64,
    /// Length in bytes.
    pub size: u64,
    /// The device.
    pub device: u32,
    /// Type and permissions.
    pub mode: u32,
}

impl Fingerprint {
    /// The fingerprint of a node.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.inode,
            ctime_ns: nanoseconds(stat.ctime),
            mtime_ns: nanoseconds(stat.mtime),
            size: stat.size,
            device: stat.device,
            mode: stat.mode,
        }
    }

    /// Whether a node has it.
    #[must_use]
    #[inline]
    pub fn matches(&self, stat: &Stat) -> bool {
        *self == Self::of(stat) && self.inode != 0
    }

    /// The same, so that nothing matches it.
    #[must_use]
    pub fn spoiled(self) -> Self {
        Self { inode: 0, ..self }
    }
}

/// Times beyond the years 1677 to 2262 meet at the ends of the range, which compares them as equal only among each other.
fn nanoseconds(time: Time) -> i64 {
    time.seconds.saturating_mul(NANOSECONDS_PER_SECOND).saturating_add(i64::from(time.nanoseconds))
}

/// One node as the last run saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// How to tell whether it changed.
    pub fingerprint: Fingerprint,
    /// Whether the walk went into it.
    pub descent: Descent,
}

impl Record {
    pub(super) fn encode(&self, name_end: u32, out: &mut Vec<u8>) {
        let print = &self.fingerprint;
        out.extend_from_slice(&print.inode.to_le_bytes());
        out.extend_from_slice(&print.ctime_ns.to_le_bytes());
        out.extend_from_slice(&print.mtime_ns.to_le_bytes());
        out.extend_from_slice(&print.size.to_le_bytes());
        out.extend_from_slice(&print.device.to_le_bytes());
        out.extend_from_slice(&print.mode.to_le_bytes());
        out.extend_from_slice(&name_end.to_le_bytes());
        out.extend_from_slice(&u32::from(self.descent == Descent::Enters).to_le_bytes());
    }

    /// The record and where its name ends.
    #[inline]
    pub(super) fn decode(bytes: &[u8; RECORD_BYTES]) -> (Self, u32) {
        let fingerprint = Fingerprint {
            inode: u64_at(bytes, 0),
            ctime_ns: u64_at(bytes, 8).cast_signed(),
            mtime_ns: u64_at(bytes, 16).cast_signed(),
            size: u64_at(bytes, 24),
            device: u32_at(bytes, 32),
            mode: u32_at(bytes, 36),
        };
        let descent = if u32_at(bytes, 44) == 0 { Descent::Stays } else { Descent::Enters };
        (Self { fingerprint, descent }, u32_at(bytes, 40))
    }
}

/// How many entries of which kind, and the sum of the files' lengths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Everything else.
    pub others: u64,
    /// Bytes in the files.
    pub bytes: u64,
}

impl Tallies {
    /// Counts a node.
    pub fn count(&mut self, kind: Kind, size_bytes: u64) {
        match kind {
            Kind::File => {
                self.files += 1;
                self.bytes += size_bytes;
            }
            Kind::Directory => self.directories += 1,
            _ => self.others += 1,
        }
    }

    /// Adds other tallies.
    pub fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.directories += other.directories;
        self.others += other.others;
        self.bytes += other.bytes;
    }

    /// Entries altogether.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.files + self.directories + self.others
    }
}

/// A row of the table of directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) checksum: [u8; 16],
    pub(super) first: u32,
    pub(super) depth: u32,
    pub(super) after: u32,
    pub(super) tallies: Tallies,
}

impl Row {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.tallies.bytes.to_le_bytes());
        out.extend_from_slice(&self.checksum);
        let Tallies { files, directories, others, .. } = self.tallies;
        // A directory's entries fit 32 bits: so does the number of all entries, which the writer checks.
        for number in
            [self.length, self.first, self.depth, self.after, files as u32, directories as u32, others as u32, 0]
        {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    pub(super) fn decode(bytes: &[u8; ROW_BYTES]) -> Self {
        let mut checksum = [0; 16];
        checksum.copy_from_slice(&bytes[16..32]);
        let tallies = Tallies {
            files: u32_at(bytes, 48).into(),
            directories: u32_at(bytes, 52).into(),
            others: u32_at(bytes, 56).into(),
            bytes: u64_at(bytes, 8),
        };
        Self {
            offset: u64_at(bytes, 0),
            length: u32_at(bytes, 32),
            checksum,
            first: u32_at(bytes, 36),
            depth: u32_at(bytes, 40),
            after: u32_at(bytes, 44),
            tallies,
        }
    }
}

/// What the state believes its parts by: half a BLAKE3, which is 2^64 tries to meet by accident.
pub(super) fn checksum(part: &[u8]) -> [u8; 16] {
    let mut checksum = [0; 16];
    checksum.copy_from_slice(&blake3::hash(part).as_bytes()[..16]);
    checksum
}

#[inline]
fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline]
fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_rows_come_back() {
        let fingerprint = Fingerprint {
            inode: 1 << 40,
            ctime_ns: -5,
            mtime_ns: i64::MAX,
            size: 7,
            device: 0xfff0_0001,
            mode: 0o100_644,
        };
        let record = Record { fingerprint, descent: Descent::Enters };
        let mut bytes = Vec::new();
        record.encode(99, &mut bytes);
        assert_eq!(Record::decode(bytes.as_slice().try_into().unwrap()), (record, 99));
        let tallies = Tallies { files: 1, directories: 2, others: 3, bytes: 1 << 50 };
        let row = Row { offset: 1 << 33, length: 2, checksum: [9; 16], first: 3, depth: 4, after: 5, tallies };
        let mut bytes = Vec::new();
        row.encode(&mut bytes);
        assert_eq!(Row::decode(bytes.as_slice().try_into().unwrap()), row);
    }
}
