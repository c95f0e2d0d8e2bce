//! The place where a restore is built before anything of it is seen: a directory in the target, on the same file system, that only its owner enters.
//!
//! ```text
//! TARGET/.strongroom-restore-<snapshot>-<request>/
//!     lock     held while a run works here
//!     tree/    what is restored, by its path in the snapshot
//!     note     written when all of tree/ is flushed, read back and equal: from then on it is being put in place
//! ```
//!
//! A target with such a directory in it is unfinished. The next run of the same request continues: without the note by building, with it by putting
//! in place. The request is part of the name because what is staged depends on it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, fstatfs, fsync, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use strongroom_repository::text::escape;
use strongroom_repository::{FileLock, ObjectId, Snapshot};

use super::bypass::Bypass;
use super::error::RestoreError;
use super::flags;
use super::options::RestoreOptions;
use super::report::{Medium, RestoreReport};
use super::selection::Selection;
use crate::filesystem::{Root, Stat};

/// How staging directories begin.
pub(super) const PREFIX: &str = ".strongroom-restore-";

/// How the directories of replaced files begin.
pub(super) const ASIDE_PREFIX: &str = ".strongroom-replaced-";

/// File systems that are memory: tmpfs and ramfs, from linux/magic.h.
const MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// The name of the staging directory for a request.
pub(super) fn name(snapshot: &Snapshot, selection: &Selection, options: &RestoreOptions) -> String {
    let mut hasher = blake3::Hasher::new();
    for path in selection.paths() {
        hasher.update(&(path.len() as u64).to_le_bytes()).update(path);
    }
    hasher.update(format!("{:?} {:?} {:?}", options.overwrite, options.replaced, options.owners).as_bytes());
    format!("{PREFIX}{}-{}", short(&snapshot.id), &hasher.finalize().to_hex()[..16])
}

/// The name of the directory for what a restore of this snapshot replaces.
pub(super) fn aside_name(snapshot: &ObjectId) -> String {
    format!("{ASIDE_PREFIX}{}", short(snapshot))
}

fn short(snapshot: &ObjectId) -> String {
    snapshot.hex()[..16].to_owned()
}

/// What is known when everything is staged and verified.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Note {
    /// The report up to here.
    pub(super) report: RestoreReport,
    /// Nodes that get flags which forbid changes, when they are in place.
    pub(super) flagged: Vec<Flagged>,
}

/// A node with flags that forbid changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flagged {
    /// Escaped path.
    pub(super) path: String,
    /// All of its flags.
    pub(super) flags: u32,
}

/// Whether a staging directory was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    New,
    Unfinished,
}

/// An open and locked staging directory.
#[derive(Debug)]
pub(super) struct Staging {
    /// The target, open.
    target: File,
    directory: File,
    _lock: FileLock,
    name: String,
    path: PathBuf,
    found: Found,
    medium: Medium,
    bypass: Bypass,
}

impl Staging {
    /// Opens or makes the staging directory, and the target if need be. Blocking.
    pub(super) fn open(target: &Path, name: &str) -> Result<Self, RestoreError> {
        let path = target.join(name);
        let fault = |doing| RestoreError::target(doing, escape(path.as_os_str().as_encoded_bytes()));
        std::fs::create_dir_all(target).map_err(fault("create the target for"))?;
        let target = File::open(target).map_err(fault("open the target of"))?;
        loop {
            let directory = enter(&target, name).map_err(fault("create"))?;
            let lock = open_lock(&directory).map_err(fault("lock"))?;
            let Some(lock) = FileLock::take(lock).map_err(fault("lock"))? else { return Err(RestoreError::Busy(path)) };
            // Whoever held the lock before may have finished and removed what we have just locked.
            if !is_still_there(&target, name, &directory).map_err(fault("open"))? {
                continue;
            }
            let found = make_tree(&directory).map_err(fault("create"))?;
            let medium = medium(&directory).map_err(fault("inspect"))?;
            let bypass = Bypass::probe(directory.as_fd()).map_err(fault("try out"))?;
            let name = name.to_owned();
            return Ok(Self { target, directory, _lock: lock, name, path, found, medium, bypass });
        }
    }

