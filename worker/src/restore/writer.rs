//! The threads that open frames and write files.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};

use strongroom_repository::{Error, Repository, chain};
use tokio::runtime::Handle;

use super::fetch::is_damage;
use super::findings::Findings;
use super::finish;
use super::jobs::{FrameJob, Job, Order, Orders};
use super::node::Node;
use super::places::Places;
use super::prepare::Preparer;
use super::report::ProblemKind;
use super::window::{Item, State};
use super::work::{Piece, Work};
use super::{content, make};
use crate::filesystem::Root;
use crate::progress::Progress;

/// One writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) repository: Arc<Repository>,
    pub(super) root: Arc<Root>,
    pub(super) findings: Arc<Findings>,
    pub(super) progress: Arc<Progress>,
    pub(super) orders: Orders,
    /// Where finished windows go, to be flushed and read back.
    pub(super) written: SyncSender<Arc<Work>>,
    pub(super) preparer: Arc<Preparer>,
    /// This thread may wait for it.
    pub(super) runtime: Handle,
}

impl Writer {
    /// Does what comes until nothing more does. After a failure orders are still taken and only counted down, so that nobody waits for ever.
    pub(super) fn run(self) {
        let mut places = Places::new(Arc::clone(&self.root));
        while let Some(order) = self.orders.next() {
            match order {
                Order::Prepare(window, done) => {
                    if !self.findings.has_failed() {
                        self.preparer.prepare(&window, &mut places);
                    }
                    // Nobody waits any more when the restore was cancelled.
                    let _cancelled = done.send(());
                }
                Order::Do(job, work) => {
                    if !self.findings.has_failed() {
                        self.work_on(job, &work, &mut places);
                    }
                    self.count_down(work);
                }
            }
        }
    }

    fn work_on(&self, job: Job, work: &Work, places: &mut Places) {
        match job {
            Job::Frame(frame) => self.write_frame(&frame, work, places),
            Job::Nodes(nodes) => {
                for at in &work.nodes[nodes] {
                    self.make_node(&work.window.items[*at as usize], places);
                }
            }
            Job::NoMore => {}
        }
    }

    /// The last job of a window finishes it.
    fn count_down(&self, work: Arc<Work>) {
        if work.jobs_left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        if !self.findings.has_failed() {
            finish::finish(&work, &self.root, &self.findings, &self.progress);
        }
        let written = work.written.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The reader ends early only by a panic, which whoever joins it will see.
        let _gone = self.written.send(work);
        if let Some(written) = written {
            let _cancelled = written.send(());
        }
    }

    fn write_frame(&self, job: &FrameJob, work: &Work, places: &mut Places) {
        let pieces = &work.pieces[job.pieces.clone()];
        let item = |piece: &Piece| &work.window.items[piece.item as usize];
        if pieces.iter().all(|piece| item(piece).state() == State::Failed) {
            return;
        }
        let plain = match self.repository.open_frame(job.frame, &job.sealed) {
            Ok(plain) => plain,
            Err(_) => return self.rescue(pieces, work, places),
        };
        for same in pieces.chunk_by(|left, right| (left.offset, left.chunk) == (right.offset, right.chunk)) {
            let Piece { offset, chunk, .. } = same[0];
            let range = offset as usize..offset as usize + chunk.length as usize;
            let bytes = plain.get(range).unwrap_or_default();
            // What is compared when it is read back need not be hashed here too.
            let later =
                bytes.len() == chunk.length as usize && same.iter().all(|piece| item(piece).is_judged_when_read_back());
            let verified = if later { Ok(()) } else { self.repository.verify_chunk(&chunk, bytes) };
            match verified {
                Ok(()) => same.iter().for_each(|piece| self.write_piece(item(piece), piece.position, bytes, places)),
                Err(error) => same.iter().for_each(|piece| self.lost(item(piece), &error)),
            }
        }
    }

    /// Writes what a frame should have held that cannot be had or opened: each chunk from wherever else it lies, in this repository or in a copy that stands by.
    fn rescue(&self, pieces: &[Piece], work: &Work, places: &mut Places) {
        let item = |piece: &Piece| &work.window.items[piece.item as usize];
        for same in pieces.chunk_by(|left, right| left.chunk == right.chunk) {
            if same.iter().all(|piece| item(piece).state() == State::Failed) {
                continue;
            }
            match self.runtime.block_on(self.repository.read_chunk(&same[0].chunk)) {
                Ok(bytes) => {
                    same.iter().for_each(|piece| self.write_piece(item(piece), piece.position, &bytes, places))
                }
                Err(error) if is_damage(&error) => same.iter().for_each(|piece| self.lost(item(piece), &error)),
                Err(error) => return self.findings.fail(error.into()),
            }
        }
    }

    fn lost(&self, item: &Item, error: &Error) {
        if item.fail() {
            self.findings.problem(&item.path(), ProblemKind::Repository, chain(error));
        }
    }

    fn write_piece(&self, item: &Item, position: u64, bytes: &[u8], places: &mut Places) {
        if item.state() == State::Failed {
            return;
        }
        let written = places.at(&item.directory).and_then(|place| {
            if item.is_one_piece() {
                self.write_whole(item, bytes, place)
            } else {
                self.write_part(item, position, bytes, place)
            }
        });
        match written {
            Ok(()) => self.progress.advance(0, bytes.len() as u64),
            Err(fault) => self.refused("write the file", item, fault),
        }
    }

    fn write_whole(&self, item: &Item, bytes: &[u8], place: BorrowedFd<'_>) -> std::io::Result<()> {
        let file = content::create(place, &item.name, &item.entry)?;
        content::write(file.as_fd(), None, 0, bytes)?;
        self.complete(item, Node::Open(file.as_fd()));
        Ok(())
    }

    fn write_part(&self, item: &Item, position: u64, bytes: &[u8], place: BorrowedFd<'_>) -> std::io::Result<()> {
        let mut fault = None;
        let created = item.created().get_or_init(|| {
            fault = content::create_for_pieces(place, &item.name, &item.entry).err();
            fault.is_none()
        });
        if let Some(fault) = fault {
            return Err(fault);
        }
        if !created {
            return Ok(()); // the thread that tried has said why
        }
        let file = content::reopen(place, &item.name)?;
        content::write(file.as_fd(), item.entry.extents.as_deref(), position, bytes)?;
        if item.pieces_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            match item.part {
                // The part before may still be written to: the metadata comes when the window is finished.
                Some(_) => item.set_state(State::Written),
                None => self.complete(item, Node::Open(file.as_fd())),
            }
        }
        Ok(())
    }

    fn make_node(&self, item: &Item, places: &mut Places) {
        let made = places.at(&item.directory).and_then(|place| make::node(place, item));
        match made {
            Ok(Some(file)) => self.complete(item, Node::Open(file.as_fd())),
            Ok(None) => match places.at(&item.directory) {
                Ok(place) => self.complete(item, Node::Named(place, &item.name)),
                Err(fault) => self.refused("open the directory of", item, fault),
            },
            Err(fault) => self.refused("create the node", item, fault),
        }
    }

    /// All of the content is written: the metadata, and it is done.
    fn complete(&self, item: &Item, node: Node<'_>) {
        let refusals = node.apply(item.wanted());
        if !refusals.is_empty() {
            item.refused.set(self.findings.refusals(&item.path(), &refusals));
        }
        item.set_state(State::Written);
        self.progress.advance(1, 0);
    }

    fn refused(&self, doing: &'static str, item: &Item, fault: std::io::Error) {
        if item.fail() {
            self.findings.target_fault(doing, &item.path(), fault);
        }
    }
}
