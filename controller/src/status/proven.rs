//! Whether what a plan demands as proof is there, from its runs and drills.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Known;
use crate::drill_report::DrillEnding;
use crate::proofs::Prover;
use crate::runs::Run;
use crate::sampling::Sampled;
use crate::sampling::promised::Promised;

/// The newest proof of a plan's restore points on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewestProof {
    /// The level, such as `L3`.
    pub level: String,
    /// When it was made.
    pub at: Timestamp,
    /// By what.
    pub by: Prover,
    /// The snapshots that it proves.
    pub snapshots: Vec<String>,
    /// Of how much of them that is true, where not everything was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sampled>,
}

/// Something that time has undone, and in words how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lapse {
    /// What.
    pub what: Lapsed,
    /// In words.
    pub reason: String,
}

/// What time can undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lapsed {
    /// The newest proof is older than proofs count.
    Proof,
    /// Something was not restored for longer than is promised.
    Promise,
}

/// Claimed (L0) is what every backup says of itself.
fn proves(level: &str) -> bool {
    level >= "L3"
}

fn of_run(run: &Run) -> Option<NewestProof> {
    let ended = run.ended.as_ref()?;
    let level = ended.proof.clone().filter(|level| proves(level))?;
    let (by, snapshots) = (Prover::Run(run.id.clone()), ended.snapshots.clone());
    Some(NewestProof { level, at: ended.at, by, snapshots, sample: None })
}

impl Known<'_> {
    pub(super) fn newest_proof(&self) -> Option<NewestProof> {
        let drill = self.drills.and_then(|drills| drills.good.as_ref()).and_then(|drill| {
            let (level, snapshots, sample) = (drill.proof.clone()?, drill.snapshots.clone(), drill.sample.clone());
            Some(NewestProof { level, at: drill.ended, by: Prover::Drill(drill.drill.clone()), snapshots, sample })
        });
        self.good.and_then(of_run).into_iter().chain(drill).max_by_key(|proof| proof.at)
    }

    /// Whether the demand is not met, and why; where no reason is given, the newest run did not do it and has none.
    pub(super) fn lacks_proof(&self, good: &Run, now: Timestamp) -> Option<Option<String>> {
        let terms = self.terms?;
        let newest = self.newest_proof();
        let last = self.drills.and_then(|drills| drills.last.as_ref());
        let is_news = |at: Timestamp| newest.as_ref().is_none_or(|proof| proof.at < at);
        if let Some(last) = last.filter(|last| last.ending != DrillEnding::Proven && is_news(last.ended)) {
            let because = last.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let began = last.began.strftime("%Y-%m-%d %H:%M UTC");
            return Some(Some(format!("the drill of {began} was {}{because}", last.ending)));
        }
        let Some(newest) = newest else {
            return Some(match terms.every.is_drilled() {
                true => Some("no drill has proven a restore point yet".into()),
                false => self.last_words(),
            });
        };
        let made = good.ended.as_ref().map(|ended| &ended.snapshots);
        if !terms.every.is_drilled() && made != Some(&newest.snapshots) {
            return Some(self.last_words());
        }
        self.lapses(now).into_iter().next().map(|lapse| Some(lapse.reason))
    }

    /// How far drills have come that restore samples.
    pub(super) fn sampled(&self, now: Timestamp) -> Option<Promised> {
        let coverage = self.drills?.sampled.as_ref()?.coverage.clone();
        let terms = self.terms.as_ref().filter(|terms| terms.samples)?;
        Some(Promised::of(coverage, terms, now))
    }

    /// What is proven no more because time has passed.
    pub(super) fn lapses(&self, now: Timestamp) -> Vec<Lapse> {
        [self.stale_proof(now), self.broken_promise(now)].into_iter().flatten().collect()
    }

    fn stale_proof(&self, now: Timestamp) -> Option<Lapse> {
        let age = now.duration_since(self.newest_proof()?.at);
        let counts_for = self.terms?.counts_for.filter(|counts_for| age > *counts_for)?;
        let reason = format!("the newest proof is {} old, and counts for {}", in_words(age), in_words(counts_for));
        Some(Lapse { what: Lapsed::Proof, reason })
    }

    fn broken_promise(&self, now: Timestamp) -> Option<Lapse> {
        let promise = self.terms?.promise?;
        let coverage = self.sampled(now).filter(|sampled| sampled.kept == Some(false))?.coverage;
        let waits = in_words(now.duration_since(coverage.oldest));
        let reason =
            format!("something waits for {waits} to be restored by a drill, and {} are promised", in_words(promise));
        Some(Lapse { what: Lapsed::Promise, reason })
    }
}

impl Lapsed {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::Promise => "promise",
        }
    }
}

impl fmt::Display for Lapsed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

fn in_words(length: SignedDuration) -> String {
    match length.as_hours() {
        hours @ 48.. => format!("{} days", hours / 24),
        hours @ 2.. => format!("{hours} hours"),
        _ => format!("{} minutes", length.as_mins()),
    }
}

