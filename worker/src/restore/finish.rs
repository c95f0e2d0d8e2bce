//! The end of a window's writing: hard links, what failed is removed, and the directories that are complete get their metadata.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use strongroom_repository::tree::order;

use super::content;
use super::findings::Findings;
use super::make;
use super::node::Node;
use super::places::Places;
use super::report::ProblemKind;
use super::window::{Item, State, Task};
use super::work::Work;
use crate::filesystem::Root;
use crate::progress::Progress;

/// Finishes a window whose jobs are all done. The windows before it are finished already.
pub(super) fn finish(work: &Work, root: &Arc<Root>, findings: &Findings, progress: &Progress) {
    let mut places = Places::new(Arc::clone(root));
    for item in &work.window.items {
        match (&item.task, item.state()) {
            (Task::Link(first), State::Waiting) => make_link(item, first, root, &mut places, findings),
            (Task::File, State::Written) if item.part.is_some() && item.is_last_part() => {
                complete_large(item, &mut places, findings);
                progress.advance(1, 0);
            }
            (Task::File | Task::Node, State::Failed) => remove_failed(item, &mut places, findings),
            // A piece was skipped because the file could not be created, or a thread ended early: never call that restored.
            (Task::File | Task::Node, State::Waiting) => {
                if item.fail() {
                    findings.problem(&item.path(), ProblemKind::Target, "it was not written");
                }
                remove_failed(item, &mut places, findings);
            }
            _ => {}
        }
    }
    for directory in &work.window.completed {
        match root.listing(&directory.path) {
            Ok(open) => {
                let refusals = Node::Open(open.as_fd()).apply(directory.wanted());
                directory.refused.set(findings.refusals(&directory.path, &refusals));
            }
            Err(fault) => findings.target_fault("set the metadata of", &directory.path, fault),
        }
    }
}

/// All parts of a large file are written: its metadata.
fn complete_large(item: &Item, places: &mut Places, findings: &Findings) {
    let opened = places.at(&item.directory).and_then(|place| content::reopen(place, &item.name));
    match opened {
        Ok(file) => item.refused.set(findings.refusals(&item.path(), &Node::Open(file.as_fd()).apply(item.wanted()))),
        Err(fault) if item.fail() => findings.target_fault("set the metadata of", &item.path(), fault),
        Err(_) => {}
    }
}

fn make_link(item: &Item, first: &[u8], root: &Root, places: &mut Places, findings: &Findings) {
    let (directory, name) = order::split(first);
    let made = root.place(directory).and_then(|from| {
        let place = places.at(&item.directory)?;
        make::link((from.as_fd(), name), (place, &item.name))
    });
    match made {
        Ok(()) => item.set_state(State::Written),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            item.fail();
            findings.problem(
                &item.path(),
                ProblemKind::Target,
                "the file that it is another name of could not be restored",
            );
        }
        Err(fault) => {
            item.fail();
            findings.target_fault("create the hard link", &item.path(), fault);
        }
    }
}

/// A file that lacks a part must not look like one.
fn remove_failed(item: &Item, places: &mut Places, findings: &Findings) {
    let removed = places.at(&item.directory).and_then(|place| make::remove(place, &item.name));
    match removed {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
            findings.target_fault("remove the unfinished", &item.path(), fault)
        }
        _ => {}
    }
}
