//! What a plan's retention would keep today. Nothing is removed.

use jiff::Zoned;
use strongroom_plans::RetentionRules;
use strongroom_repository::Snapshot;

use crate::retention::{Kept, Known, judged};

/// The tag that names the plan whose run made a snapshot.
pub const PLAN_TAG: &str = "plan";

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
        judged(rules, &these, &Known::default(), now).0
    };
    let mut kept: Vec<Kept> = sources.into_iter().flat_map(of_source).collect();
    kept.sort_by_key(|kept| std::cmp::Reverse(kept.time));
    kept
}