#[cfg(test)]
mod tests {
    use strongroom_plans::ProofRhythm;

    use super::super::tests::{run, time};
    use super::super::{State, Status};
    use super::*;
    use crate::drill_report::PastDrill;
    use crate::journal::KnownDrills;
    use crate::runs::{Ending, RunId};
    use crate::sampling::Coverage;
    use crate::site::ProofTerms;

    fn drill(ended: &str, ending: DrillEnding) -> PastDrill {
        PastDrill {
            drill: RunId::drilled("nightly", "web1", time(ended)),
            plan: "nightly".into(),
            host: "web1".into(),
            began: time(ended),
            ended: time(ended),
            ending,
            reason: (ending != DrillEnding::Proven).then(|| "rows are missing".into()),
            snapshots: vec!["a1".into()],
            proof: Some(if ending == DrillEnding::Proven { "L3" } else { "L0" }.into()),
            sample: None,
        }
    }

    /// Backups each night, which say L0 or prove; a proof counts for two weeks.
    fn check(every: ProofRhythm, proof: &str, drills: &[PastDrill], now: &str, expect: (State, &str)) {
        let mut good = run("25T01:30", Some(Ending::Done), proof);
        good.ended.as_mut().unwrap().snapshots = vec!["a9".into()];
        let is_good = |drill: &&PastDrill| drill.ending == DrillEnding::Proven;
        let (last, proven) = (drills.last().cloned(), drills.iter().rfind(is_good).cloned());
        let sampled = drills.last().and_then(|drill| drill.sample.clone());
        let drills = KnownDrills { last, good: proven, sampled, was_cut_off: false };
        let known = Known {
            plan: "nightly",
            host: "web1",
            terms: Some(ProofTerms {
                every,
                counts_for: Some(SignedDuration::from_hours(14 * 24)),
                samples: true,
                promise: Some(SignedDuration::from_hours(10 * 24)),
                reach_bytes: None,
            }),
            drills: Some(&drills),
            late_due: None,
            next_due: None,
            newest: Some(&good),
            first_due: None,
            good: Some(&good),
            running: None,
        };
        let status = Status::of(time(now), [known]);
        let row = &status.rows[0];
        assert_eq!((row.state, row.reason.as_deref().unwrap_or_default()), expect);
        assert_eq!(status.is_good(), expect.0 == State::Protected);
    }

    #[test]
    fn what_is_drilled_is_proven_by_its_newest_drill_as_long_as_that_counts() {
        let weekly = |drills: &[PastDrill], now, expect| check(ProofRhythm::Weekly, "L0", drills, now, expect);
        let never = "no drill has proven a restore point yet";
        weekly(&[], "25T02:00", (State::Unproven, never));
        let (good, bad) = (drill("10T02:00", DrillEnding::Proven), drill("17T02:00", DrillEnding::Unproven));
        weekly(std::slice::from_ref(&good), "24T02:00", (State::Protected, ""));
        let stale = "the newest proof is 14 days old, and counts for 14 days";
        weekly(std::slice::from_ref(&good), "24T02:01", (State::Unproven, stale));
        let failed = "the drill of 2026-11-17 02:00 UTC was unproven: rows are missing";
        weekly(&[good.clone(), bad.clone()], "18T02:00", (State::Unproven, failed));
        weekly(&[bad, drill("18T02:00", DrillEnding::Proven)], "19T02:00", (State::Protected, ""));
    }

    #[test]
    fn a_broken_promise_is_no_proof_of_everything() {
        let weekly = |drill: &PastDrill, now, expect| {
            check(ProofRhythm::Weekly, "L0", std::slice::from_ref(drill), now, expect);
        };
        let coverage = Coverage { files: 2, bytes: 2, restored_files: 1, restored_bytes: 1, oldest: time("12T02:00") };
        let sample = Some(Sampled { seed: 1, files: 1, bytes: 1, coverage });
        let drill = PastDrill { sample, ..drill("20T02:00", DrillEnding::Proven) };
        weekly(&drill, "22T02:00", (State::Protected, ""));
        let broken = "something waits for 10 days to be restored by a drill, and 10 days are promised";
        weekly(&drill, "22T02:01", (State::Unproven, broken));
    }

    #[test]
    fn where_each_run_proves_only_the_newest_restore_point_counts() {
        let each = |proof, drills: &[PastDrill], expect| check(ProofRhythm::Run, proof, drills, "25T02:00", expect);
        each("L3", &[], (State::Protected, ""));
        each("L0", &[], (State::Unproven, ""));
        each("L0", &[drill("24T02:00", DrillEnding::Proven)], (State::Unproven, ""));
        let of_newest = PastDrill { snapshots: vec!["a9".into()], ..drill("25T01:50", DrillEnding::Proven) };
        each("L0", &[of_newest], (State::Protected, ""));
    }
}
