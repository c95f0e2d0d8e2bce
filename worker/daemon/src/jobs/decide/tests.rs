use jiff::Timestamp;
use strongroom_repository::{ObjectId, SnapshotKind, Totals};
use strongroom_worker::backup::Outcome;

use super::*;
use crate::ledger::FailureKind;
use crate::request::{Limits, Request, Source, StorePlace};

fn known(state: Recorded) -> Entry {
    let source = Source::Command { name: "dump".into(), arguments: vec!["true".into()], seconds_max: None };
    let request = Request {
        repository: RepositoryId([1; 16]),
        store: StorePlace::default(),
        full: false,
        host: "h".into(),
        tags: [].into(),
        source,
        limits: Limits::default(),
        before: vec![],
        after: vec![],
    };
    let entry = Entry::new("j".parse().unwrap(), 5, request, Timestamp::UNIX_EPOCH);
    Entry { state, fingerprint: "same".into(), committing: vec![draft()], ..entry }
}

fn draft() -> BackupReport {
    BackupReport {
        snapshot: ObjectId([2; 32]),
        commit: 0,
        kind: SnapshotKind::Full,
        outcome: Outcome::Complete,
        parent: None,
        unchanged: false,
        totals: Totals::default(),
        left_out: 0,
        torn: 0,
        problems: vec![],
        read_ms: 0,
        total_ms: 0,
    }
}

fn check(state: &Recorded, generation: u64, fingerprint: &str, expect: &str) {
    let found = match decide(&known(state.clone()), generation, fingerprint) {
        Ok(Decision::Run { committing }) => format!("run, {} to look for", committing.len()),
        Ok(decision) => format!("{decision:?}").to_lowercase(),
        Err(error) => error.to_string(),
    };
    assert!(found.contains(expect), "{state:?}, {generation} {fingerprint}: {found}");
}

#[test]
fn the_table_of_generations() {
    let running = Recorded::Running;
    let good = Recorded::BackedUp { report: serde_json::Value::Null };
    let failed = Recorded::Failed { kind: FailureKind::Store, reason: "full".into() };
    let cancelled = Recorded::Cancelled;
    let restored = |report: serde_json::Value| Recorded::Restored { report };
    let in_place = restored(serde_json::json!({ "outcome": "partial" }));
    let (not_in_place, look) = (restored(serde_json::json!({ "outcome": "failed" })), restored(serde_json::json!({})));
    for state in [&running, &good, &failed, &cancelled, &in_place, &not_in_place, &look] {
        check(state, 4, "same", "older than 5");
        check(state, 4, "other", "older than 5");
        check(state, 5, "same", "answer");
        check(state, 5, "other", "with other content");
    }
    check(&running, 6, "same", "raise");
    check(&running, 6, "other", "cancel it first");
    check(&good, 6, "same", "raise");
    check(&good, 6, "other", "raise");
    check(&in_place, 6, "same", "raise");
    check(&not_in_place, 6, "same", "run, 0 to look for");
    check(&look, 6, "same", "run, 0 to look for");
    for state in [&failed, &cancelled] {
        check(state, 6, "same", "run, 1 to look for");
        check(state, 6, "other", "run, 0 to look for");
    }
}
