//! Which snapshots of a repository the rules keep, source by source. Nothing is removed here.
//!
//! Times are those that hosts claim, but no snapshot counts as older than one that was committed before it: the order of commits is the repository's own. So a host that
//! lies about its clock cannot push its older snapshots out of the periods that they stand for.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{Timestamp, Zoned};
use serde::Serialize;
use strongroom_plans::{Excess, RestorePoint, RetentionRules, Verdict, excess, retain};
use strongroom_repository::{ObjectId, Snapshot};

use crate::preview::PLAN_TAG;

/// A snapshot and what becomes of it.
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

/// What is known of snapshots beside what they say of themselves.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The commit that added each.
    pub commits: HashMap<ObjectId, u64>,
    /// Those that were restored and found equal.
    pub proven: HashSet<ObjectId>,
    /// The names of the holds in force on each.
    pub holds: HashMap<ObjectId, Vec<String>>,
}

/// One source's snapshots: of one host, one plan, and one signer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SourceRetention {
    /// The host.
    pub host: String,
    /// The plan whose runs made them; none for backups by hand.
    pub plan: Option<String>,
    /// What is in them.
    pub sources: Vec<String>,
    /// Each of them, newest first.
    pub snapshots: Vec<Kept>,
    /// Whether more go at once than age explains.
    pub excess: Option<Excess>,
}

type SourceKey<'a> = (&'a str, Option<&'a str>, &'a [String], &'a str);

/// Applies the rules to each source of a repository.
#[must_use]
pub fn by_source(rules: &RetentionRules, snapshots: &[Snapshot], known: &Known, now: &Zoned) -> Vec<SourceRetention> {
    let mut sources: BTreeMap<SourceKey<'_>, Vec<&Snapshot>> = BTreeMap::new();
    for snapshot in snapshots {
        let manifest = &snapshot.manifest;
        let plan = manifest.tags.get(PLAN_TAG).map(String::as_str);
        sources.entry((&manifest.host, plan, &manifest.sources, &snapshot.signer)).or_default().push(snapshot);
    }
    let judge = |((host, plan, sources, _), snapshots): (SourceKey<'_>, Vec<&Snapshot>)| {
        let (snapshots, excess) = judged(rules, &snapshots, known, now);
        SourceRetention { host: host.into(), plan: plan.map(Into::into), sources: sources.into(), snapshots, excess }
    };
    sources.into_iter().map(judge).collect()
}

/// Those among `going` with which a source would lose its last proven snapshot.
#[must_use]
pub fn last_proven<'a>(snapshots: &'a [Snapshot], known: &Known, going: &HashSet<ObjectId>) -> Vec<&'a Snapshot> {
    let source = |snapshot: &'a Snapshot| {
        let manifest = &snapshot.manifest;
        (&manifest.host, manifest.tags.get(PLAN_TAG), &manifest.sources, &snapshot.signer)
    };
    let proven = || snapshots.iter().filter(|snapshot| known.proven.contains(&snapshot.id));
    let staying: HashSet<_> = proven().filter(|snapshot| !going.contains(&snapshot.id)).map(source).collect();
    proven().filter(|snapshot| going.contains(&snapshot.id) && !staying.contains(&source(snapshot))).collect()
}

/// Applies the rules to the snapshots of one source; newest first.
pub(crate) fn judged(
    rules: &RetentionRules,
    snapshots: &[&Snapshot],
    known: &Known,
    now: &Zoned,
) -> (Vec<Kept>, Option<Excess>) {
    let mut in_order: Vec<&Snapshot> = snapshots.to_vec();
    in_order.sort_by_key(|snapshot| (known.commits.get(&snapshot.id), snapshot.manifest.time));
    let mut latest = Timestamp::MIN;
    let points = in_order.iter().map(|snapshot| {
        latest = latest.max(snapshot.manifest.time);
        let point = RestorePoint::new(*snapshot, latest.to_zoned(now.time_zone().clone()));
        let point = point.held(known.holds.get(&snapshot.id).cloned().unwrap_or_default());
        if known.proven.contains(&snapshot.id) { point.proven() } else { point }
    });
    let points: Vec<RestorePoint<&Snapshot>> = points.collect();
    let verdicts = retain(rules, &points, now);
    let excess = excess(&verdicts);
    let kept = verdicts.into_iter().map(|(snapshot, verdict)| {
        let manifest = &snapshot.manifest;
        Kept { snapshot: snapshot.id, time: manifest.time, sources: manifest.sources.clone(), verdict }
    });
    let mut kept: Vec<Kept> = kept.collect();
    kept.sort_by_key(|kept| std::cmp::Reverse(kept.time));
    (kept, excess)
}
