//! Putting what was verified into its place.
//!
//! What is absent in the target is moved as a whole: one rename for the topmost directory. Directories that exist are entered, and what belongs into
//! them is moved there. Which is the case is read from the two trees as they are, so the same code begins and continues after a crash: what was
//! moved before is no longer staged.
//!
//! No path of the target is trusted: every step is taken from an open directory to a name in it, and no symbolic link is followed.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, chmodat, linkat, mkdirat, openat, renameat, renameat_with,
    unlinkat,
};
use rustix::io::Errno;
use strongroom_repository::tree::order;

use super::findings::Findings;
use super::options::{Overwrite, Replaced};
use super::report::ProblemKind;
use crate::filesystem::{Root, Stat};

const LISTING: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Puts a staged tree into a target.
#[derive(Debug)]
pub(super) struct Placer<'a> {
    pub(super) target: &'a Root,
    pub(super) overwrite: Overwrite,
    pub(super) replaced: Replaced,
    /// The name of the directory in the target for what is replaced.
    pub(super) aside: String,
    pub(super) findings: &'a Findings,
}

/// A directory of the staged tree and its counterpart.
struct Pair<'a> {
    staged: BorrowedFd<'a>,
    placed: BorrowedFd<'a>,
    path: &'a [u8],
}

/// What became of a name.
enum Placed {
    /// It is where it belongs.
    Moved,
    /// It stays staged, and was told.
    Stuck,
}

