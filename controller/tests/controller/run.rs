//! Runs of a plan against hands that only say what they were asked, and fail when told to.

use std::cell::Cell;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use strongroom_controller::{
    BackupDone, BackupOrder, CheckResult, CheckVerdict, Clock, CopyDone, CopyOrder, Ended, Executor, Known, Outcome,
    RestoreDone, RunRequest, StepPlace, Verdict, by_source, drill, preview, run,
};
use strongroom_plans::{BackupPlan, CheckCommand, CheckLimits, ProofLevel, RetentionRules, Rule, Step, parse};
use strongroom_repository::{Manifest, ObjectId, Problem, RepositoryId, Snapshot, SnapshotKind, Totals};

const PLAN: &str = "\
kind: backup
name: test
sources: [{ files: [/etc] }, { files: [/srv] }]
repository: /repo
retain: { daily: 2 }
prove: { level: restored, checks: [[first], [second]] }
tags: { system: billing }
";

fn plan() -> BackupPlan {
    parse("test.yaml", PLAN).unwrap()
}

/// Every call is noted; the one that begins with `fails_at` fails.
#[derive(Default)]
struct Hands {
    calls: Vec<String>,
    fails_at: Option<&'static str>,
    unreadable: u64,
    different: u64,
    deviating: u64,
    disagrees: Option<&'static str>,
}

impl Hands {
    fn note(&mut self, call: String) -> Result<(), String> {
        let fails = self.fails_at.is_some_and(|fails| call.starts_with(fails));
        self.calls.push(call);
        if fails { Err("told to fail".into()) } else { Ok(()) }
    }
}

fn id(seed: usize) -> ObjectId {
    ObjectId([seed as u8; 32])
}

impl Executor for Hands {
    type Fault = String;

    fn beginning(&mut self, place: StepPlace, _step: &Step) {
        self.calls.push(format!("{}/{}", place.number, place.of));
    }

    fn back_up(&mut self, order: &BackupOrder<'_>) -> Result<BackupDone, String> {
        let tags: Vec<String> = order.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.note(format!("back up {} {}", order.source, tags.join(" ")))?;
        let totals = Totals { problems: self.unreadable, ..Totals::default() };
        let snapshot = id(self.calls.len());
        Ok(BackupDone { snapshot, commit: 1, kind: SnapshotKind::Full, totals, problems: Vec::new() })
    }

    fn restore(&mut self, snapshots: &[ObjectId]) -> Result<RestoreDone, String> {
        self.note(format!("restore {}", snapshots.len()))?;
        let problem = || Problem { path: "etc/a".into(), error: "differs".into() };
        Ok(RestoreDone {
            differences: (0..self.different).map(|_| problem()).collect(),
            differences_total: self.different,
            deviations_total: self.deviating,
            ..RestoreDone::default()
        })
    }

    fn check(&mut self, command: &CheckCommand, _limits: CheckLimits) -> Result<CheckResult, String> {
        self.note(format!("check {command}"))?;
        let agrees = self.disagrees != Some(command.program());
        let verdict = if agrees { CheckVerdict::Agreed } else { CheckVerdict::Disagreed(1) };
        let (started, finished) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        Ok(CheckResult {
            command: command.to_string(),
            verdict,
            started,
            finished,
            output: String::new(),
            limits: None,
            isolated: false,
        })
    }

    fn copy(&mut self, order: &CopyOrder<'_>) -> Result<CopyDone, String> {
        let unreachable = self.fails_at == Some("copy");
        self.calls.push(format!("copy {} of {}", order.number, order.plan));
        let faults = if unreachable { vec!["out of reach".to_owned()] } else { Vec::new() };
        Ok(CopyDone { location: "elsewhere".into(), faults, ..CopyDone::default() })
    }

    fn discard_scratch(&mut self) -> Result<(), String> {
        self.note("discard".into())
    }

    fn snapshots(&mut self) -> Result<Vec<Snapshot>, String> {
        self.note("snapshots".into())?;
        Ok(Vec::new())
    }
}

/// Each look at it is a second later.
#[derive(Default)]
struct Ticking(Cell<i64>);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        self.0.set(self.0.get() + 1);
        Timestamp::from_second(self.0.get()).unwrap()
    }

    fn zone(&self) -> TimeZone {
        TimeZone::UTC
    }
}

fn run_with(hands: &mut Hands) -> Ended<String> {
    run_plan(&plan(), hands)
}

fn request(plan: &BackupPlan) -> RunRequest<'_> {
    RunRequest {
        plan,
        plan_hash: "hash".into(),
        host: "web1".into(),
        program: "test".into(),
        repository: RepositoryId([1; 16]),
        location: "file:///repo".into(),
    }
}

fn run_plan(plan: &BackupPlan, hands: &mut Hands) -> Ended<String> {
    run(&request(plan), hands, &Ticking::default())
}

