//! The work of a window: which piece of which frame goes where, so that each frame is opened once.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use strongroom_repository::{ChunkRef, FrameId, Repository, chain};
use tokio::sync::oneshot;

use super::findings::Findings;
use super::report::ProblemKind;
use super::window::{State, Task, Window};

/// How many nodes without content one job makes.
const NODES_PER_JOB: usize = 512;

/// A chunk of a file and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// The frame that holds it.
    pub(super) frame: FrameId,
    /// Where it begins in the plain frame.
    pub(super) offset: u32,
    /// What it is.
    pub(super) chunk: ChunkRef,
    /// Which item it belongs to.
    pub(super) item: u32,
    /// Where it begins in the content.
    pub(super) position: u64,
}

/// A window with its work.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) window: Arc<Window>,
    /// Sorted by frame and place.
    pub(super) pieces: Vec<Piece>,
    /// Items without content.
    pub(super) nodes: Vec<u32>,
    /// Jobs that are not done, and one for the end of handing them out.
    pub(super) jobs_left: AtomicUsize,
    /// Told when all jobs are done and the directories have their metadata.
    pub(super) written: Mutex<Option<oneshot::Sender<()>>>,
}

/// A frame and its pieces.
#[derive(Debug, Clone)]
pub(super) struct FrameWork {
    pub(super) frame: FrameId,
    pub(super) sealed_length: u32,
    pub(super) pieces: Range<usize>,
}

impl Work {
    /// Finds the places of all chunks of the files that are not there yet.
    pub(super) fn new(
        window: Arc<Window>,
        repository: &Repository,
        findings: &Findings,
    ) -> (Self, oneshot::Receiver<()>) {
        let mut pieces = Vec::new();
        let mut nodes = Vec::new();
        for (at, item) in window.items.iter().enumerate() {
            match item.task {
                Task::Node => nodes.push(at as u32),
                Task::File if item.state() == State::Waiting => {
                    find_pieces(&window, at, repository, findings, &mut pieces)
                }
                _ => {}
            }
        }
        pieces.sort_unstable_by_key(|piece: &Piece| (piece.frame, piece.offset, piece.item, piece.position));
        let (written, is_written) = oneshot::channel();
        let work = Self { window, pieces, nodes, jobs_left: AtomicUsize::new(1), written: Mutex::new(Some(written)) };
        (work, is_written)
    }

    /// The frames, in the order in which they lie in their packs.
    pub(super) fn frames(&self, repository: &Repository) -> Vec<FrameWork> {
        let mut end = 0;
        let groups = self.pieces.chunk_by(|left, right| left.frame == right.frame);
        let frame = |group: &[Piece]| {
            let start = end;
            end += group.len();
            let frame = group[0].frame;
            FrameWork { frame, sealed_length: repository.frame_sealed_length(frame), pieces: start..end }
        };
        groups.map(frame).collect()
    }

    /// The items without content, in parts that make a job each.
    pub(super) fn node_jobs(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let count = self.nodes.len();
        (0..count).step_by(NODES_PER_JOB).map(move |start| start..(start + NODES_PER_JOB).min(count))
    }
}

/// A file with one lost chunk is lost: none of its pieces is fetched.
fn find_pieces(window: &Window, at: usize, repository: &Repository, findings: &Findings, pieces: &mut Vec<Piece>) {
    let item = &window.items[at];
    if item.part.as_ref().is_some_and(|part| part.file.has_failed()) {
        item.fail();
        return;
    }
    let (before, mut end) = (pieces.len(), item.part.as_ref().map_or(0, |part| part.position));
    for (number, chunk) in item.chunks().iter().enumerate() {
        let position = end;
        end += u64::from(chunk.length);
        if item.has_chunk(number) {
            continue;
        }
        match repository.locate(&chunk.id) {
            Ok(place) => {
                let (frame, offset) = (place.frame, place.offset);
                pieces.push(Piece { frame, offset, chunk: *chunk, item: at as u32, position });
            }
            Err(error) => {
                pieces.truncate(before);
                if item.fail() {
                    findings.problem(&item.path(), ProblemKind::Repository, chain(&error));
                }
                return;
            }
        }
    }
    let count = (pieces.len() - before) as u32;
    item.pieces_left.store(count, Ordering::Release);
    if count == 0 {
        // All of this part was found in the staging directory.
        item.set_state(State::Written);
    }
}
