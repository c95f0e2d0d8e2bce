//! What a run counts.

use strongroom_repository::{Kind, Problem, Totals, chain, text};

use crate::remarks::{Notice, Remark};
use crate::state::Tallies;

/// How many problems a record spells out; the rest is only counted.
const PROBLEMS_MAX: usize = 1000;

/// The counts of a run and its first problems.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) totals: Totals,
    pub(super) problems: Vec<Problem>,
    pub(super) left_out: u64,
    pub(super) torn: u64,
    pub(super) sources_found: u64,
}

impl Tally {
    /// Counts an entry.
    pub(super) fn count(&mut self, kind: Kind, size_bytes: u64) {
        let mut tallies = Tallies::default();
        tallies.count(kind, size_bytes);
        self.add(&tallies);
    }

    /// Counts many entries.
    pub(super) fn add(&mut self, tallies: &Tallies) {
        self.totals.files += tallies.files;
        self.totals.directories += tallies.directories;
        self.totals.others += tallies.others;
        self.totals.bytes += tallies.bytes;
    }

    /// Counts a remark.
    pub(super) fn note(&mut self, remark: &Remark) {
        match remark {
            Remark::Problem(problem) => {
                self.totals.problems += 1;
                if self.problems.len() < PROBLEMS_MAX {
                    let path = format!("/{}", text::escape(&problem.path));
                    self.problems.push(Problem { path, error: chain(problem) });
                }
            }
            Remark::Notice { notice, .. } => self.torn += u64::from(*notice == Notice::Torn),
        }
    }
}
