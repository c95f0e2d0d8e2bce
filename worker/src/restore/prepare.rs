//! Making a window ready to be written: its directories, and what an interrupted run left that is good.

use std::io;
use std::sync::Arc;

use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;
use strongroom_repository::tree::order;

use super::aspect::Aspect;
use super::findings::Findings;
use super::make;
use super::places::Places;
use super::takeover::Takeover;
use super::window::{Item, State, Task, Window};
use crate::filesystem::Root;

/// Prepares windows, one after the other.
#[derive(Debug)]
pub(super) struct Preparer {
    pub(super) root: Arc<Root>,
    pub(super) findings: Arc<Findings>,
    /// If there is anything to take over.
    pub(super) takeover: Option<Takeover>,
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
        if let Some(takeover) = &self.takeover {
            takeover.run(window);
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
}
