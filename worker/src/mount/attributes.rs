//! What `stat` says about a node.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo};
use jiff::Timestamp;
use strongroom_repository::{Entry, Kind, Time};

/// The size of the blocks that `blocks` counts.
const BLOCK_BYTES: u64 = 512;

/// The attributes of a node of a snapshot.
pub(super) fn of_entry(number: INodeNo, entry: &Entry) -> FileAttr {
    let mtime = system_time(entry.mtime);
    let (major, minor) = entry.device.unwrap_or_default();
    FileAttr {
        ino: number,
        size: match entry.kind {
            Kind::Symlink => entry.target.as_ref().map_or(0, |target| target.len() as u64),
            _ => entry.size,
        },
        blocks: entry.data_bytes().div_ceil(BLOCK_BYTES),
        atime: mtime,
        mtime,
        ctime: mtime,
        crtime: entry.birth.map_or(mtime, system_time),
        kind: kind(entry.kind),
        perm: entry.mode as u16 & 0o7777,
        // How many names a file has besides this one is not recorded, only that there are some.
        nlink: if entry.kind == Kind::Directory || entry.hardlink.is_some() { 2 } else { 1 },
        uid: entry.uid,
        gid: entry.gid,
        // The kernel folds device numbers into 32 bits; larger ones cannot be shown.
        rdev: rustix::fs::makedev(major, minor) as u32,
        blksize: 4096,
        flags: 0,
    }
}

/// The attributes of what the mount adds: directories and the link `latest`, which belong to nobody in particular.
pub(super) fn of_ours(number: INodeNo, kind: FileType, size: usize, time: Timestamp) -> FileAttr {
    let time = system_time(Time { seconds: time.as_second(), nanoseconds: time.subsec_nanosecond().max(0) as u32 });
    FileAttr {
        ino: number,
        size: size as u64,
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: 0o555,
        nlink: 2,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

/// The type of a node.
pub(super) fn kind(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharacterDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
    }
}

/// A time; the epoch if it is beyond what can be said.
fn system_time(time: Time) -> SystemTime {
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let base = if time.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    base.and_then(|base| base.checked_add(Duration::from_nanos(u64::from(time.nanoseconds)))).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_kept() {
        let time = system_time(Time { seconds: -10, nanoseconds: 999_999_999 });
        assert_eq!(UNIX_EPOCH.duration_since(time).unwrap(), Duration::new(9, 1));
        let time = system_time(Time { seconds: 10, nanoseconds: 1 });
        assert_eq!(time.duration_since(UNIX_EPOCH).unwrap(), Duration::new(10, 1));
        assert_eq!(system_time(Time { seconds: i64::MIN, nanoseconds: 0 }), UNIX_EPOCH - Duration::from_secs(1 << 63));
        assert_eq!(system_time(Time { seconds: i64::MAX, nanoseconds: u32::MAX }), UNIX_EPOCH);
    }
}
