//! What the target holds already, compared with the snapshot. Looks, and changes nothing.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, openat};
use strongroom_repository::tree::order;
use strongroom_repository::{Entry, FileHash, Kind};

use super::flags;
use super::node::{Node, Wanted};
use super::options::{Overwrite, Replaced, RestoreOptions};
use super::owners::OwnerMap;
use super::readback::{Opened, Reader};
use super::selection::{Role, Step};
use super::staging;
use crate::filesystem::{Root, Stat, inode_flags};
use crate::open_files::OpenFiles;

/// What is to become of an entry of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is there: it is created.
    Create,
    /// A directory is there: what belongs into it is put into it.
    Merge,
    /// Something else is there and goes.
    Replace,
    /// It is there, equal in content and metadata.
    Unchanged,
    /// Something is there and stays as it is.
    Keep,
    /// Something is there that neither may stay nor be removed.
    Conflict(Cow<'static, str>),
}

/// A verdict, and which file it is about if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    /// Device and inode of what is there.
    pub(super) identity: Option<(u32, u64)>,
}

impl Seen {
    const ABSENT: Self = Self { verdict: Verdict::Create, identity: None };

    fn there(verdict: Verdict, stat: &Stat) -> Self {
        Self { verdict, identity: Some((stat.device, stat.inode)) }
    }
}

/// Looks at a target that is not empty.
#[derive(Debug)]
pub(super) struct Survey {
    root: Root,
    overwrite: Overwrite,
    replaced: Replaced,
    owners: Arc<OwnerMap>,
    /// Directories that are created: nothing below them is there.
    created: HashSet<Vec<u8>>,
    /// The directory looked at last.
    place: Option<LastPlace>,
    reader: Option<Reader>,
    open: OpenFiles,
}

/// A directory and what came of opening it.
type LastPlace = (Arc<[u8]>, Result<OwnedFd, io::ErrorKind>);

/// A file that is equal in everything but its content, which is still to be read.
struct Candidate<'a> {
    at: usize,
    directory: &'a [u8],
    entry: &'a Entry,
}

impl Survey {
    /// A survey of the target; none if there is nothing in it.
    pub(super) fn new(options: &RestoreOptions, owners: Arc<OwnerMap>) -> io::Result<Option<Self>> {
        let RestoreOptions { target, overwrite, replaced, .. } = options;
        if !holds_anything(target)? {
            return Ok(None);
        }
        let root = Root::at(target)?;
        let (overwrite, replaced, created) = (*overwrite, *replaced, HashSet::new());
        let open = if overwrite == Overwrite::Never { OpenFiles::default() } else { OpenFiles::now() };
        Ok(Some(Self { root, overwrite, replaced, owners, created, place: None, reader: None, open }))
    }

    /// Looks at some entries, in the order of the tree. Blocking.
    pub(super) fn look(&mut self, steps: &[Step]) -> Vec<Seen> {
        let mut candidates = Vec::new();
        let mut seen = Vec::with_capacity(steps.len());
        for (at, (directory, entry, role)) in steps.iter().enumerate() {
            let found = self.look_at(directory, entry, *role).unwrap_or_else(|error| {
                tracing::debug!(%error, "cannot inspect what is in the target");
                Seen { verdict: Verdict::Conflict("it cannot be inspected".into()), identity: None }
            });
            if found.verdict == Verdict::Unchanged && entry.kind == Kind::File {
                candidates.push(Candidate { at, directory, entry });
            }
            let absent = matches!(found.verdict, Verdict::Create | Verdict::Replace) && entry.kind == Kind::Directory;
            if absent {
                self.created.insert(order::join(directory, &entry.name));
            }
            seen.push(found);
        }
        self.compare_content(&candidates, &mut seen);
        seen.iter_mut().for_each(|seen| self.leave_to_its_writer(seen));
        seen
    }

    /// A process would write on into a file that was replaced under it, and nobody would see that.
    fn leave_to_its_writer(&self, seen: &mut Seen) {
        let identity = seen.identity.filter(|_| seen.verdict == Verdict::Replace);
        if let Some(writer) = identity.and_then(|identity| self.open.writer(identity)) {
            seen.verdict = Verdict::Conflict(format!("{writer} writes to it: stop that, or restore elsewhere").into());
        }
    }

