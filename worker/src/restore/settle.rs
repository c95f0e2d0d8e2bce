//! What can only be done when everything is in place: the metadata of directories that were there before, and flags that forbid changes.
//!
//! The first of it is done again for directories that are about to be put where they are used: what has run in them since changed their times at least.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use strongroom_repository::Entry;
use strongroom_repository::text::{escape, unescape};
use strongroom_repository::tree::order;

use super::aspect::Aspect;
use super::error::RestoreError;
use super::findings::Findings;
use super::flags;
use super::node::{Node, Wanted};
use super::owners::OwnerMap;
use super::plan::RestorePlan;
use super::staging::Flagged;
use crate::filesystem::{Root, inode_flags};

/// Gives the directories that a plan has found in its target the snapshot's metadata, and flushes. Says what of it cannot be. Blocking.
///
/// Those that were asked for, and all below them; directories on the way there stay as they are. To be done once more is no harm, and neither is
/// to be interrupted.
pub fn settle_directories(plan: &RestorePlan) -> Result<Vec<String>, RestoreError> {
    let target = &plan.options.target;
    let fault = |doing| RestoreError::target(doing, escape(target.as_os_str().as_encoded_bytes()));
    let root = Root::at(target).map_err(fault("open"))?;
    let findings = Findings::default();
    merged(&root, &plan.decisions.merged, &OwnerMap::new(plan.options.owners), &findings);
    findings.check()?;
    let flushed = root.listing(b"").and_then(|top| Ok(rustix::fs::syncfs(top)?));
    flushed.map_err(fault("flush"))?;
    let problems = findings.problems().0.into_iter().map(|problem| format!("'{}': {}", problem.path, problem.error));
    let deviations = findings.deviations().0.into_iter();
    let deviations = deviations.map(|other| format!("'{}': {} {}", other.path, other.aspect, other.reason));
    Ok(problems.chain(deviations).collect())
}

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
