//! One lane: a thread with its own way into the repository.

use std::os::fd::AsFd;

use strongroom_repository::tree::order::join;
use strongroom_repository::{Cutter, Error, Lane};

use super::pool::Work;
use super::{Desk, Job, Outcomes, Target, Targets, small};
use crate::capture::{self, Outcome};
use crate::remarks::{Doing, Remark};

/// The state of one lane.
pub(super) struct LaneWorker<'a> {
    pub(super) desk: Desk<'a>,
    pub(super) lane: Lane,
    pub(super) cutter: Cutter,
    /// Where small files are read to.
    pub(super) buffer: Vec<u8>,
}

/// Works until the pool is closed, then flushes: the body of a lane's thread. The first error is the run's; after it the lane only answers.
pub fn run_lane(desk: Desk<'_>) -> Result<(), Error> {
    let watch = PanicWatch(desk);
    let mut worker = LaneWorker { desk, lane: desk.session.lane()?, cutter: desk.session.cutter(), buffer: Vec::new() };
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
            Job::Stream(feed, name, stat) => self.stream(feed, &name, &stat).map(|outcome| vec![outcome]),
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
                let left_out = |target: &Target| {
                    let fault = std::io::Error::new(fault.kind(), fault.to_string());
                    Outcome::LeftOut(Remark::fault(join(&targets.directory, target.name.to_bytes()), Doing::Inspect, fault))
                };
                outcomes.extend(targets.nodes.iter().map(left_out));
                return Ok(());
            }
        };
        for target in &targets.nodes {
            let outcome = if target.stat.is_file() {
                small::file(self, &targets.directory, place.as_fd(), target)?
            } else {
                capture::without_content(&targets.directory, place.as_fd(), &target.name, &target.stat, self.desk.owners)
            };
            self.desk.progress.advance(1, 0);
            outcomes.push(outcome);
        }
        Ok(())
    }
}
