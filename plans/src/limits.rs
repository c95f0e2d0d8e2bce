//! How many runs may go on at once: `limits: { runs: 8, per-host: 1, per-repository: 4 }`.

use serde::Serialize;

use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::tree::Node;
use crate::values;
use crate::words::Meaning;

/// Bounds on the runs that go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    runs: u32,
    per_host: u32,
    per_repository: u32,
}

/// More than one controller carries.
const RUNS_MAX: u32 = 10_000;

static SHAPE: Shape = Shape {
    title: "`limits`",
    keys: &[("runs", Meaning::Now("8")), ("per-host", Meaning::Now("1")), ("per-repository", Meaning::Now("4"))],
};

impl Default for Limits {
    /// One run keeps a host's disks busy, four a repository's; eight make a night of a hundred hosts.
    fn default() -> Self {
        Self { runs: 8, per_host: 1, per_repository: 4 }
    }
}

impl Limits {
    /// In the whole site.
    pub fn runs(&self) -> u32 {
        self.runs
    }

    /// On one host.
    pub fn per_host(&self) -> u32 {
        self.per_host
    }

    /// Into one repository.
    pub fn per_repository(&self) -> u32 {
        self.per_repository
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let mut limit = |key, default| {
            let read = |node: &Node, findings: &mut Findings<'_>| values::count_up_to(node, RUNS_MAX, findings);
            fields.optional(key, findings, read).map_or(default, |limit| limit.get())
        };
        let usual = Self::default();
        Some(Self {
            runs: limit("runs", usual.runs),
            per_host: limit("per-host", usual.per_host),
            per_repository: limit("per-repository", usual.per_repository),
        })
    }
}
