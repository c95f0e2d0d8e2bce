//! Taking over what an interrupted run left: good files stay, and of large files every good chunk does.
//!
//! What lies in the staging directory was flushed before this looks at it, and is read past the cache, so that what is kept here is as good as what is
//! read back later.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Advice, AtFlags, Mode, chmodat, fadvise};
use strongroom_repository::{ChunkRef, Repository};

use super::bypass::Bypass;
use super::content;
use super::findings::Findings;
use super::node::Node;
use super::part::Part;
use super::readback::{Opened, Reader};
use super::window::{Item, State, Task, Window};
use crate::filesystem::{Root, Stat, holes, open};
use crate::progress::Progress;

/// Looks at what is there already.
#[derive(Debug)]
pub(super) struct Takeover {
    pub(super) repository: Arc<Repository>,
    pub(super) root: Arc<Root>,
    pub(super) findings: Arc<Findings>,
    pub(super) progress: Arc<Progress>,
    pub(super) bypass: Bypass,
    /// Windows are prepared one after the other, by whichever thread is free.
    pub(super) reader: Mutex<Reader>,
}

impl Takeover {
    /// Marks what is good in a window.
    pub(super) fn run(&self, window: &Window) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ahead = window.items.iter().enumerate();
        let next = || ahead.find_map(|(at, item)| self.left_over(at, item));
        reader.run(next, |at, hashed| {
            let item = &window.items[at];
            let good = hashed.is_ok_and(|hashed| item.entry.hash == Some(hashed.hash()));
            if good && self.complete(item).is_ok() {
                item.set_state(State::Resumed);
                self.findings.resumed_files.add(1);
                self.progress.advance(1, item.data_bytes());
            }
        });
        for item in &window.items {
            if let Some(part) = &item.part {
                self.look_for_chunks(item, part);
            }
        }
    }

    /// What was left of a file, if it is there with the right length. Anything amiss means that it is written again.
    fn left_over(&self, at: usize, item: &Item) -> Option<Opened> {
        if item.task != Task::File || item.part.is_some() {
            return None;
        }
        let file = self.open(item).ok()?;
        let stat = Stat::of(file.as_fd()).ok()?;
        let sparse = item.entry.extents.is_some() || stat.may_have_holes();
        let extents = if sparse { holes::data_extents(file.as_fd(), stat.size).ok()? } else { None };
        let whole = stat.is_file() && stat.size == item.entry.size && extents == item.entry.extents;
        whole.then(|| Opened::whole(at, file, stat.size, extents))
    }

    fn open(&self, item: &Item) -> io::Result<OwnedFd> {
        let place = self.root.place(&item.directory)?;
        self.bypass.open(place.as_fd(), &item.name, item.entry.size)
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

    fn look_for_chunks(&self, item: &Item, part: &Part) {
        let Ok(file) = self.open_large(item) else { return };
        if part.position == 0 {
            // From here on it is written to and not made again.
            _ = part.file.created.set(true);
            part.file.mark_left_over();
        }
        if !part.file.is_left_over() {
            return;
        }
        let mut position = part.position;
        let mut buffer = Vec::new();
        let mut is_there = |chunk: &ChunkRef| {
            let at = position;
            position += u64::from(chunk.length);
            buffer.resize(chunk.length as usize, 0);
            let read = content::read(file.as_fd(), item.entry.extents.as_deref(), at, &mut buffer);
            read.is_ok() && self.repository.verify_chunk(chunk, &buffer).is_ok()
        };
        let found: Vec<bool> = part.chunks().iter().map(&mut is_there).collect();
        let bytes = part
            .chunks()
            .iter()
            .zip(&found)
            .filter(|(_, found)| **found)
            .map(|(chunk, _)| u64::from(chunk.length))
            .sum();
        self.progress.advance(0, bytes);
        if part.is_whole_file() && found.iter().all(|found| *found) {
            self.findings.resumed_files.add(1);
        }
        _ = item.found.set(found);
    }

    /// A large file that was left with its full length, made writable again.
    fn open_large(&self, item: &Item) -> io::Result<OwnedFd> {
        let place = self.root.place(&item.directory)?;
        let stat = Stat::at(place.as_fd(), &item.name)?;
        if !stat.is_file() || stat.size != item.entry.size {
            return Err(io::ErrorKind::InvalidData.into());
        }
        chmodat(&place, &item.name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
        let file = open::file_at(place.as_fd(), &item.name)?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        Ok(file)
    }
}
