//! One lane: a thread with its own way into the repository.

use std::io;
use std::os::fd::AsFd;

use strongroom_repository::tree::order::join;
use strongroom_repository::{Cutter, Error, Kind, Lane, Parameters};

use super::pool::Work;
use super::{Buffer, Desk, Job, Outcomes, Target, Targets, large, small};
use crate::capture::{self, Capture, Outcome};
use crate::remarks::{Doing, Remark};

/// The state of one lane.
pub(super) struct LaneWorker<'a> {
    pub(super) desk: Desk<'a>,
    pub(super) lane: Lane,
    pub(super) cutter: Cutter,
    pub(super) parameters: Parameters,
    /// Where small files are read to.
    pub(super) buffer: Buffer,
}

/// Works until the pool is closed, then flushes: the body of a lane's thread. The first error is the run's; after it the lane only answers.
pub fn run_lane(desk: Desk<'_>, lane: Lane) -> Result<(), Error> {
    let watch = PanicWatch(desk);
    let mut worker = LaneWorker {
        desk,
        lane,
        cutter: desk.repository.cutter(),
        parameters: desk.repository.parameters(),
        buffer: Buffer::default(),
    };
    loop {
        match desk.pool.next() {
            Work::Piece(piece) => piece(&mut worker),
            Work::Job(id, job) => {
                let outcomes = worker.job(job);
                desk.pool.deliver(id, outcomes);
            }
            Work::Done => break,
        }
    }
    drop(watch);
    worker.lane.flush()
}

/// Tells the pool if its thread panics, or ends without having served, so that nobody waits for it.
struct PanicWatch<'a>(Desk<'a>);

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.pool.fail();
        }
    }
}

impl LaneWorker<'_> {
    fn job(&mut self, job: Job) -> Outcomes {
        match job {
            Job::Stream(feed, name, stat) => large::stream(self, feed, &name, &stat).map(|outcome| vec![outcome]),
            Job::Nodes(directories) => {
                let mut outcomes = Vec::with_capacity(directories.iter().map(|targets| targets.nodes.len()).sum());
                for targets in &directories {
                    self.targets(targets, &mut outcomes)?;
                }
                Ok(outcomes)
            }
        }
    }

    fn targets(&mut self, targets: &Targets, outcomes: &mut Vec<Outcome>) -> Result<(), Error> {
        let place = match self.desk.root.place(&targets.directory) {
            Ok(place) => place,
            Err(fault) => {
                outcomes.extend(targets.nodes.iter().map(|target| self.unreachable(targets, target, &fault)));
                return Ok(());
            }
        };
        for target in &targets.nodes {
            let outcome = if target.stat.is_file() {
                small::file(self, &targets.directory, place.as_fd(), target)?
            } else {
                capture::without_content(
                    &targets.directory,
                    place.as_fd(),
                    &target.name,
                    &target.stat,
                    self.desk.owners,
                )
            };
            self.desk.progress.advance(1, 0);
            outcomes.push(outcome);
        }
        Ok(())
    }

    /// The outcome for a node whose directory can no longer be opened.
    fn unreachable(&self, targets: &Targets, target: &Target, fault: &io::Error) -> Outcome {
        let fault = io::Error::new(fault.kind(), fault.to_string());
        let remark = Remark::fault(join(&targets.directory, target.name.to_bytes()), Doing::Inspect, fault);
        if !target.stat.is_directory() {
            return Outcome::LeftOut(remark);
        }
        // The walk may have found entries in it, and they need their parent.
        let mut capture = Capture::new(&target.name, Kind::Directory, &target.stat, self.desk.owners);
        capture.fingerprint = capture.fingerprint.spoiled();
        capture.remarks.push(remark);
        Outcome::Captured(Box::new(capture))
    }
}
