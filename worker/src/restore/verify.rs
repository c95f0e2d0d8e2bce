//! Flushing windows, reading them back and comparing: the only place where something is called verified.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, chmodat};
use strongroom_repository::text::escape;
use strongroom_repository::tree::order;
use strongroom_repository::{FileHash, Kind};

use super::aspect::{Aspect, Aspects};
use super::blame::Blame;
use super::bypass::Bypass;
use super::crew::Tools;
use super::error::RestoreError;
use super::events::{Listener, RestoreEvent};
use super::findings::Findings;
use super::make;
use super::node::Node;
use super::places::Places;
use super::readback::{Hashed, Opened, Reader};
use super::report::ProblemKind;
use super::staging::Staging;
use super::window::{Directory, Item, State, Task, Window};
use super::work::Work;
use crate::filesystem::{Root, Stat, holes};

/// Two threads keep a fast disk busy while they hash in turn.
const READERS: usize = 2;

/// The thread that flushes. It flushes one window while the one before is read back.
#[derive(Debug)]
pub(super) struct Flusher {
    pub(super) staging: Arc<Staging>,
    pub(super) findings: Arc<Findings>,
    pub(super) listener: Listener,
    /// Where flushed windows go.
    pub(super) flushed: SyncSender<Arc<Work>>,
}

impl Flusher {
    /// Flushes windows as they come, until no more do; says how long that took.
    pub(super) fn run(self, written: &Receiver<Arc<Work>>) -> Duration {
        let mut took = Duration::ZERO;
        for work in written {
            if self.findings.has_failed() {
                continue;
            }
            let start = Instant::now();
            if let Err(source) = self.staging.flush() {
                // What a flush that failed has lost nobody can say: no further flush may be trusted.
                let path = escape(self.staging.path().as_os_str().as_encoded_bytes());
                self.findings.fail(RestoreError::Target { doing: "flush", path, source });
                continue;
            }
            took += start.elapsed();
            let (window, tree) = (work.window.number, self.staging.path().join("tree"));
            self.listener.tell(&RestoreEvent::Flushed { window, tree });
            // The reader ends early only by a panic, which whoever joins it will see.
            let _gone = self.flushed.send(work);
        }
        took
    }
}

/// The thread that reads flushed windows back and compares them.
#[derive(Debug)]
pub(super) struct Verifier {
    root: Arc<Root>,
    findings: Arc<Findings>,
    listener: Listener,
    bypass: Bypass,
    blame: Blame,
    readers: Vec<Reader>,
}

impl Verifier {
    pub(super) fn new(tools: &Tools) -> Self {
        Self {
            root: Arc::clone(&tools.root),
            findings: Arc::clone(&tools.findings),
            listener: tools.listener.clone(),
            bypass: tools.staging.bypass(),
            blame: Blame { repository: Arc::clone(&tools.repository), runtime: tools.runtime.clone() },
            readers: (0..READERS).map(|_| Reader::new()).collect(),
        }
    }

    /// Verifies windows as they come, until no more do; says how long that took.
    pub(super) fn run(mut self, flushed: &Receiver<Arc<Work>>) -> Duration {
        let mut took = Duration::ZERO;
        for work in flushed {
            if self.findings.has_failed() {
                continue;
            }
            let start = Instant::now();
            self.verify(&work.window);
            took += start.elapsed();
            self.listener.tell(&RestoreEvent::ReadBack { window: work.window.number });
        }
        took
    }

    fn verify(&mut self, window: &Window) {
        let next = AtomicUsize::new(0);
        let checker = Checker { root: &self.root, findings: &self.findings, bypass: self.bypass, blame: &self.blame };
        thread::scope(|scope| {
            for reader in &mut self.readers {
                scope.spawn(|| checker.run(window, &next, reader));
            }
        });
        for directory in &window.completed {
            checker.told(&directory.path, checker.compare_directory(directory), directory.refused.get());
            self.findings.directories.add(1);
        }
    }
}