    fn look_at(&mut self, directory: &Arc<[u8]>, entry: &Entry, role: Role) -> io::Result<Seen> {
        if self.created.contains(&directory[..]) {
            return Ok(Seen::ABSENT);
        }
        let (overwrite, replaced, owner) = (self.overwrite, self.replaced, self.owners.of(entry));
        let name = CString::new(entry.name.as_slice())?;
        let Some(place) = self.place(directory)? else { return Ok(Seen::ABSENT) };
        let stat = match Stat::at(place, &name) {
            Ok(stat) => stat,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Seen::ABSENT),
            Err(fault) => return Err(fault),
        };
        let verdict = match (entry.kind == Kind::Directory, stat.is_directory()) {
            (true, true) => Verdict::Merge,
            _ if overwrite == Overwrite::Never => Verdict::Keep,
            (true, false) if role == Role::OnTheWay => {
                Verdict::Conflict("something that is no directory stands on the way to it".into())
            }
            (true, false) => Verdict::Replace,
            (false, true) if replaced == Replaced::SetAside => Verdict::Replace,
            (false, true) => replace_directory(place, &name)?,
            (false, false) if overwrite == Overwrite::Always => Verdict::Replace,
            (false, false) if is_equal(place, &name, &stat, Wanted { entry, owner })? => Verdict::Unchanged,
            (false, false) => Verdict::Replace,
        };
        Ok(Seen::there(verdict, &stat))
    }

    /// The open directory; none if it is not there, or if something else is there and is kept or goes.
    fn place(&mut self, directory: &Arc<[u8]>) -> io::Result<Option<BorrowedFd<'_>>> {
        if self.place.as_ref().is_none_or(|(at, _)| at != directory) {
            let opened = self.root.place(directory).map_err(|fault| fault.kind());
            self.place = Some((Arc::clone(directory), opened));
        }
        match self.place.as_ref().map(|(_, opened)| opened) {
            Some(Ok(opened)) => Ok(Some(opened.as_fd())),
            Some(Err(io::ErrorKind::PermissionDenied)) => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Ok(None),
        }
    }

    /// Candidates with other content, or whose content cannot be read, are to be replaced.
    fn compare_content(&mut self, candidates: &[Candidate<'_>], seen: &mut [Seen]) {
        if candidates.is_empty() {
            return;
        }
        let mut hashes: Vec<Option<FileHash>> = vec![None; candidates.len()];
        let mut ahead = candidates.iter().enumerate();
        let root = &self.root;
        self.reader.get_or_insert_with(Reader::new).run(
            || ahead.find_map(|(number, candidate)| open(root, candidate, number)),
            |number, hashed| hashes[number] = hashed.ok().map(|hashed| hashed.hash()),
        );
        for (candidate, hash) in candidates.iter().zip(hashes) {
            if hash.is_none() || hash != expected(candidate.entry) {
                seen[candidate.at].verdict = Verdict::Replace;
            }
        }
    }
}

/// The hash that a file should have.
fn expected(entry: &Entry) -> Option<FileHash> {
    entry.hash.or_else(|| (entry.size == 0).then(|| *blake3::hash(b"").as_bytes()))
}

/// Through the cache: the question is what is there, not whether a disk kept it.
fn open(root: &Root, candidate: &Candidate<'_>, number: usize) -> Option<Opened> {
    let name = CString::new(candidate.entry.name.as_slice()).ok()?;
    let place = root.place(candidate.directory).ok()?;
    let file = crate::filesystem::open::file_at(place.as_fd(), &name).ok()?;
    Some(Opened::whole(number, file, candidate.entry.size, candidate.entry.extents.clone()))
}

/// Whether there is something but the traces of restores.
fn holds_anything(target: &Path) -> io::Result<bool> {
    let entries = match std::fs::read_dir(target) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(fault) => return Err(fault),
    };
    for entry in entries {
        let name = entry?.file_name();
        let name = name.as_encoded_bytes();
        if !name.starts_with(staging::PREFIX.as_bytes()) && !name.starts_with(staging::ASIDE_PREFIX.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A directory gives way to a file only when nothing is lost with it.
fn replace_directory(place: BorrowedFd<'_>, name: &CString) -> io::Result<Verdict> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(place, name, flags, Mode::empty())?;
    for entry in rustix::fs::Dir::new(directory)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            return Ok(Verdict::Conflict("a directory that is not empty is in its place".into()));
        }
    }
    Ok(Verdict::Replace)
}

