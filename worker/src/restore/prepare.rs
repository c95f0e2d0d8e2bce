//! Making a window ready to be written: its directories, and what an interrupted run left that is good.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;
use strongroom_repository::tree::order;

use super::aspect::Aspect;
use super::findings::Findings;
use super::make;
use super::node::Node;
use super::places::Places;
use super::readback::{Opened, Reader, open_past_cache};
use super::staging::Found;
use super::window::{Item, State, Task, Window};
use crate::filesystem::{Root, Stat, holes};
use crate::progress::Progress;

/// Prepares windows, one after the other.
#[derive(Debug)]
pub(super) struct Preparer {
    pub(super) root: Arc<Root>,
    pub(super) findings: Arc<Findings>,
    pub(super) progress: Arc<Progress>,
    pub(super) found: Found,
    /// Made when it is first needed.
    pub(super) reader: Mutex<Option<Reader>>,
}

impl Preparer {
    /// Makes the directories of a window. What lies in the staging directory already must have been flushed before.
    pub(super) fn prepare(&self, window: &Window, places: &mut Places) {
        let mut last: Option<&Arc<[u8]>> = None;
        for item in &window.items {
            if last != Some(&item.directory) {
                self.make_lost_parents(&item.directory, places);
                last = Some(&item.directory);
            }
            if item.task == Task::Directory {
                self.make_directory(item, places);
            }
        }
        if self.found == Found::Unfinished {
            self.take_over(window);
        }
    }

    fn make_directory(&self, item: &Item, places: &mut Places) {
        match places.at(&item.directory).and_then(|place| make::directory(place, &item.name)) {
            Ok(()) => item.set_state(State::Written),
            Err(fault) if item.fail() => self.findings.target_fault("create the directory", &item.path(), fault),
            Err(_) => {}
        }
    }

    /// Where the page with a directory's own entry is damaged, what is in it is still restored.
    fn make_lost_parents(&self, directory: &Arc<[u8]>, places: &mut Places) {
        match places.at(directory) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            // Other faults are met, and told, by every file in it.
            _ => return,
        }
        let ends = directory.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends.chain([directory.len()]) {
            let path = &directory[..end];
            let (parent, name) = order::split(path);
            let Ok(parent) = self.root.place(parent) else { return };
            match mkdirat(&parent, name, Mode::RWXU) {
                Ok(()) => self.findings.deviation(path, Aspect::Mode, "its own entry is lost: it has default metadata"),
                Err(Errno::EXIST) => {}
                Err(_) => return,
            }
        }
    }

    /// Reads back the files that an interrupted run left, and keeps the good ones.
    fn take_over(&self, window: &Window) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ahead = window.items.iter().enumerate();
        let next = || ahead.find_map(|(at, item)| self.left_over(at, item));
        reader.get_or_insert_with(Reader::new).run(next, |at, hash| {
            let item = &window.items[at];
            if hash.is_ok_and(|hash| item.entry.hash == Some(hash)) && self.complete(item).is_ok() {
                item.set_state(State::Resumed);
                self.findings.resumed_files.add(1);
                self.progress.advance(1, item.entry.data_bytes());
            }
        });
    }

    /// What was left of a file, if it is there with the right length. Anything amiss means that it is written again.
    fn left_over(&self, at: usize, item: &Item) -> Option<Opened> {
        if item.task != Task::File || item.state() != State::Waiting {
            return None;
        }
        let file = self.open(item).ok()?;
        let stat = Stat::of(file.as_fd()).ok()?;
        let sparse = item.entry.extents.is_some() || stat.may_have_holes();
        let extents = if sparse { holes::data_extents(file.as_fd(), stat.size).ok()? } else { None };
        let whole = stat.is_file() && stat.size == item.entry.size && extents == item.entry.extents;
        whole.then_some(Opened { number: at, file, size: stat.size, extents })
    }

    fn open(&self, item: &Item) -> io::Result<OwnedFd> {
        let place = self.root.place(&item.directory)?;
        open_past_cache(place.as_fd(), &item.name)
    }

    /// Its metadata may be missing still.
    fn complete(&self, item: &Item) -> io::Result<()> {
        let file = self.open(item)?;
        if !Node::Open(file.as_fd()).compare(item.wanted())?.is_empty() {
            let refusals = Node::Open(file.as_fd()).apply(item.wanted());
            item.refused.set(self.findings.refusals(&item.path(), &refusals));
        }
        Ok(())
    }
}
