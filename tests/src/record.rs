//! What a tree is, written down: every property of every entry that a restore has to bring back.
//!
//! The walk goes from folder to folder by file descriptor, so it follows trees that are deeper than any path may be long. It shares no code with the
//! product. Left out on purpose: change and birth times, inode numbers, sizes of folders and the flags that a file system sets for itself.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, IFlags, Mode, OFlags, SeekFrom, Stat, ioctl_getflags, openat, readlinkat, seek, statat,
};
use rustix::io::Errno;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Type and permission bits.
    pub mode: String,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Seconds and nanoseconds of the last modification.
    pub modified: (i64, u64),
    /// Size of what is not a folder.
    pub size: u64,
    /// Device number of a device.
    pub device: u64,
    /// The first name in walking order of the file that this is another name of.
    pub linked_to: Option<Vec<u8>>,
    /// Where a symbolic link points.
    pub target: Option<Vec<u8>>,
    /// Every extended attribute, POSIX ACLs and capabilities among them.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The flags of chattr(1) that a user sets.
    pub flags: u32,
    /// Start and end of each stretch of data.
    pub extents: Vec<(u64, u64)>,
    /// BLAKE3 of the data, and of where it lies.
    pub hash: Option<String>,
}

/// The flags that a restore answers for; others (extents, indexed folders) describe the file system.
const FLAGS: IFlags = IFlags::IMMUTABLE
    .union(IFlags::APPEND)
    .union(IFlags::NODUMP)
    .union(IFlags::NOATIME)
    .union(IFlags::SYNC)
    .union(IFlags::DIRSYNC)
    .union(IFlags::COMPRESSED)
    .union(IFlags::JOURNALING)
    .union(IFlags::TOPDIR)
    .union(IFlags::NOCOW);

/// Writes down everything at and below a path; names are relative to it.
pub fn record(root: &Path) -> Result<BTreeMap<Vec<u8>, Record>> {
    record_but(root, &[])
}

/// The same without some names, which are not even looked at.
pub fn record_but(root: &Path, but: &[&[u8]]) -> Result<BTreeMap<Vec<u8>, Record>> {
    let mut walk = Walk { but: but.iter().map(|name| name.to_vec()).collect(), ..Walk::default() };
    let folder = openat(CWD, root, FOLDER, Mode::empty()).with_context(|| format!("open {}", root.display()))?;
    let stat = rustix::fs::fstat(&folder)?;
    let record = walk.entry(CWD, root.as_os_str().as_encoded_bytes(), b"", &stat)?;
    walk.found.insert(Vec::new(), record);
    walk.below(folder, b"").with_context(|| format!("walk through {}", root.display()))?;
    Ok(walk.found)
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[derive(Default)]
struct Walk {
    but: Vec<Vec<u8>>,
    found: BTreeMap<Vec<u8>, Record>,
    first_names: HashMap<(u64, u64), Vec<u8>>,
}

impl Walk {
    /// Takes the folder's descriptor with it, so that only one is open on each level.
    fn below(&mut self, folder: OwnedFd, path: &[u8]) -> Result<()> {
        for name in names(&folder)? {
            let whole = if path.is_empty() { name.clone() } else { [path, b"/", &name].concat() };
            if self.but.contains(&whole) {
                continue;
            }
            let shown = || String::from_utf8_lossy(&whole).into_owned();
            let stat = statat(&folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW).with_context(shown)?;
            let record = self.entry(folder.as_fd(), &name, &whole, &stat).with_context(shown)?;
            self.found.insert(whole.clone(), record);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                self.below(openat(&folder, name.as_slice(), FOLDER, Mode::empty()).with_context(shown)?, &whole)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, folder: BorrowedFd<'_>, name: &[u8], whole: &[u8], stat: &Stat) -> Result<Record> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut record = Record {
            mode: format!("{kind:?} {:04o}", stat.st_mode & 0o7777),
            owner: (stat.st_uid, stat.st_gid),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            size: if kind == FileType::Directory { 0 } else { stat.st_size.cast_unsigned() },
            device: stat.st_rdev,
            linked_to: None,
            target: None,
            attributes: attributes(folder, name)?,
            flags: 0,
            extents: Vec::new(),
            hash: None,
        };
        match kind {
            FileType::Directory => record.flags = flags(&openat(folder, name, FOLDER, Mode::empty())?)?,
            FileType::Symlink => record.target = Some(readlinkat(folder, name, Vec::new())?.into_bytes()),
            FileType::RegularFile => file(folder, name, &mut record)?,
            _ => {}
        }
        if kind != FileType::Directory && stat.st_nlink > 1 {
            record.linked_to =
                Some(self.first_names.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| whole.to_vec()).clone());
        }
        Ok(record)
    }
}

/// Names in a folder, sorted.
fn names(folder: &OwnedFd) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn file(folder: BorrowedFd<'_>, name: &[u8], record: &mut Record) -> Result<()> {
    let opened = openat(folder, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    record.flags = flags(&opened)?;
    record.extents = extents(&opened, record.size)?;
    record.hash = Some(hash(File::from(opened), &record.extents)?);
    Ok(())
}

fn flags(file: &OwnedFd) -> Result<u32> {
    match ioctl_getflags(file) {
        Ok(flags) => Ok((flags & FLAGS).bits()),
        Err(Errno::NOTTY | Errno::NOTSUP) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// The stretches of data between a file's holes.
pub fn extents(file: &OwnedFd, size: u64) -> Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            start => start?,
        };
        at = seek(file, SeekFrom::Hole(start))?;
        found.push((start, at));
    }
    Ok(found)
}

/// Holes are not read: 3 GiB of them cost time and say nothing.
fn hash(file: File, extents: &[(u64, u64)]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    for (start, end) in extents {
        hasher.update(&start.to_le_bytes()).update(&end.to_le_bytes());
        let mut at = *start;
        while at < *end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            file.read_exact_at(&mut buffer[..wanted], at)?;
            hasher.update(&buffer[..wanted]);
            at += wanted as u64;
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// All extended attributes that this user may see; by way of /proc, because these calls know no folder descriptors.
fn attributes(folder: BorrowedFd<'_>, name: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let path = if name.starts_with(b"/") { name.to_vec() } else { [&through(folder), b"/".as_slice(), name].concat() };
    let mut list = vec![0; 64 * 1024];
    let used = match rustix::fs::llistxattr(path.as_slice(), list.as_mut_slice()) {
        Err(Errno::NOTSUP) => return Ok(BTreeMap::new()),
        used => used?,
    };
    let names = list[..used].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| Ok((name.to_vec(), attribute(&path, name)?))).collect()
}

fn attribute(path: &[u8], name: &[u8]) -> Result<Vec<u8>> {
    let mut value = vec![0; 64 * 1024];
    let used = rustix::fs::lgetxattr(path, name, value.as_mut_slice())?;
    value.truncate(used);
    Ok(value)
}

fn through(folder: BorrowedFd<'_>) -> Vec<u8> {
    format!("/proc/self/fd/{}", folder.as_raw_fd()).into_bytes()
}

/// The whole content of a file.
pub fn content(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).with_context(|| path.display().to_string())?;
    Ok(bytes)
}
