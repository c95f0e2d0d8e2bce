//! How often a run is tried again, after what: `retries: { times: 3, wait: 5m, on: [lost, store] }`.
//!
//! Unless the plan says more, only a host that was lost on the way is tried again: what else fails would mostly fail
//! again, and is told at once instead.

use std::num::NonZeroU32;

use serde::Serialize;

use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::values;
use crate::words::{self, Meaning, Word};

/// How often, and after which time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Retries {
    times: NonZeroU32,
    #[serde(rename = "wait-seconds")]
    wait: TimeSpan,
    on: Vec<FailureClass>,
}

/// What an attempt at a run failed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// The host was lost on the way, or the repository for the host.
    Lost,
    /// The repository refuses: it is full, damaged, or its key does not fit.
    Store,
    /// The source could not be read.
    Source,
    /// A command before the backup, or the one whose output is backed up, did not end well.
    Command,
    /// What was restored is not what was backed up, or a check did not agree.
    Proof,
}

/// Who needs more has a link to repair; it also bounds the records of one run.
const TIMES_MAX: u32 = 20;

static SHAPE: Shape = Shape {
    title: "`retries`",
    keys: &[("times", Meaning::Now("3")), ("wait", Meaning::Now("5m")), ("on", Meaning::Now("[lost, store]"))],
};

static CLASSES: &[Word<FailureClass>] = &[
    ("lost", Meaning::Now(FailureClass::Lost)),
    ("store", Meaning::Now(FailureClass::Store)),
    ("source", Meaning::Now(FailureClass::Source)),
    ("command", Meaning::Now(FailureClass::Command)),
    ("proof", Meaning::Now(FailureClass::Proof)),
];

impl Retries {
    /// So many times besides the first.
    pub fn times(&self) -> NonZeroU32 {
        self.times
    }

    /// After so much time each.
    pub fn wait(&self) -> TimeSpan {
        self.wait
    }

    /// After which failures.
    pub fn on(&self) -> &[FailureClass] {
        &self.on
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let times = fields.required("times", findings, |node, findings| values::count_up_to(node, TIMES_MAX, findings));
        let wait = fields.required("wait", findings, values::written);
        let on = match fields.node("on") {
            Some(node) => values::list(node, "a failure such as lost", findings, |node, findings| {
                words::word(node, "failure", CLASSES, findings)
            }),
            None => Some(vec![FailureClass::Lost]),
        };
        Some(Self { times: times?, wait: wait?, on: on? })
    }
}
