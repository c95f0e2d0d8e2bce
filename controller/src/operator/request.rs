//! What is asked of the loop that owns the state, and how it refuses.

use serde::Serialize;
use tokio::sync::{oneshot, watch};
use tonic::Status;

use crate::daemon::Standing;
use crate::journal::Who;
use crate::permissions::Sight;
use crate::runs::RunId;

/// A question, and where its answer goes.
#[derive(Debug)]
pub enum Request {
    /// What is protected, overdue, unproven.
    Status(Sight, Reply),
    /// Runs, the latest due first.
    Runs {
        /// Of this plan only.
        plan: Option<String>,
        /// Of this host only.
        host: Option<String>,
        /// At most so many.
        count_max: u32,
        /// Of these hosts only.
        sight: Sight,
        /// The answer.
        reply: Reply,
    },
    /// Where one run stands, again and again until it ends.
    Watch(RunId, oneshot::Sender<Result<watch::Receiver<Standing>, Refused>>),
    /// Start a plan now.
    Start {
        /// The plan.
        plan: String,
        /// On this host only.
        host: Option<String>,
        /// Whether everything is read.
        full: bool,
        /// Who wants it.
        by: Who,
        /// The runs.
        reply: oneshot::Sender<Result<Vec<RunId>, Refused>>,
    },
    /// One run, with all that the journal says of it.
    ShowRun(RunId, Reply),
    /// Do again what a run did not do.
    Retry(RunId, Mode, Who, Reply),
    /// End a run.
    Cancel(RunId, Mode, Who, Reply),
    /// Halt a run, or let it go on.
    Pause(RunId, Going, Mode, Who, Reply),
    /// The hosts, or one of them.
    Hosts(Option<String>, Sight, Reply),
    /// One host and its facts.
    HostFacts {
        /// Its name or its address.
        host: String,
        /// Whether it is asked before.
        refresh: bool,
        /// The answer.
        reply: Reply,
    },
    /// Read the site directory again.
    Reload(Mode, Who, Reply),
    /// Maintain a repository now; the answer comes when it is done.
    Maintain(String, Mode, Who, Reply),
    /// Store the controller's own state in every repository now; the answer comes when it is done.
    StoreState(Mode, Who, Reply),
    /// Have restore points drilled now; the answer comes when all of them are.
    Drill(DrillWish, Who, Reply),
    /// How it stands with the drills.
    Drills(Sight, Reply),
    /// How far restore points are proven.
    Proofs {
        /// Of this plan only.
        plan: Option<String>,
        /// Of this host only.
        host: Option<String>,
        /// Of these hosts only.
        sight: Sight,
        /// The answer.
        reply: Reply,
    },
    /// All that was done to prove the restore point of a snapshot, of which this is the beginning of its name.
    ShowProof(String, Sight, Reply),
    /// Send a test notice by all ways, or by one.
    TestNotices {
        /// By this one only.
        way: Option<String>,
        /// Whether nothing is sent.
        dry_run: bool,
        /// What came of it.
        reply: Reply,
    },
}

/// Which restore points somebody wants drilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillWish {
    /// Of this plan; of all that demand a proof if he names none.
    pub plan: Option<String>,
    /// Of this host only.
    pub host: Option<String>,
    /// Not the newest one, but that of this snapshot.
    pub snapshot: Option<String>,
    /// Whether it is done.
    pub mode: Mode,
}

/// Whether something is done, or only said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is done.
    Earnest,
    /// It is only said what would be done.
    DryRun,
}

/// How a run is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Going {
    /// Halted where it stands.
    Halted,
    /// Going on.
    On,
}

/// Where a document goes.
pub type Reply = oneshot::Sender<Result<String, Refused>>;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be done now, or not so.
    #[error("{0}")]
    Unfit(String),
    /// Whoever asks may not.
    #[error("{0}")]
    Forbidden(String),
    /// The controller cannot.
    #[error("{0}")]
    Broken(String),
}

/// A document of any shape that `--json` prints.
pub fn document(answer: &impl Serialize) -> Result<String, Refused> {
    serde_json::to_string(answer).map_err(|error| Refused::Broken(error.to_string()))
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown(text) => Self::not_found(text),
            Refused::Unfit(text) => Self::failed_precondition(text),
            Refused::Forbidden(text) => Self::permission_denied(text),
            Refused::Broken(text) => Self::internal(text),
        }
    }
}