impl Placer<'_> {
    /// Moves everything. True if nothing is left in the staged tree.
    pub(super) fn place(&self, staged: &Root) -> io::Result<bool> {
        let (staged, placed) = (staged.listing(b"")?, self.target.listing(b"")?);
        self.merge(&Pair { staged: staged.as_fd(), placed: placed.as_fd(), path: b"" })
    }

    fn merge(&self, pair: &Pair<'_>) -> io::Result<bool> {
        let mut all = true;
        for name in names(pair.staged)? {
            let path = order::join(pair.path, name.to_bytes());
            match self.place_name(pair, &name, &path) {
                Ok(Placed::Moved) => {}
                Ok(Placed::Stuck) => all = false,
                Err(fault) => {
                    all = false;
                    self.findings.target_fault("put in place", &path, explained(fault));
                }
            }
            if self.findings.has_failed() {
                return Ok(false);
            }
        }
        Ok(all)
    }

    fn place_name(&self, pair: &Pair<'_>, name: &CStr, path: &[u8]) -> io::Result<Placed> {
        match rename_to_nothing(pair, name) {
            Ok(()) => return Ok(Placed::Moved),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let (staged, there) = (Stat::at(pair.staged, name)?, Stat::at(pair.placed, name)?);
        match (staged.is_directory(), there.is_directory()) {
            (true, true) => self.merge_directory(pair, name, path),
            _ if self.overwrite == Overwrite::Never => {
                self.conflict(path, "something appeared in its place during the restore, and is kept");
                Ok(Placed::Stuck)
            }
            (false, true) if self.replaced == Replaced::Remove => self.replace_empty_directory(pair, name, path),
            _ => self.replace(pair, name, path),
        }
    }

    fn merge_directory(&self, pair: &Pair<'_>, name: &CStr, path: &[u8]) -> io::Result<Placed> {
        // A directory that was complete may forbid its owner to take things out of it.
        chmodat(pair.staged, name, Mode::RWXU, AtFlags::empty())?;
        let staged = openat(pair.staged, name, LISTING, Mode::empty())?;
        let placed = openat(pair.placed, name, LISTING, Mode::empty())?;
        if !self.merge(&Pair { staged: staged.as_fd(), placed: placed.as_fd(), path })? {
            return Ok(Placed::Stuck);
        }
        unlinkat(pair.staged, name, AtFlags::REMOVEDIR)?;
        Ok(Placed::Moved)
    }

    fn replace_empty_directory(&self, pair: &Pair<'_>, name: &CStr, path: &[u8]) -> io::Result<Placed> {
        match unlinkat(pair.placed, name, AtFlags::REMOVEDIR) {
            Ok(()) => {
                renameat_with(pair.staged, name, pair.placed, name, RenameFlags::NOREPLACE)?;
                self.findings.replaced.add(1);
                Ok(Placed::Moved)
            }
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                self.conflict(path, "a directory that is not empty is in its place");
                Ok(Placed::Stuck)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Something that is no directory goes, or anything goes aside. What is staged stays what is to be placed until it is there, so that a run that was killed anywhere
    /// in this goes on with it: the two never change places.
    fn replace(&self, pair: &Pair<'_>, name: &CStr, path: &[u8]) -> io::Result<Placed> {
        let is_directory = Stat::at(pair.staged, name)?.is_directory() || Stat::at(pair.placed, name)?.is_directory();
        let is_there = match self.replaced {
            Replaced::SetAside => self.set_aside(pair, name, path, is_directory)?,
            Replaced::Remove if is_directory => {
                unlinkat(pair.placed, name, AtFlags::empty())?;
                false
            }
            Replaced::Remove => true,
        };
        match is_there {
            true => renameat(pair.staged, name, pair.placed, name)?,
            false => rename_to_nothing(pair, name)?,
        }
        self.findings.replaced.add(1);
        Ok(Placed::Moved)
    }

    /// True if what is replaced has one more name, and goes with the one that it had in the moment in which the new one comes. No directory can have two, and where
    /// a directory comes or goes there is nothing for that moment.
    fn set_aside(&self, pair: &Pair<'_>, name: &CStr, path: &[u8], is_directory: bool) -> io::Result<bool> {
        let aside = self.aside_directory(order::split(path).0)?;
        let there = Stat::at(pair.placed, name)?;
        let is_kept = |kept: Stat| (kept.device, kept.inode) == (there.device, there.inode);
        // A run that was killed here has named it already.
        if !is_directory && Stat::at(aside.as_fd(), name).is_ok_and(is_kept) {
            return Ok(true);
        }
        let free = free_name(aside.as_fd(), name)?;
        // Not everything can be linked, nor in every file system.
        if !is_directory && linkat(pair.placed, name, &aside, &free, AtFlags::empty()).is_ok() {
            return Ok(true);
        }
        renameat(pair.placed, name, &aside, free)?;
        Ok(false)
    }

    /// The directory for what is replaced, with the same path as in the target.
    fn aside_directory(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let mut directory = self.target.listing(b"")?;
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        for name in std::iter::once(self.aside.as_bytes()).chain(names) {
            match mkdirat(&directory, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            directory = openat(&directory, name, LISTING, Mode::empty())?;
        }
        Ok(directory)
    }

    fn conflict(&self, path: &[u8], why: &str) {
        self.findings.problem(path, ProblemKind::Conflict, why);
    }
}

/// Moves a name to where nothing is.
fn rename_to_nothing(pair: &Pair<'_>, name: &CStr) -> rustix::io::Result<()> {
    match try_rename_to_nothing(pair, name) {
        Err(Errno::ACCESS) => {}
        other => return other,
    }
    // Who is not root needs write permission on a directory to move it elsewhere: it is lent for the moment.
    let stat = rustix::fs::statat(pair.staged, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Errno::ACCESS);
    }
    chmodat(pair.staged, name, Mode::RWXU, AtFlags::empty())?;
    let renamed = try_rename_to_nothing(pair, name);
    let now_in = if renamed.is_ok() { pair.placed } else { pair.staged };
    chmodat(now_in, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    renamed
}

fn try_rename_to_nothing(pair: &Pair<'_>, name: &CStr) -> rustix::io::Result<()> {
    match renameat_with(pair.staged, name, pair.placed, name, RenameFlags::NOREPLACE) {
        // The file system cannot promise it: look first.
        Err(Errno::INVAL | Errno::NOSYS) => match rustix::fs::statat(pair.placed, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => renameat(pair.staged, name, pair.placed, name),
            Err(errno) => Err(errno),
        },
        other => other,
    }
}

fn explained(fault: io::Error) -> io::Error {
    match Errno::from_io_error(&fault) {
        Some(Errno::XDEV) => {
            io::Error::other("its place is on another file system than the target: restore it with a target there")
        }
        _ => fault,
    }
}

/// The names in a directory, sorted, so that runs are alike.
fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let again = openat(directory, ".", LISTING, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(again)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The name itself, or with a number if an earlier restore has set something of that name aside.
fn free_name(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<CString> {
    let mut free = name.to_owned();
    for number in 1..u32::MAX {
        match rustix::fs::statat(directory, &free, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(free),
            Err(errno) => return Err(errno.into()),
            Ok(_) => free = CString::new([name.to_bytes(), format!("~{number}").as_bytes()].concat())?,
        }
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    /// Places what `staged` has made and gives the problems.
    fn place(top: &Path, overwrite: Overwrite, replaced: Replaced) -> (bool, Vec<String>) {
        let (staged, target) = (Root::at(&top.join("staged")).unwrap(), Root::at(&top.join("target")).unwrap());
        let findings = Findings::default();
        let placer = Placer { target: &target, overwrite, replaced, aside: "aside".into(), findings: &findings };
        let all = placer.place(&staged).unwrap();
        (all, findings.problems().0.into_iter().map(|problem| problem.path).collect())
    }

    fn write(path: &Path, content: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn tree() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        for part in ["staged", "target"] {
            fs::create_dir(top.path().join(part)).unwrap();
        }
        write(&top.path().join("staged/etc/new/deep"), "new");
        write(&top.path().join("staged/etc/both"), "new");
        write(&top.path().join("target/etc/both"), "old");
        write(&top.path().join("target/etc/own"), "own");
        top
    }

    fn read(top: &tempfile::TempDir, path: &str) -> String {
        fs::read_to_string(top.path().join(path)).unwrap()
    }

    #[test]
    fn what_is_absent_moves_and_what_exists_is_merged() {
        let top = tree();
        assert_eq!(place(top.path(), Overwrite::Always, Replaced::Remove), (true, vec![]));
        for (path, content) in [("etc/new/deep", "new"), ("etc/both", "new"), ("etc/own", "own")] {
            assert_eq!(read(&top, &format!("target/{path}")), content);
        }
        assert_eq!(fs::read_dir(top.path().join("staged")).unwrap().count(), 0);
        assert_eq!(place(top.path(), Overwrite::Always, Replaced::Remove), (true, vec![]), "again is the same as once");
    }

    #[test]
    fn nothing_that_exists_is_touched_when_it_is_to_be_kept() {
        let top = tree();
        assert_eq!(place(top.path(), Overwrite::Never, Replaced::Remove), (false, vec!["etc/both".into()]));
        assert_eq!((read(&top, "target/etc/both"), read(&top, "target/etc/new/deep")), ("old".into(), "new".into()));
    }

    #[test]
    fn replaced_files_go_aside_under_names_of_their_own() {
        let top = tree();
        assert_eq!(place(top.path(), Overwrite::Changed, Replaced::SetAside), (true, vec![]));
        write(&top.path().join("staged/etc/both"), "newer");
        assert_eq!(place(top.path(), Overwrite::Changed, Replaced::SetAside), (true, vec![]));
        for (path, content) in [("etc/both", "newer"), ("aside/etc/both", "old"), ("aside/etc/both~1", "new")] {
            assert_eq!(read(&top, &format!("target/{path}")), content);
        }
    }

    /// As after a kill between the two steps: the old file has its further name, and the new one is still staged.
    #[test]
    fn what_was_set_aside_before_a_kill_is_not_set_aside_again() {
        let top = tree();
        fs::create_dir_all(top.path().join("target/aside/etc")).unwrap();
        fs::hard_link(top.path().join("target/etc/both"), top.path().join("target/aside/etc/both")).unwrap();
        assert_eq!(place(top.path(), Overwrite::Changed, Replaced::SetAside), (true, vec![]));
        assert_eq!((read(&top, "target/etc/both"), read(&top, "target/aside/etc/both")), ("new".into(), "old".into()));
        assert!(!top.path().join("target/aside/etc/both~1").exists());
    }

    #[test]
    fn a_directory_gives_way_only_if_nothing_is_lost() {
        let top = tree();
        fs::remove_file(top.path().join("target/etc/both")).unwrap();
        write(&top.path().join("target/etc/both/inside"), "precious");
        assert_eq!(place(top.path(), Overwrite::Always, Replaced::Remove), (false, vec!["etc/both".into()]));
        assert_eq!(read(&top, "target/etc/both/inside"), "precious");
        assert_eq!(place(top.path(), Overwrite::Always, Replaced::SetAside), (true, vec![]));
        assert_eq!(read(&top, "target/aside/etc/both/inside"), "precious");
    }

    #[test]
    fn a_link_in_the_target_leads_nowhere() {
        for (overwrite, replaced) in [(Overwrite::Always, Replaced::Remove), (Overwrite::Changed, Replaced::SetAside)] {
            let top = tree();
            fs::rename(top.path().join("target/etc"), top.path().join("outside")).unwrap();
            symlink("../outside", top.path().join("target/etc")).unwrap();
            assert_eq!(place(top.path(), overwrite, replaced), (true, vec![]));
            assert_eq!(read(&top, "outside/both"), "old");
            assert!(!top.path().join("outside/new").exists());
            assert_eq!(read(&top, "target/etc/both"), "new");
        }
        let top = tree();
        fs::rename(top.path().join("target/etc"), top.path().join("outside")).unwrap();
        symlink("../outside", top.path().join("target/etc")).unwrap();
        assert_eq!(place(top.path(), Overwrite::Never, Replaced::Remove), (false, vec!["etc".into()]));
        assert!(!top.path().join("outside/new").exists());
    }
}