    /// Where it is, for people.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn found(&self) -> Found {
        self.found
    }

    /// How files here are read past the cache.
    pub(super) fn bypass(&self) -> Bypass {
        self.bypass
    }

    pub(super) fn medium(&self) -> Medium {
        self.medium
    }

    /// The root of what is staged.
    pub(super) fn tree(&self) -> io::Result<Root> {
        // Through /proc the path leads to the directory that is open, whatever happens to its name meanwhile.
        Root::at(Path::new(&format!("/proc/self/fd/{}/tree", self.directory.as_raw_fd())))
    }

    /// The root of the target.
    pub(super) fn target(&self) -> io::Result<Root> {
        Root::at(Path::new(&format!("/proc/self/fd/{}/.", self.target.as_raw_fd())))
    }

    /// Writes everything that is in memory for this file system to its disk.
    pub(super) fn flush(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.directory)?)
    }

    /// The note, if this restore was being put in place.
    pub(super) fn note(&self) -> Result<Option<Note>, RestoreError> {
        let path = || self.path.join("note");
        let fault =
            |source: io::Error| RestoreError::target("read", escape(path().as_os_str().as_encoded_bytes()))(source);
        let file =
            match openat(&self.directory, "note", OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
                Ok(file) => File::from(file),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(fault(errno.into())),
            };
        let text = io::read_to_string(file).map_err(fault)?;
        serde_json::from_str(&text).map(Some).map_err(|source| RestoreError::Note { path: path(), source })
    }

    /// Leaves the note, durably.
    pub(super) fn leave_note(&self, note: &Note) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.directory, "note.new", flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(&serde_json::to_vec(note)?)?;
        file.sync_all()?;
        renameat(&self.directory, "note.new", &self.directory, "note")?;
        Ok(fsync(&self.directory)?)
    }

    /// Removes the staging directory, which must be empty of restored files. The note goes last but one: as long as it is there, the next run
    /// only has this to do again.
    pub(super) fn remove(self) -> io::Result<()> {
        let absent_is_fine = |result| match result {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(io::Error::from(errno)),
        };
        for left_over in ["note.new", "probe"] {
            absent_is_fine(unlinkat(&self.directory, left_over, AtFlags::empty()))?;
        }
        absent_is_fine(unlinkat(&self.directory, "tree", AtFlags::REMOVEDIR))?;
        absent_is_fine(unlinkat(&self.directory, "note", AtFlags::empty()))?;
        absent_is_fine(unlinkat(&self.directory, "lock", AtFlags::empty()))?;
        absent_is_fine(unlinkat(&self.target, self.name.as_str(), AtFlags::REMOVEDIR))?;
        Ok(fsync(&self.target)?)
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Makes the directory unless it is there, and makes sure that nobody else prepared it.
fn enter(target: &File, name: &str) -> io::Result<File> {
    match mkdirat(target, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let directory = openat(target, name, DIRECTORY, Mode::empty())?;
    let stat = Stat::of(directory.as_fd())?;
    if stat.uid != rustix::process::geteuid().as_raw() || stat.mode & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user or is open to others"));
    }
    Ok(File::from(directory))
}

fn open_lock(directory: &File) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(directory, "lock", flags, Mode::RUSR | Mode::WUSR)?.into())
}

fn is_still_there(target: &File, name: &str, directory: &File) -> io::Result<bool> {
    let held = Stat::of(directory.as_fd())?;
    match statat(target, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(found.st_ino == held.inode),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes the directory of what is staged. Default ACLs, flags and set-group-id that the target hands down must not reach the restored files.
fn make_tree(directory: &File) -> io::Result<Found> {
    let found = match mkdirat(directory, "tree", Mode::RWXU) {
        Ok(()) => Found::New,
        Err(Errno::EXIST) => Found::Unfinished,
        Err(errno) => return Err(errno.into()),
    };
    let tree = openat(directory, "tree", DIRECTORY, Mode::empty())?;
    for acl in ["system.posix_acl_default", "system.posix_acl_access"] {
        match rustix::fs::fremovexattr(&tree, acl) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    rustix::fs::fchmod(&tree, Mode::RWXU)?;
    if let Err(error) = flags::set(tree.as_fd(), 0) {
        tracing::debug!(%error, "inode flags of the target may be inherited");
    }
    Ok(found)
}

fn medium(directory: &File) -> io::Result<Medium> {
    let magic = fstatfs(directory)?.f_type as u32;
    Ok(if MEMORY.contains(&magic) { Medium::Memory } else { Medium::Disk })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const NAME: &str = ".strongroom-restore-test";

    #[test]
    fn one_run_at_a_time_and_nothing_is_left() {
        let top = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let target = top.path().join("deep/target");
        let staging = Staging::open(&target, NAME).unwrap();
        assert_eq!(staging.found(), Found::New);
        assert!(matches!(Staging::open(&target, NAME), Err(RestoreError::Busy(_))));
        drop(staging);
        let staging = Staging::open(&target, NAME).unwrap();
        assert_eq!(staging.found(), Found::Unfinished);
        assert!(staging.note().unwrap().is_none());
        assert_eq!(staging.medium(), Medium::Disk);
        staging.remove().unwrap();
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_somebody_prepared_is_refused() {
        let top = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        std::fs::create_dir(top.path().join("elsewhere")).unwrap();
        symlink("elsewhere", top.path().join(NAME)).unwrap();
        assert!(matches!(Staging::open(top.path(), NAME), Err(RestoreError::Target { .. })));
        std::fs::remove_file(top.path().join(NAME)).unwrap();
        std::fs::create_dir(top.path().join(NAME)).unwrap();
        std::fs::set_permissions(top.path().join(NAME), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Staging::open(top.path(), NAME), Err(RestoreError::Target { .. })));
        assert_eq!(std::fs::read_dir(top.path().join("elsewhere")).unwrap().count(), 0);
    }

    #[test]
    fn set_group_id_and_default_acls_are_not_handed_down() {
        let top = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        std::fs::set_permissions(top.path(), std::fs::Permissions::from_mode(0o2755)).unwrap();
        let acl = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x04\0\x01\0\0\0\x04\0\x05\0\xff\xff\xff\xff\x10\0\x05\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
        let directory = File::open(top.path()).unwrap();
        rustix::fs::fsetxattr(&directory, "system.posix_acl_default", acl, rustix::fs::XattrFlags::empty()).unwrap();
        let staging = Staging::open(top.path(), NAME);
        let staging = staging.unwrap();
        let tree = std::fs::metadata(staging.path().join("tree")).unwrap();
        assert_eq!(tree.permissions().mode() & 0o7777, 0o700);
        let open = File::open(staging.path().join("tree")).unwrap();
        assert_eq!(crate::filesystem::attributes::of(open.as_fd()).unwrap(), []);
    }
}