fn results(ended: &Ended<String>) -> Vec<&'static str> {
    let name = |outcome: &Outcome| match outcome {
        Outcome::BackedUp(_) => "backed up",
        Outcome::Restored(_) => "restored",
        Outcome::Verified { .. } => "verified",
        Outcome::LeftToDrills => "left to drills",
        Outcome::Copied(_) => "copied",
        Outcome::Previewed { .. } => "previewed",
        Outcome::Failed { .. } => "FAILED",
        Outcome::NotBegun => "not begun",
    };
    ended.record.steps.iter().map(|step| name(&step.outcome)).collect()
}

#[test]
fn the_hands_are_asked_for_every_step_in_order() {
    let mut hands = Hands::default();
    let ended = run_with(&mut hands);
    let expect = [
        "1/5",
        "back up /etc plan=test system=billing",
        "2/5",
        "back up /srv plan=test system=billing",
        "3/5",
        "restore 2",
        "4/5",
        "check first",
        "check second",
        "5/5",
        "snapshots",
        "discard",
    ];
    assert_eq!(hands.calls, expect);
    assert_eq!(results(&ended), ["backed up", "backed up", "restored", "verified", "previewed"]);
    assert_eq!((ended.record.verdict, ended.record.proof), (Verdict::Done, Some(ProofLevel::Restored)));
    assert!(ended.record.steps.windows(2).all(|pair| pair[0].finished < pair[1].started));
    assert!(
        ended.record.started < ended.record.steps[0].started && ended.record.steps[4].finished < ended.record.finished
    );
}

#[test]
fn the_first_failure_leaves_the_rest_undone_but_never_the_scratch_directory() {
    let cases: [(&str, [&str; 5], Option<ProofLevel>); 6] = [
        ("back up /etc", ["FAILED", "not begun", "not begun", "not begun", "not begun"], None),
        ("back up /srv", ["backed up", "FAILED", "not begun", "not begun", "not begun"], Some(ProofLevel::Claimed)),
        ("restore", ["backed up", "backed up", "FAILED", "not begun", "not begun"], Some(ProofLevel::Claimed)),
        ("check second", ["backed up", "backed up", "restored", "FAILED", "not begun"], Some(ProofLevel::Claimed)),
        ("snapshots", ["backed up", "backed up", "restored", "verified", "FAILED"], Some(ProofLevel::Restored)),
        ("discard", ["backed up", "backed up", "FAILED", "verified", "previewed"], Some(ProofLevel::Restored)),
    ];
    for (fails_at, expect, proof) in cases {
        let mut hands = Hands { fails_at: Some(fails_at), ..Hands::default() };
        let ended = run_with(&mut hands);
        assert_eq!(results(&ended), expect, "{fails_at}");
        assert_eq!(hands.calls.last().map(String::as_str), Some("discard"), "{fails_at}");
        assert_eq!((ended.record.verdict, ended.record.proof), (Verdict::Failed, proof), "{fails_at}");
        assert_eq!(ended.fault.as_deref(), Some("told to fail"), "{fails_at}");
    }
}

#[test]
fn a_copy_that_is_out_of_reach_fails_the_run_and_keeps_nothing_else_from_being_done() {
    let plan = parse("test.yaml", &PLAN.replace("retain:", "copies: [/mnt/a, /mnt/b]\nretain:")).unwrap();
    let mut hands = Hands::default();
    let ended = run_plan(&plan, &mut hands);
    assert_eq!(results(&ended)[3..], ["verified", "copied", "copied", "previewed"]);
    assert_eq!((ended.record.verdict, ended.record.copy_fault()), (Verdict::Done, None));
    let mut hands = Hands { fails_at: Some("copy"), ..Hands::default() };
    let ended = run_plan(&plan, &mut hands);
    assert_eq!(results(&ended)[3..], ["verified", "copied", "copied", "previewed"]);
    assert!(["copy 0 of test", "copy 1 of test"].iter().all(|call| hands.calls.iter().any(|made| made == call)));
    assert_eq!((ended.record.verdict, ended.record.proof), (Verdict::Failed, Some(ProofLevel::Restored)));
    assert!(ended.fault.is_none() && ended.record.copy_fault().is_some_and(|fault| fault.contains("out of reach")));
}

#[test]
fn nothing_is_claimed_that_was_not_proven() {
    let done = |hands: Hands| {
        let mut hands = hands;
        let ended = run_with(&mut hands);
        (
            ended.record.verdict,
            ended.record.proof.map(ProofLevel::short),
            hands.calls.iter().filter(|call| call.starts_with("check")).count(),
        )
    };
    assert_eq!(done(Hands { unreadable: 3, ..Hands::default() }), (Verdict::Partial, Some("L3"), 2));
    assert_eq!(done(Hands { deviating: 1, ..Hands::default() }), (Verdict::Partial, Some("L3"), 2));
    assert_eq!(done(Hands { different: 1, ..Hands::default() }), (Verdict::Unproven, Some("L0"), 2));
    assert_eq!(done(Hands { disagrees: Some("first"), ..Hands::default() }), (Verdict::Unproven, Some("L0"), 2));
    assert_eq!(
        done(Hands { disagrees: Some("second"), unreadable: 1, ..Hands::default() }),
        (Verdict::Unproven, Some("L0"), 2)
    );
}

