//! Metadata of one node: setting it in the only order that lasts, and comparing it.
//!
//! Owner before mode, because `chown` clears setuid. Mode before ACLs, because `chmod` rewrites an ACL's mask. Attributes after the owner, because
//! `chown` removes capabilities. Times after everything that changes them, flags after all that they would forbid; those that forbid changes are not
//! set here but when the node is in its final place.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat, chownat, fchmod, fchown,
    fremovexattr, fsetxattr, futimens, lremovexattr, lsetxattr, readlinkat, utimensat,
};
use strongroom_repository::{Entry, Kind, Time};

use super::aspect::{Aspect, Aspects};
use super::flags;
use crate::filesystem::{Stat, attributes, holes, inode_flags};

/// A node to work on, safe from being swapped: either open, or a name in an open directory that nobody else can write to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// What must not be opened: symbolic links, fifos, devices.
    Named(BorrowedFd<'a>, &'a CStr),
}

/// Something that could not be set.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) aspect: Aspect,
    pub(super) reason: io::Error,
}

/// What a node should be like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) entry: &'a Entry,
    /// User and group on this host.
    pub(super) owner: (u32, u32),
}

/// Setuid and setgid, which are dangerous with an owner that is not the one they were set for.
const SET_ID: u32 = 0o6000;

impl Node<'_> {
    /// Sets everything but the flags that forbid changes. Goes on when something is refused, and says what was.
    pub(super) fn apply(self, wanted: Wanted<'_>) -> Vec<Refusal> {
        let entry = wanted.entry;
        let mut refusals = Vec::new();
        let mut note = |aspect, result: io::Result<()>| match result {
            Ok(()) => true,
            Err(reason) => {
                refusals.push(Refusal { aspect, reason });
                false
            }
        };
        let owned = note(Aspect::Owner, self.set_owner(wanted.owner));
        if entry.kind != Kind::Symlink {
            let mode = if owned { entry.mode } else { entry.mode & !SET_ID };
            note(Aspect::Mode, self.set_mode(mode));
        }
        for (name, value) in &entry.xattrs {
            note(Aspect::Attributes, self.set_attribute(name, value));
        }
        if let (Some(project), Self::Open(node)) = (entry.project, self) {
            note(Aspect::Project, flags::set_project(node, project));
        }
        note(Aspect::Time, self.set_time(entry.mtime));
        if let (true, Self::Open(node)) = (entry.flags.is_some(), self) {
            note(Aspect::Flags, flags::set(node, flags::harmless(entry.flags)));
        }
        refusals
    }

    /// Who may not give files away can still set a group that is its own.
    fn set_owner(self, (user, group): (u32, u32)) -> io::Result<()> {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        let change = |user, group| match self {
            Self::Open(node) => fchown(node, user, group),
            Self::Named(directory, name) => chownat(directory, name, user, group, AtFlags::SYMLINK_NOFOLLOW),
        };
        change(Some(user), Some(group)).map_err(|fault| {
            let _group_at_least = change(None, Some(group));
            fault.into()
        })
    }

    fn set_mode(self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        Ok(match self {
            Self::Open(node) => fchmod(node, mode),
            Self::Named(directory, name) => chmodat(directory, name, mode, AtFlags::empty()),
        }?)
    }

    fn set_attribute(self, name: &[u8], value: &[u8]) -> io::Result<()> {
        Ok(match self {
            Self::Open(node) => fsetxattr(node, name, value, XattrFlags::empty()),
            Self::Named(directory, node) => lsetxattr(proc_path(directory, node)?, name, value, XattrFlags::empty()),
        }?)
    }

    fn remove_attribute(self, name: &[u8]) -> io::Result<()> {
        Ok(match self {
            Self::Open(node) => fremovexattr(node, name),
            Self::Named(directory, node) => lremovexattr(proc_path(directory, node)?, name),
        }?)
    }

    fn set_time(self, time: Time) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanoseconds) },
        };
        Ok(match self {
            Self::Open(node) => futimens(node, &times),
            Self::Named(directory, name) => utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW),
        }?)
    }

    /// Removes the attributes that a node of the target has and the snapshot's has not.
    pub(super) fn remove_other_attributes(self, wanted: Wanted<'_>) -> io::Result<()> {
        for (name, _) in self.attributes()? {
            let is_wanted = wanted.entry.xattrs.iter().any(|(wanted, _)| *wanted == name);
            if !is_wanted && !is_the_system_s(&name) {
                self.remove_attribute(&name)?;
            }
        }
        Ok(())
    }

    fn attributes(self) -> io::Result<attributes::Attributes> {
        match self {
            Self::Open(node) => attributes::of(node),
            Self::Named(directory, name) => attributes::at(directory, name),
        }
    }

    /// What the kernel says about the node.
    pub(super) fn stat(self) -> io::Result<Stat> {
        match self {
            Self::Open(node) => Stat::of(node),
            Self::Named(directory, name) => Stat::at(directory, name),
        }
    }

    /// In what the node differs from what is wanted: everything but content, hard links, and flags that forbid changes.
    pub(super) fn compare(self, wanted: Wanted<'_>) -> io::Result<Aspects> {
        let (entry, stat) = (wanted.entry, self.stat()?);
        let mut differ = Aspects::NONE;
        if stat.kind() != Some(entry.kind) {
            differ.insert(Aspect::Kind);
            return Ok(differ);
        }
        differ.insert_if(Aspect::Size, entry.kind == Kind::File && stat.size != entry.size);
        differ.insert_if(Aspect::Owner, (stat.uid, stat.gid) != wanted.owner);
        differ.insert_if(Aspect::Mode, entry.kind != Kind::Symlink && stat.mode & 0o7777 != entry.mode);
        differ.insert_if(Aspect::Time, stat.mtime != entry.mtime);
        differ.insert_if(Aspect::Attributes, !same_attributes(&entry.xattrs, &self.attributes()?));
        let is_device = matches!(entry.kind, Kind::CharacterDevice | Kind::BlockDevice);
        differ.insert_if(Aspect::Device, is_device && Some(stat.special) != entry.device);
        match self {
            Self::Open(node) => compare_open(node, entry, &stat, &mut differ)?,
            Self::Named(directory, name) if entry.kind == Kind::Symlink => {
                let target = readlinkat(directory, name, Vec::new())?;
                differ.insert_if(Aspect::LinkTarget, Some(target.as_bytes()) != entry.target.as_deref());
            }
            Self::Named(..) => {}
        }
        Ok(differ)
    }
}