/// Whether everything but the content is as it should be.
fn is_equal(place: BorrowedFd<'_>, name: &CString, stat: &Stat, wanted: Wanted<'_>) -> io::Result<bool> {
    if stat.kind() != Some(wanted.entry.kind) {
        return Ok(false);
    }
    if wanted.entry.kind != Kind::File {
        return Ok(Node::Named(place, name).compare(wanted)?.is_empty());
    }
    if stat.size != wanted.entry.size {
        return Ok(false);
    }
    let file = crate::filesystem::open::file_at(place, name)?;
    let (found, _) = inode_flags::read(file.as_fd())?;
    let forbidding = flags::forbidding(found) == flags::forbidding(wanted.entry.flags);
    Ok(forbidding && Node::Open(file.as_fd()).compare(wanted)?.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// An entry as a backup of this file would make it.
    fn entry_of(path: &Path) -> Entry {
        let name = path.file_name().unwrap().as_encoded_bytes().to_vec();
        let directory = fs::File::open(path.parent().unwrap()).unwrap();
        let stat = Stat::at(directory.as_fd(), &CString::new(name.clone()).unwrap()).unwrap();
        let mut entry = Entry::new(name, stat.kind().unwrap());
        (entry.mode, entry.uid, entry.gid, entry.mtime) = (stat.mode & 0o7777, stat.uid, stat.gid, stat.mtime);
        if entry.kind == Kind::File {
            let content = fs::read(path).unwrap();
            (entry.size, entry.hash) = (content.len() as u64, Some(*blake3::hash(&content).as_bytes()));
        }
        entry.target = fs::read_link(path).ok().map(|target| target.as_os_str().as_encoded_bytes().to_vec());
        entry
    }

    fn verdict(target: &Path, overwrite: Overwrite, directory: &str, entry: &Entry) -> Verdict {
        let owners = Arc::new(OwnerMap::default());
        let options = RestoreOptions { overwrite, ..RestoreOptions::into_target(target) };
        let mut survey = Survey::new(&options, owners).unwrap().unwrap();
        let step = (Arc::from(directory.as_bytes()), entry.clone(), Role::Selected);
        survey.look(&[step]).remove(0).verdict
    }

    #[test]
    fn files_are_judged_by_metadata_and_content() {
        let top = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = top.path().join("a/file");
        fs::create_dir(top.path().join("a")).unwrap();
        fs::write(&path, "hello").unwrap();
        let equal = entry_of(&path);
        let mut other_content = equal.clone();
        other_content.hash = Some([7; 32]);
        let mut other_mode = equal.clone();
        other_mode.mode ^= 0o111;
        let mut absent = equal.clone();
        absent.name = b"absent".to_vec();
        for (overwrite, entry, expect) in [
            (Overwrite::Changed, &equal, Verdict::Unchanged),
            (Overwrite::Changed, &other_content, Verdict::Replace),
            (Overwrite::Changed, &other_mode, Verdict::Replace),
            (Overwrite::Changed, &absent, Verdict::Create),
            (Overwrite::Always, &equal, Verdict::Replace),
            (Overwrite::Never, &other_content, Verdict::Keep),
            (Overwrite::Never, &absent, Verdict::Create),
        ] {
            assert_eq!(verdict(top.path(), overwrite, "a", entry), expect, "{overwrite:?}");
        }
    }

    #[test]
    fn what_is_no_directory_is_never_entered() {
        let top = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        fs::create_dir_all(top.path().join("real/inner")).unwrap();
        symlink("real", top.path().join("link")).unwrap();
        let file = Entry::new(b"inner".to_vec(), Kind::File);
        let mut directory = Entry::new(b"link".to_vec(), Kind::Directory);
        assert_eq!(verdict(top.path(), Overwrite::Changed, "link", &file), Verdict::Create);
        assert_eq!(verdict(top.path(), Overwrite::Changed, "", &directory), Verdict::Replace);
        assert_eq!(verdict(top.path(), Overwrite::Never, "", &directory), Verdict::Keep);
        directory.name = b"real".to_vec();
        assert_eq!(verdict(top.path(), Overwrite::Never, "", &directory), Verdict::Merge);
        assert_eq!(verdict(top.path(), Overwrite::Always, "real", &file), Verdict::Replace);
        fs::write(top.path().join("real/inner/x"), "").unwrap();
        assert!(matches!(verdict(top.path(), Overwrite::Always, "real", &file), Verdict::Conflict(_)));
        assert_eq!(verdict(top.path(), Overwrite::Never, "real", &file), Verdict::Keep);
    }

    #[test]
    fn links_are_compared_by_what_they_say() {
        let top = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = top.path().join("link");
        symlink("there", &path).unwrap();
        let equal = entry_of(&path);
        assert_eq!(verdict(top.path(), Overwrite::Changed, "", &equal), Verdict::Unchanged);
        let mut other = equal.clone();
        other.target = Some(b"elsewhere".to_vec());
        assert_eq!(verdict(top.path(), Overwrite::Changed, "", &other), Verdict::Replace);
    }

    #[test]
    fn an_empty_target_needs_no_survey() {
        let top = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let survey = |path: &Path| Survey::new(&RestoreOptions::into_target(path), Arc::default()).unwrap();
        assert!(survey(&top.path().join("absent")).is_none());
        fs::create_dir(top.path().join(".strongroom-restore-x")).unwrap();
        assert!(survey(top.path()).is_none());
        fs::create_dir(top.path().join("etc")).unwrap();
        assert!(survey(top.path()).is_some());
    }
}
