//! The host's own files.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, Gid, Mode, OFlags, StatxFlags, Uid, XattrFlags, chownat, fchmod, fchown, fremovexattr, fsetxattr,
    mkdirat, openat, readlinkat, renameat, statx, symlinkat, unlinkat,
};
use rustix::io::Errno;
use strongroom_repository::Kind;
use strongroom_repository::text::{escape, unescape};

use super::{Attributes, CONTENT_BYTES_MAX, Files, Node};
use crate::filesystem::{Root, Stat, attributes, open::file_at};

/// The host's own files, opened from one root without following a link.
#[derive(Debug)]
pub struct OnDisk {
    root: Root,
}

/// A name in an open directory.
struct Named {
    directory: OwnedFd,
    name: CString,
}

/// What a directory is opened with to look at itself.
const ITSELF: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl OnDisk {
    /// The files of this host.
    pub fn of_host() -> io::Result<Self> {
        Ok(Self { root: Root::of_host()? })
    }

    fn named(&self, path: &Path) -> io::Result<Named> {
        let (parent, name) = path.parent().zip(path.file_name()).ok_or(Errno::INVAL)?;
        let directory = self.root.place(below_root(parent))?;
        Ok(Named { directory, name: CString::new(name.as_bytes())? })
    }

    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.root.listing(below_root(path))
    }
}

