//! Reading: lanes, one thread each, that open files, hash them, cut them and hand their chunks to the repository.
//!
//! Small files come in batches of about a MiB, in path order, so that neighbours share a solid frame. A large file is one job: its thread reads and
//! hashes, and gives chunks to whichever lane is free. A disk image is read by several lanes at once.
//!
//! Every file is looked at again after it was read. One that changed meanwhile is read again, and one that never holds still is kept as it was
//! read last, marked as torn, and read again by the next run. (A change within one tick of the file system's clock, 1 to 10 ms, shows in no time
//! stamp. It is not noticed here; the next run reads such a young file again.)
//!
//! A fault of the source becomes an [`Outcome`]; a fault of the repository ends the run.

mod buffer;
mod feed;
mod image;
mod lane;
mod large;
mod pool;
mod small;

use std::ffi::CString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use strongroom_repository::{Error, Repository, Session};

use crate::capture::Outcome;
use crate::filesystem::{Root, Stat};
use crate::owners::Owners;
use crate::pace::Pace;
use crate::progress::Progress;

pub use buffer::Buffer;
pub use feed::{Fed, Feed, StreamFeed, Summary};
pub use lane::run_lane;
pub use pool::{JobId, Pool, PoolFailed};

/// A node to be captured.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: CString,
    /// What the walk saw.
    pub stat: Stat,
}

/// Nodes of one directory.
#[derive(Debug)]
pub struct Targets {
    /// The directory's path.
    pub directory: Arc<[u8]>,
    /// Nodes in it, in order.
    pub nodes: Vec<Target>,
}

/// Work for a lane. The outcomes come in the order of the nodes.
pub enum Job {
    /// Nodes, files of any size among them.
    Nodes(Vec<Targets>),
    /// A stream, which becomes one file of this name.
    Stream(Box<dyn Feed + Send>, CString, Stat),
}

/// What all lanes of a run share.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    /// Where paths begin.
    pub root: &'a Root,
    /// Where content goes.
    pub repository: &'a Repository,
    /// The open writer there.
    pub session: &'a Arc<Session>,
    /// Names of owners.
    pub owners: &'a Owners,
    /// The work.
    pub pool: &'a Pool,
    /// For the eye.
    pub progress: &'a Progress,
    /// How fast to read.
    pub pace: &'a Pace,
    /// Set when the run was given up.
    pub stop: &'a AtomicBool,
}

impl Desk<'_> {
    /// Notes that bytes of the source were read, and waits until more may be.
    fn took(&self, bytes: u64) {
        self.progress.advance(0, bytes);
        self.pace.took(bytes, self.stop);
    }
}

/// What ends the reading of a file early.
#[derive(Debug)]
enum Fault {
    /// The file itself: it becomes a remark.
    Source(io::Error),
    /// The repository: it ends the run.
    Repository(Error),
}

impl From<io::Error> for Fault {
    fn from(fault: io::Error) -> Self {
        Self::Source(fault)
    }
}

impl From<rustix::io::Errno> for Fault {
    fn from(fault: rustix::io::Errno) -> Self {
        Self::Source(fault.into())
    }
}

impl From<Error> for Fault {
    fn from(fault: Error) -> Self {
        Self::Repository(fault)
    }
}

/// The outcomes of one job.
pub type Outcomes = Result<Vec<Outcome>, Error>;