/// Who is not root may have files that it cannot read: their mode is lent for a moment.
fn open_even_if_unreadable(bypass: Bypass, place: BorrowedFd<'_>, item: &Item) -> io::Result<OwnedFd> {
    let open = || bypass.open(place, &item.name, item.entry.size);
    match open() {
        Err(fault) if fault.kind() == io::ErrorKind::PermissionDenied => {
            chmodat(place, &item.name, Mode::RUSR, AtFlags::empty())?;
            let opened = open();
            chmodat(place, &item.name, Mode::from_raw_mode(item.entry.mode), AtFlags::empty())?;
            opened
        }
        other => other,
    }
}

/// How many items a reader takes at a time: enough that neighbours are read together.
const TAKEN_AT_ONCE: usize = 64;

/// One thread's part in verifying a window.
struct Checker<'a> {
    root: &'a Arc<Root>,
    findings: &'a Findings,
    bypass: Bypass,
    blame: &'a Blame,
}

impl Checker<'_> {
    fn run(&self, window: &Window, next: &AtomicUsize, reader: &mut Reader) {
        let mut places = Places::new(Arc::clone(self.root));
        let mut taken = 0..0;
        let next_file = || loop {
            let Some(at) = taken.next() else {
                let start = next.fetch_add(TAKEN_AT_ONCE, Ordering::Relaxed);
                if start >= window.items.len() {
                    return None;
                }
                taken = start..(start + TAKEN_AT_ONCE).min(window.items.len());
                continue;
            };
            if let Some(opened) = self.check(at, &window.items[at], &mut places) {
                return Some(opened);
            }
        };
        reader.run(next_file, |at, hashed| self.check_content(&window.items[at], hashed));
    }

    /// Compares everything but the content; a file whose content is to be read comes back open.
    fn check(&self, at: usize, item: &Item, places: &mut Places) -> Option<Opened> {
        let has_failed = item.part.as_ref().is_some_and(|part| part.file.has_failed());
        if has_failed || !matches!(item.state(), State::Written | State::Resumed) {
            return None;
        }
        match &item.task {
            // Compared when it is complete.
            Task::Directory => None,
            Task::Link(first) => {
                self.check_link(item, first, places);
                None
            }
            Task::File | Task::Node if item.entry.kind == Kind::File => self.check_file(at, item, places),
            Task::File | Task::Node => {
                let differ =
                    places.at(&item.directory).and_then(|place| Node::Named(place, &item.name).compare(item.wanted()));
                self.told(&item.path(), differ, item.refused.get());
                self.findings.others.add(1);
                None
            }
        }
    }

    fn check_link(&self, item: &Item, first: &[u8], places: &mut Places) {
        let (directory, name) = order::split(first);
        let mut same = || -> io::Result<bool> {
            let stat = Stat::at(places.at(&item.directory)?, &item.name)?;
            let place = self.root.place(directory)?;
            let first = Stat::at(place.as_fd(), &CString::new(name)?)?;
            Ok((stat.device, stat.inode) == (first.device, first.inode))
        };
        match same() {
            Ok(true) => self.findings.hard_links.add(1),
            Ok(false) => self.mismatch(item, "it is not the file that it should be another name of"),
            Err(fault) => self.mismatch(item, &format!("it cannot be read back: {fault}")),
        }
    }

    /// Who is not root may make directories that it cannot list; what can be seen from outside is compared then.
    fn compare_directory(&self, directory: &Directory) -> io::Result<Aspects> {
        match self.root.listing(&directory.path) {
            Ok(open) => Node::Open(open.as_fd()).compare(directory.wanted()),
            Err(fault) if fault.kind() == io::ErrorKind::PermissionDenied => {
                let (parent, name) = order::split(&directory.path);
                let place = self.root.place(parent)?;
                Node::Named(place.as_fd(), &CString::new(name)?).compare(directory.wanted())
            }
            Err(fault) => Err(fault),
        }
    }

    fn check_file(&self, at: usize, item: &Item, places: &mut Places) -> Option<Opened> {
        match places.at(&item.directory).and_then(|place| open_even_if_unreadable(self.bypass, place, item)) {
            Ok(file) => self.check_open(at, item, file),
            Err(fault) => {
                self.mismatch(item, &format!("it cannot be read back: {fault}"));
                None
            }
        }
    }

    fn check_open(&self, at: usize, item: &Item, file: OwnedFd) -> Option<Opened> {
        let differ = match Node::Open(file.as_fd()).compare(item.wanted()) {
            Ok(differ) => differ,
            Err(fault) => {
                self.mismatch(item, &format!("it cannot be read back: {fault}"));
                return None;
            }
        };
        if differ.contains(Aspect::Kind) || differ.contains(Aspect::Size) {
            self.mismatch(item, "its length is not the one at the source");
            return None;
        }
        if item.is_last_part() {
            self.told(&item.path(), Ok(differ), item.refused.get());
        }
        if item.state() == State::Resumed {
            self.verified(item);
            return None;
        }
        let size = item.entry.size;
        // The holes that are there, not those that should be: only a real hole need not be read.
        let sparse = item.entry.extents.is_some() || differ.contains(Aspect::Holes);
        let extents = if sparse { holes::data_extents(file.as_fd(), size).ok().flatten() } else { None };
        let whole = Opened::whole(at, file, size, extents);
        Some(match &item.part {
            Some(part) => Opened { before: part.file.take_hashed(), end: part.file_end, ..whole },
            None => whole,
        })
    }

    fn check_content(&self, item: &Item, hashed: io::Result<Hashed>) {
        match (&item.part, hashed) {
            (Some(part), Ok(hashed)) if !part.is_last => part.file.leave_hashed(hashed),
            (_, hashed) => self.check_hash(item, hashed.map(|hashed| hashed.hash())),
        }
    }

    fn check_hash(&self, item: &Item, hash: io::Result<FileHash>) {
        match (hash, item.entry.hash) {
            (Ok(found), Some(wanted)) if found == wanted => self.verified(item),
            (Ok(_), Some(_)) => self.find_out(item),
            (Ok(_), None) if item.entry.size == 0 => self.verified(item),
            (Ok(_), None) => {
                self.findings.deviation(&item.path(), Aspect::Content, "the snapshot has no hash to compare it with");
            }
            (Err(fault), _) => self.mismatch(item, &format!("it cannot be read back: {fault}")),
        }
    }

    /// It came back different. If the disk is not to blame, the file is lost but the restore goes on without it.
    fn find_out(&self, item: &Item) {
        let (kind, why) = self.blame.of(&item.entry, item.all_chunks());
        if kind == ProblemKind::Mismatch || item.entry.hardlink.is_some() {
            // Its other names may be there already: nothing of this restore can be put in place.
            return self.mismatch(item, &why);
        }
        let remove = || make::remove(self.root.place(&item.directory)?.as_fd(), &item.name);
        if item.fail() {
            self.findings.problem(&item.path(), kind, why);
        }
        if let Err(fault) = remove() {
            self.findings.target_fault("remove the unfinished", &item.path(), fault);
        }
    }

    fn verified(&self, item: &Item) {
        self.findings.files.add(1);
        self.findings.verified_files.add(1);
        self.findings.verified_bytes.add(item.entry.data_bytes());
        self.findings.bytes.add(item.entry.data_bytes());
    }

    fn mismatch(&self, item: &Item, why: &str) {
        if item.fail() {
            self.findings.problem(&item.path(), ProblemKind::Mismatch, why);
        }
    }

    /// Tells what differs, but for what could not be set, which was told then.
    fn told(&self, path: &[u8], differ: io::Result<Aspects>, refused: Aspects) {
        self.findings.compared_nodes.add(1);
        match differ {
            Ok(differ) => self.findings.came_out_otherwise(path, differ.without(refused)),
            Err(fault) => {
                self.findings.problem(path, ProblemKind::Mismatch, format!("it cannot be read back: {fault}"))
            }
        }
    }
}
