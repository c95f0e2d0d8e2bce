//! How often a run is tried again when its host was lost on the way: `retries: { times: 3, wait: 5m }`.
//!
//! Only what may go well the next time is tried again. A plan's own failure (a source that cannot be read, a check
//! that does not agree) would fail again, and is told at once instead.

use std::num::NonZeroU32;

use serde::Serialize;

use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::values;
use crate::words::Meaning;

/// How often, and after which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Retries {
    times: NonZeroU32,
    #[serde(rename = "wait-seconds")]
    wait: TimeSpan,
}

/// Who needs more has a link to repair; it also bounds the records of one run.
const TIMES_MAX: u32 = 20;

static SHAPE: Shape = Shape { title: "`retries`", keys: &[("times", Meaning::Now("3")), ("wait", Meaning::Now("5m"))] };

impl Retries {
    /// So many times besides the first.
    pub fn times(&self) -> NonZeroU32 {
        self.times
    }

    /// After so much time each.
    pub fn wait(&self) -> TimeSpan {
        self.wait
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let times = fields.required("times", findings, |node, findings| values::count_up_to(node, TIMES_MAX, findings));
        let wait = fields.required("wait", findings, values::written);
        Some(Self { times: times?, wait: wait? })
    }
}
