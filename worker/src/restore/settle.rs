//! What can only be done when everything is in place: the metadata of directories that were there before, and flags that forbid changes.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use strongroom_repository::Entry;
use strongroom_repository::text::unescape;
use strongroom_repository::tree::order;

use super::aspect::Aspect;
use super::findings::Findings;
use super::flags;
use super::node::{Node, Wanted};
use super::owners::OwnerMap;
use super::staging::Flagged;
use crate::filesystem::{Root, inode_flags};

/// Gives existing directories the snapshot's metadata, those below first.
pub(super) fn merged(target: &Root, merged: &[(Vec<u8>, Entry)], owners: &OwnerMap, findings: &Findings) {
    for (path, entry) in merged.iter().rev() {
        let wanted = Wanted { entry, owner: owners.of(entry) };
        match target.listing(path) {
            Ok(open) => settle(Node::Open(open.as_fd()), wanted, path, findings),
            // It was replaced or removed since: what stands there now was told already.
            Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(fault) => findings.target_fault("set the metadata of", path, fault),
        }
    }
}

fn settle(node: Node<'_>, wanted: Wanted<'_>, path: &[u8], findings: &Findings) {
    findings.compared_nodes.add(1);
    if node.compare(wanted).is_ok_and(|differ| differ.is_empty()) {
        return;
    }
    if let Err(fault) = node.remove_other_attributes(wanted) {
        findings.deviation(path, Aspect::Attributes, fault.to_string());
    }
    let refused = findings.refusals(path, &node.apply(wanted));
    match node.compare(wanted) {
        Ok(differ) => findings.came_out_otherwise(path, differ.without(refused)),
        Err(fault) => findings.target_fault("compare", path, fault),
    }
}

/// Sets the flags that forbid changes, those below first.
pub(super) fn flagged(target: &Root, flagged: &[Flagged], findings: &Findings) {
    for Flagged { path, flags } in flagged.iter().rev() {
        let path = unescape(path);
        match set_flags(target, &path, *flags) {
            Ok(()) => {}
            // It failed, or could not be put in place, and was told then.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => findings.deviation(&path, Aspect::Flags, fault.to_string()),
        }
    }
}

fn set_flags(target: &Root, path: &[u8], wanted: u32) -> io::Result<()> {
    let (directory, name) = order::split(path);
    let place = target.place(directory)?;
    let node: OwnedFd = crate::filesystem::open::file_at(place.as_fd(), &CString::new(name)?)?;
    flags::set(node.as_fd(), flags::harmless(Some(wanted)) | flags::forbidding(Some(wanted)))?;
    let (found, _) = inode_flags::read(node.as_fd())?;
    if flags::forbidding(found) == flags::forbidding(Some(wanted)) {
        Ok(())
    } else {
        Err(io::Error::other("it came out otherwise than it was set"))
    }
}
