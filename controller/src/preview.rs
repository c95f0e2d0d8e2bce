//! What a plan's retention would keep today. Nothing is removed.

use jiff::{Timestamp, Zoned};
use serde::Serialize;
use strongroom_plans::{RestorePoint, RetentionRules, Verdict, retain};
use strongroom_repository::{ObjectId, Snapshot};

/// The tag that names the plan whose run made a snapshot.
pub const PLAN_TAG: &str = "plan";

/// A snapshot and what would become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    /// The snapshot.
    pub snapshot: ObjectId,
    /// Of when.
    pub time: Timestamp,
    /// What is in it.
    pub sources: Vec<String>,
    /// Keep or drop, and why.
    pub verdict: Verdict,
}

/// Applies the rules to the snapshots of one plan on one host, newest first. Different sources of a plan are different things, and each keeps its own
/// history: the rules are applied to each of them.
#[must_use]
pub fn preview(rules: &RetentionRules, snapshots: &[Snapshot], (host, plan): (&str, &str), now: &Zoned) -> Vec<Kept> {
    let ours = |snapshot: &&Snapshot| {
        let manifest = &snapshot.manifest;
        manifest.host == host && manifest.tags.get(PLAN_TAG).is_some_and(|tag| tag == plan)
    };
    let ours: Vec<&Snapshot> = snapshots.iter().filter(ours).collect();
    let mut sources: Vec<&[String]> = ours.iter().map(|snapshot| snapshot.manifest.sources.as_slice()).collect();
    sources.sort_unstable();
    sources.dedup();
    let of_source = |source: &[String]| {
        let these: Vec<&Snapshot> =
            ours.iter().copied().filter(|snapshot| snapshot.manifest.sources == source).collect();
        judged(rules, &these, now)
    };
    let mut kept: Vec<Kept> = sources.into_iter().flat_map(of_source).collect();
    kept.sort_by_key(|kept| std::cmp::Reverse(kept.time));
    kept
}

fn judged(rules: &RetentionRules, snapshots: &[&Snapshot], now: &Zoned) -> Vec<Kept> {
    let zone = now.time_zone();
    let point = |at: usize| RestorePoint::new(at, snapshots[at].manifest.time.to_zoned(zone.clone()));
    let points: Vec<RestorePoint<usize>> = (0..snapshots.len()).map(point).collect();
    let judged = retain(rules, &points, now).into_iter();
    judged
        .map(|(at, verdict)| {
            let snapshot = snapshots[at];
            let manifest = &snapshot.manifest;
            Kept { snapshot: snapshot.id, time: manifest.time, sources: manifest.sources.clone(), verdict }
        })
        .collect()
}