#[test]
fn a_drill_proves_what_is_there_and_says_why_it_does_not() {
    let drilled = |mut hands: Hands| {
        let ended = drill(&request(&plan()), vec![id(1), id(2)], &mut hands, &Ticking::default());
        (hands.calls, ended.record.proof.map(ProofLevel::short), ended.record.proof_fault())
    };
    let (calls, proof, fault) = drilled(Hands::default());
    assert_eq!(calls, ["1/2", "restore 2", "2/2", "check first", "check second", "discard"]);
    assert_eq!((proof, fault), (Some("L3"), None));
    let (_, proof, fault) = drilled(Hands { different: 2, ..Hands::default() });
    let differs = "2 did not come back as at the source: etc/a: differs";
    assert_eq!((proof, fault.as_deref()), (Some("L0"), Some(differs)));
    let (_, proof, fault) = drilled(Hands { disagrees: Some("second"), ..Hands::default() });
    let disagrees = "the check `second` was to end with 0 and ended with 1";
    assert_eq!((proof, fault.as_deref()), (Some("L0"), Some(disagrees)));
    let (calls, proof, _) = drilled(Hands { fails_at: Some("restore"), ..Hands::default() });
    assert_eq!((calls.last().map(String::as_str), proof), (Some("discard"), Some("L0")));
}

fn snapshot(seed: usize, host: &str, plan: &str, source: &str, time: Timestamp) -> Snapshot {
    let manifest = Manifest {
        host: host.into(),
        time,
        finished: time,
        kind: SnapshotKind::Full,
        sources: vec![source.into()],
        tags: [("plan".to_owned(), plan.to_owned())].into(),
        root: None,
        parent: None,
        program: String::new(),
        totals: Totals::default(),
        problems: Vec::new(),
    };
    Snapshot { id: id(seed), manifest, signer: String::new() }
}

/// A host that says of its new snapshots that they are old ones does not push those out: no snapshot counts as older than what was committed before it.
#[test]
fn a_clock_that_lies_pushes_nothing_out() {
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let days_ago = |days: i64| now.checked_sub((24 * days).hours()).unwrap();
    let mut snapshots: Vec<Snapshot> =
        (0..3).map(|day| snapshot(10 + day, "web1", "test", "/etc", days_ago(3 - day as i64))).collect();
    snapshots.extend((0..3).map(|day| {
        let later_that_day = days_ago(3 - day as i64).checked_add(1.hour()).unwrap();
        snapshot(20 + day, "web1", "test", "/etc", later_that_day)
    }));
    let commits = snapshots.iter().map(|snapshot| snapshot.id).zip(1..).collect();
    let known = Known { commits, ..Known::default() };
    let rules = RetentionRules::new([(Rule::Daily, 14.try_into().unwrap())], 1.try_into().unwrap()).unwrap();
    let judged = by_source(&rules, &snapshots, &known, &now.to_zoned(TimeZone::UTC));
    let kept = judged[0].snapshots.iter().filter(|kept| kept.verdict != strongroom_plans::Verdict::Drop);
    let mut kept: Vec<u8> = kept.map(|kept| kept.snapshot.0[0]).collect();
    kept.sort_unstable();
    // The liar's last one takes the place of the honest one of its own last day, and of no other.
    assert_eq!(kept, [10, 11, 22]);
}

#[test]
fn retention_looks_at_each_source_of_this_plan_on_this_host() {
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let days_ago = |days: i64| now.checked_sub((24 * days).hours()).unwrap();
    let mut snapshots = Vec::new();
    for days in 0..4 {
        snapshots.push(snapshot(10 + days, "web1", "test", "/etc", days_ago(days as i64)));
    }
    snapshots.push(snapshot(20, "web1", "test", "/srv", days_ago(9)));
    snapshots.push(snapshot(30, "web2", "test", "/etc", days_ago(9)));
    snapshots.push(snapshot(40, "web1", "other", "/etc", days_ago(9)));
    let kept = preview(plan().retain(), &snapshots, ("web1", "test"), &now.to_zoned(TimeZone::UTC));
    let shown: Vec<(u8, bool)> =
        kept.iter().map(|kept| (kept.snapshot.0[0], kept.verdict != strongroom_plans::Verdict::Drop)).collect();
    assert_eq!(shown, [(10, true), (11, true), (12, false), (13, false), (20, true)]);
}
