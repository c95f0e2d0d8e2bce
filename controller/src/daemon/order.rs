//! What a run's thread gets, and how it reports its end.

use std::sync::Arc;

use jiff::Timestamp;
use strongroom_plans::{FailureClass, FleetPlan, RunKind};
use tokio::sync::{mpsc, watch};

use super::standing::{Doing, Standing};
use crate::runs::{Ending, RunId};

/// One run to be done.
#[derive(Debug)]
pub struct RunOrder {
    /// Its name. The jobs on the host are named after it.
    pub run: RunId,
    /// What is to be done.
    pub plan: Arc<FleetPlan>,
    /// BLAKE3 of the plan.
    pub plan_version: String,
    /// On which host.
    pub host: String,
    /// What is read.
    pub kind: RunKind,
    /// From 1. The same attempt at the same run is the same work, however often it is begun.
    pub attempt: u32,
    /// Turns true when the run is to end.
    pub cancel: watch::Receiver<bool>,
    /// True as long as the run is to be halted.
    pub pause: watch::Receiver<bool>,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) ends: mpsc::UnboundedSender<(RunId, RunEnd)>,
}

/// How a run's thread ended.
#[derive(Debug)]
pub enum RunEnd {
    /// The run is over.
    Over {
        /// How.
        ending: Ending,
        /// Why, where it is not obvious.
        reason: Option<String>,
        /// What was done.
        record: Option<serde_json::Value>,
        /// What it failed by, where trying again may be of use.
        class: Option<FailureClass>,
    },
    /// Nothing was begun, since the host could not be reached.
    Unreachable {
        /// Why.
        why: String,
        /// Whether it may be reached later without anybody's doing.
        passing: bool,
    },
    /// The host was lost while it worked, and is not coming back soon enough.
    Lost {
        /// Why.
        why: String,
    },
    /// The controller is about to end; the run goes on at its next start.
    Interrupted,
}

impl RunOrder {
    /// When the run was due.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        self.standing.borrow().run.due
    }

    /// Says what is being done.
    pub fn tell(&self, doing: Doing) {
        self.standing.send_modify(|standing| standing.doing = doing);
    }

    /// Reports the end.
    pub fn end(self, end: RunEnd) {
        // The loop ends before its runs only when the journal failed: then nobody can write this down.
        let _ = self.ends.send((self.run, end));
    }
}
