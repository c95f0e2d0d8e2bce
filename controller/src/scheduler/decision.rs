//! What the scheduler is told about runs, and what it decides about them.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_plans::{CutOff, FailureClass, Name, RunKind};

/// A run: of which plan, on which host, due when. There is one record for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RunKey {
    /// The plan.
    pub plan: Name,
    /// The host.
    pub host: Name,
    /// When it is due by the plan's words; a run that somebody starts has the instant at which it was started.
    pub due: Timestamp,
}

/// What is to be done or written down now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "decision")]
pub enum Decision {
    /// Begin the run. It counts as going from now on, until [`Scheduler::ended`](super::Scheduler::ended) is told.
    Start {
        /// The run.
        key: RunKey,
        /// A run that stands for a full one is full.
        kind: RunKind,
        /// Whether it begins noticeably later than it should.
        late: bool,
        /// From 1 up; each attempt of a run has another number.
        attempt: u32,
    },
    /// The run is due and cannot begin yet: its record is open, and a restart must know of it.
    Wait {
        /// The run.
        key: RunKey,
        /// Its kind.
        kind: RunKind,
        /// What it waits for, as of now.
        held: Held,
    },
    /// The run will not begin (again): its record is closed.
    Record {
        /// The run.
        key: RunKey,
        /// Its kind.
        kind: RunKind,
        /// Why.
        ending: Ending,
    },
    /// The window of a run that is going has closed.
    Stop {
        /// The run.
        key: RunKey,
        /// How it is to end.
        how: CutOff,
    },
}

/// Why a run that was due did not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It could not begin in time: its host or the controller was away, or no place was free.
    Missed,
    /// There was a reason not to run it.
    Skipped(Skip),
    /// A later one of the same plan and host runs in its place.
    Superseded {
        /// When that one was due.
        by: Timestamp,
    },
    /// It began and did not come to its end, and there is no time left for another attempt.
    GaveUp,
}

/// A reason not to run what is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    /// The run before it was still going.
    Overlap,
    /// A freeze stops it on that day.
    Freeze,
    /// A blackout stops it on that day.
    Blackout,
    /// No place became free before its window closed.
    Window,
    /// The run that must end well before did not.
    After {
        /// The plan of that run.
        plan: Name,
    },
    /// The site no longer has the plan for this host.
    Withdrawn,
}

/// What a run that is due waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// A place among the runs of the site, its host or its repository.
    Place,
    /// Its host.
    Host,
    /// The time of its next attempt.
    Retry,
    /// The run of the same plan and host that is going.
    Overlap,
    /// The end of another plan's run.
    After,
    /// The end of a freeze or blackout.
    Standstill,
}

/// How a run, or an attempt at it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// It did what its plan says.
    Well,
    /// It did not, and would not the next time.
    Badly,
    /// It was lost on the way: it may go well the next time.
    Lost,
    /// It failed by this, which the plan may want to be tried again.
    Failed(FailureClass),
    /// Its window closed, and its plan says `stop`: it goes on when the window opens next.
    Stopped,
    /// It never began, since its host does not answer.
    Unreachable,
}

/// What follows from the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The run is over, with the outcome that was told.
    Over,
    /// It is tried again, not before that time. Its record stays open.
    Again {
        /// When.
        at: Timestamp,
        /// The due time in whose window it goes on, if it was stopped by the end of its own.
        window: Option<Timestamp>,
    },
    /// No run of that key is going.
    Unknown,
}

/// What the journal knows of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRun {
    /// The run.
    pub key: RunKey,
    /// Its kind.
    pub kind: RunKind,
    /// What has become of it.
    pub state: KnownState,
}

/// What has become of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownState {
    /// It is due, and waits: what [`Decision::Wait`] and [`Ended::Again`] say.
    Waiting {
        /// Attempts that were begun.
        attempts: u32,
        /// Those among them that were lost, or failed, once they had begun something on the host.
        lost: u32,
        /// Not to be tried again before.
        not_before: Option<Timestamp>,
        /// The due time in whose window it goes on, if it was stopped by the end of its own.
        window: Option<Timestamp>,
    },
    /// It was started, and nobody said that it ended.
    Going {
        /// When the attempt began.
        since: Timestamp,
        /// Which one it is.
        attempt: u32,
        /// Attempts before it that were lost, or failed, once they had begun something on the host.
        lost: u32,
    },
    /// Its record is closed.
    Closed {
        /// Whether the run did what its plan says.
        well: bool,
    },
    /// Its record is closed, and another run stands for it.
    Superseded {
        /// When that one was due.
        by: Timestamp,
    },
}

impl fmt::Display for RunKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} on {}, due {}", self.plan, self.host, self.due)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed => out.write_str("missed"),
            Self::Skipped(skip) => write!(out, "skipped: {skip}"),
            Self::Superseded { by } => write!(out, "superseded by the run due {by}"),
            Self::GaveUp => out.write_str("given up: it was begun, and no time is left for another attempt"),
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap => out.write_str("the run before it was still going"),
            Self::Freeze => out.write_str("a freeze"),
            Self::Blackout => out.write_str("a blackout"),
            Self::Window => out.write_str("no place was free before its window closed"),
            Self::After { plan } => write!(out, "the run of {plan} before it did not end well"),
            Self::Withdrawn => out.write_str("the site no longer has the plan for this host"),
        }
    }
}