impl Files for OnDisk {
    fn look(&self, path: &Path) -> io::Result<Node> {
        if path == Path::new("/") {
            let root = self.directory(path)?;
            return Ok(Node::Directory { attributes: of_open(root.as_fd())? });
        }
        let seen = self.named(path).and_then(|named| Ok((Stat::at(named.directory.as_fd(), &named.name)?, named)));
        let (stat, named) = match seen {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Node::Absent),
            seen => seen?,
        };
        match stat.kind() {
            Some(Kind::File) => {
                let file = file_at(named.directory.as_fd(), &named.name)?;
                let attributes = of_open(file.as_fd())?;
                let bytes = Stat::of(file.as_fd())?.size;
                Ok(Node::File { hash: hash_of(File::from(file))?, bytes, attributes })
            }
            Some(Kind::Directory) => {
                let directory = openat(&named.directory, &named.name, ITSELF, Mode::empty())?;
                Ok(Node::Directory { attributes: of_open(directory.as_fd())? })
            }
            Some(Kind::Symlink) => {
                let target = readlinkat(&named.directory, &named.name, Vec::new())?;
                Ok(Node::Symlink { target: escape(target.as_bytes()), uid: stat.uid, gid: stat.gid })
            }
            _ => Ok(Node::Special),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let named = self.named(path)?;
        let mut bytes = Vec::new();
        File::from(file_at(named.directory.as_fd(), &named.name)?)
            .take(CONTENT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        match bytes.len() as u64 > CONTENT_BYTES_MAX {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok(bytes),
        }
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let listing = match self.directory(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listing => listing?,
        };
        let mut names = Vec::new();
        for entry in Dir::new(listing)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(escape(entry.file_name().to_bytes()));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, path: &Path, content: &[u8], attributes: &Attributes) -> io::Result<()> {
        let named = self.named(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&named.directory, &named.name, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(content)?;
        give(file.as_fd(), attributes)
    }

    fn link(&self, path: &Path, target: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        let named = self.named(path)?;
        symlinkat(OsStr::from_bytes(target), &named.directory, &named.name)?;
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        Ok(chownat(&named.directory, &named.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let named = self.named(path)?;
        Ok(mkdirat(&named.directory, &named.name, Mode::RWXU)?)
    }

    fn set_attributes(&self, directory: &Path, attributes: &Attributes) -> io::Result<()> {
        give(self.directory(directory)?.as_fd(), attributes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.named(from)?, self.named(to)?);
        Ok(renameat(&from.directory, &from.name, &to.directory, &to.name)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let named = self.named(path)?;
        match unlinkat(&named.directory, &named.name, AtFlags::empty()) {
            Err(Errno::ISDIR) => Ok(unlinkat(&named.directory, &named.name, AtFlags::REMOVEDIR)?),
            removed => Ok(removed?),
        }
    }

    fn flush(&self, path: &Path) -> io::Result<()> {
        if path == Path::new("/") {
            return File::from(self.directory(path)?).sync_all();
        }
        let named = self.named(path)?;
        let stat = Stat::at(named.directory.as_fd(), &named.name)?;
        let node = match stat.kind() {
            Some(Kind::Directory) => openat(&named.directory, &named.name, ITSELF, Mode::empty())?,
            _ => file_at(named.directory.as_fd(), &named.name)?,
        };
        File::from(node).sync_all()
    }

    fn mount(&self, path: &Path) -> io::Result<u64> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let seen = match path == Path::new("/") {
            true => statx(self.directory(path)?, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?,
            false => {
                let named = self.named(path)?;
                statx(&named.directory, &named.name, flags, StatxFlags::MNT_ID)?
            }
        };
        // Kernels before 5.8 do not say: their device number is the next best.
        match seen.stx_mask & StatxFlags::MNT_ID.bits() {
            0 => Ok(u64::from(seen.stx_dev_major) << 32 | u64::from(seen.stx_dev_minor)),
            _ => Ok(seen.stx_mnt_id),
        }
    }
}

fn below_root(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    bytes.strip_prefix(b"/").unwrap_or(bytes)
}

fn of_open(node: BorrowedFd<'_>) -> io::Result<Attributes> {
    let stat = Stat::of(node)?;
    let extended = attributes::of(node)?.into_iter().map(|(name, value)| (escape(&name), escape(&value))).collect();
    Ok(Attributes { mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, extended })
}

/// The owner first: a change of owner takes capabilities and set-uid bits away. An ACL last: it says again what the mode says.
fn give(node: BorrowedFd<'_>, wanted: &Attributes) -> io::Result<()> {
    fchown(node, Some(Uid::from_raw(wanted.uid)), Some(Gid::from_raw(wanted.gid)))?;
    for (name, _) in attributes::of(node)? {
        if !wanted.extended.contains_key(&escape(&name)) && name != b"security.selinux" {
            fremovexattr(node, name.as_slice())?;
        }
    }
    fchmod(node, Mode::from_raw_mode(wanted.mode))?;
    for (name, value) in &wanted.extended {
        fsetxattr(node, unescape(name), &unescape(value), XattrFlags::empty())?;
    }
    Ok(())
}

fn hash_of(mut file: File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().to_hex().to_string()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::set::hash;
    use super::*;

    #[test]
    fn what_is_made_is_what_is_seen() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let at = |name: &str| folder.path().join(name);
        let disk = OnDisk::of_host().unwrap();
        let mut attributes = Attributes::private(0o750);
        attributes.extended.insert("user.note".to_owned(), "\\x00a".to_owned());
        disk.create(&at("file"), b"bytes", &attributes).unwrap();
        disk.make_directory(&at("dir")).unwrap();
        disk.set_attributes(&at("dir"), &attributes).unwrap();
        disk.link(&at("link"), b"tar\xffget", attributes.uid, attributes.gid).unwrap();
        let file = Node::File { hash: hash(b"bytes"), bytes: 5, attributes: attributes.clone() };
        assert_eq!(disk.look(&at("file")).unwrap(), file);
        assert_eq!(disk.look(&at("dir")).unwrap(), Node::Directory { attributes: attributes.clone() });
        let (uid, gid) = (attributes.uid, attributes.gid);
        assert_eq!(disk.look(&at("link")).unwrap(), Node::Symlink { target: "tar\\xffget".to_owned(), uid, gid });
        assert_eq!(disk.look(&at("none/below")).unwrap(), Node::Absent);
        assert_eq!(disk.names(folder.path()).unwrap(), ["dir", "file", "link"]);
        assert_eq!(disk.names(&at("none")).unwrap(), Vec::<String>::new());
        // An attribute that is not wanted goes.
        disk.set_attributes(&at("dir"), &Attributes::private(0o700)).unwrap();
        assert_eq!(disk.look(&at("dir")).unwrap(), Node::Directory { attributes: Attributes::private(0o700) });
        disk.rename(&at("file"), &at("dir/file")).unwrap();
        for (path, is_file) in [(at("dir"), false), (at("dir/file"), true)] {
            disk.flush(&path).unwrap();
            assert_eq!(disk.read(&path).is_ok(), is_file);
        }
        assert!(disk.remove(&at("dir")).is_err());
        disk.remove(&at("dir/file")).unwrap();
        disk.remove(&at("dir")).unwrap();
        assert_eq!(disk.mount(folder.path()).unwrap(), disk.mount(&at("link")).unwrap());
        assert_ne!(disk.mount(Path::new("/proc")).unwrap(), disk.mount(Path::new("/")).unwrap());
    }

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("real")).unwrap();
        std::os::unix::fs::symlink("real", at("link")).unwrap();
        let disk = OnDisk::of_host().unwrap();
        assert!(disk.look(&at("link/file")).is_err());
        let attributes = Attributes::private(0o600);
        assert!(disk.create(&at("link/file"), b"", &attributes).is_err());
        assert!(disk.set_attributes(&at("link"), &attributes).is_err());
        assert!(disk.create(&at("link"), b"", &attributes).is_err());
        std::fs::write(at("large"), vec![0; 17 << 20]).unwrap();
        assert_eq!(disk.read(&at("large")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