fn compare_open(node: BorrowedFd<'_>, entry: &Entry, stat: &Stat, differ: &mut Aspects) -> io::Result<()> {
    let (found, project) = inode_flags::read(node)?;
    differ.insert_if(Aspect::Flags, flags::harmless(found) != flags::harmless(entry.flags));
    differ.insert_if(Aspect::Project, project != entry.project);
    let may_have_holes = entry.kind == Kind::File && (entry.extents.is_some() || stat.may_have_holes());
    if may_have_holes && stat.size == entry.size {
        differ.insert_if(Aspect::Holes, holes::data_extents(node.as_fd(), stat.size)? != entry.extents);
    }
    Ok(())
}

/// The path of a name in an open directory, for the calls that take only paths. `/proc` leads to the directory that is open, not to its path.
fn proc_path(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<CString> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    Ok(CString::new(path)?)
}

fn same_attributes(wanted: &[(Vec<u8>, Vec<u8>)], found: &[(Vec<u8>, Vec<u8>)]) -> bool {
    let unasked = |name: &[u8]| is_the_system_s(name) && !wanted.iter().any(|(wanted, _)| wanted == name);
    found.iter().filter(|(name, _)| !unasked(name)).eq(wanted)
}

/// Attributes that security modules give to every new node.
fn is_the_system_s(name: &[u8]) -> bool {
    [&b"security.selinux"[..], b"security.SMACK64", b"security.ima", b"security.evm", b"security.apparmor"]
        .contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::symlink;

    fn directory() -> (tempfile::TempDir, File) {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let open = File::open(directory.path()).unwrap();
        (directory, open)
    }

    fn entry(kind: Kind) -> Entry {
        let mut entry = Entry::new(b"node".to_vec(), kind);
        (entry.mode, entry.uid, entry.gid) =
            (0o4750, rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        entry.mtime = Time { seconds: -77, nanoseconds: 123_456_789 };
        entry.xattrs = vec![(b"user.note".to_vec(), vec![0, 255])];
        entry
    }

    fn check_round_trip(node: Node<'_>, entry: &Entry) {
        let wanted = Wanted { entry, owner: (entry.uid, entry.gid) };
        assert!(!node.compare(wanted).unwrap().is_empty(), "{:?}", entry.kind);
        let refusals = node.apply(wanted);
        assert!(refusals.is_empty(), "{refusals:?}");
        assert_eq!(node.compare(wanted).unwrap().to_string(), "", "{:?}", entry.kind);
    }

    #[test]
    fn what_is_set_on_a_file_is_found_again() {
        let (top, _) = directory();
        let file = File::create(top.path().join("node")).unwrap();
        let mut wanted = entry(Kind::File);
        // user::rwx user:1:r-- group::r-x mask::r-x other::---, as the kernel's raw value
        let acl = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x04\0\x01\0\0\0\x04\0\x05\0\xff\xff\xff\xff\x10\0\x05\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
        wanted.xattrs.insert(0, (b"system.posix_acl_access".to_vec(), acl.to_vec()));
        wanted.flags = Some(rustix::fs::IFlags::NODUMP.bits());
        check_round_trip(Node::Open(file.as_fd()), &wanted);
    }

    #[test]
    fn each_aspect_that_differs_is_named() {
        let (top, _) = directory();
        let file = File::create(top.path().join("node")).unwrap();
        let base = entry(Kind::File);
        let refusals = Node::Open(file.as_fd()).apply(Wanted { entry: &base, owner: (base.uid, base.gid) });
        assert!(refusals.is_empty(), "{refusals:?}");
        let check = |change: &dyn Fn(&mut Entry), expect: &str| {
            let mut changed = base.clone();
            change(&mut changed);
            let wanted = Wanted { entry: &changed, owner: (changed.uid, changed.gid) };
            assert_eq!(Node::Open(file.as_fd()).compare(wanted).unwrap().to_string(), expect);
        };
        check(&|_| {}, "");
        check(&|entry| entry.size = 1, "size");
        check(&|entry| entry.gid += 1, "owner");
        check(&|entry| entry.mode = 0o750, "mode");
        check(&|entry| entry.mtime.nanoseconds += 1, "time");
        check(&|entry| entry.xattrs[0].1.push(1), "extended attributes");
        check(&|entry| entry.xattrs.clear(), "extended attributes");
        check(&|entry| entry.flags = Some(0x40), "inode flags");
        check(&|entry| entry.project = Some(3), "project id");
        check(&|entry| entry.kind = Kind::Fifo, "type");
    }

    #[test]
    fn links_and_fifos_are_set_without_opening_them() {
        let (top, open) = directory();
        symlink("/nowhere", top.path().join("link")).unwrap();
        let mut link = entry(Kind::Symlink);
        (link.target, link.xattrs) = (Some(b"/nowhere".to_vec()), Vec::new());
        check_round_trip(Node::Named(open.as_fd(), c"link"), &link);
        link.target = Some(b"/elsewhere".to_vec());
        let wanted = Wanted { entry: &link, owner: (link.uid, link.gid) };
        assert_eq!(Node::Named(open.as_fd(), c"link").compare(wanted).unwrap().to_string(), "link target");
        rustix::fs::mkfifoat(&open, "fifo", Mode::RUSR).unwrap();
        let mut fifo = entry(Kind::Fifo);
        fifo.xattrs = Vec::new();
        check_round_trip(Node::Named(open.as_fd(), c"fifo"), &fifo);
    }

    #[test]
    fn setuid_is_not_given_to_the_wrong_owner() {
        if rustix::process::geteuid().is_root() {
            return; // root may give files away
        }
        let (top, _) = directory();
        let file = File::create(top.path().join("node")).unwrap();
        let wanted = entry(Kind::File);
        let refusals = Node::Open(file.as_fd()).apply(Wanted { entry: &wanted, owner: (0, 0) });
        assert_eq!(refusals[0].aspect, Aspect::Owner);
        assert_eq!(Stat::of(file.as_fd()).unwrap().mode & 0o7777, 0o750);
    }
}
