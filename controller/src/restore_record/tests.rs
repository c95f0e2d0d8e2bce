use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use serde_json::json;

use super::check::{Fault, check};
use super::seal::{LINES, PublicRecordKey, RECORD, RecordKey, SIGNATURE, SUMS};
use super::shelf::{PUBLIC_KEY, RECORDS, Shelf};
use super::{CheckVerdict, Checked, Incomplete, RestoreRecord, Setting, compose};
use crate::journal::{Entry, Event, Journal, Who};
use crate::restores::{PartCommand, PlanChecks, PlanPart, RestoreEnding, RestoreObjectives, RestoreScope};

const RESTORE: &str = "restore-0123456789abcdef-1";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn order() -> RestoreScope {
    RestoreScope {
        repository: "main".into(),
        snapshot: "ab".repeat(32),
        time: at(-3600),
        source: "db1".into(),
        paths: vec!["/srv/billing".into()],
        host: "db2".into(),
        target: "/srv/restored".into(),
        overwrite: "never".into(),
        set_aside: false,
        owners_by_name: false,
        promote_to: None,
        checks: PlanChecks::None,
        objectives: RestoreObjectives::default(),
        part: None,
    }
}

fn started(reason: &str) -> Event {
    let by = Who {
        uid: 1001,
        name: Some("wang".into()),
        person: Some("wang".into()),
        organisation: Some("运维一部".into()),
    };
    Event::RestoreStarted { restore: RESTORE.into(), by, reason: reason.into(), order: order(), request: None }
}

fn ended(ending: RestoreEnding, report: Option<serde_json::Value>) -> Event {
    Event::RestoreEnded { restore: RESTORE.into(), ending, reason: None, report, request: None }
}

fn report() -> serde_json::Value {
    json!({
        "counts": { "files": 40, "kept": 0, "bytes": 4096 },
        "verification": { "verified-files": 40, "verified-bytes": 4096, "compared-nodes": 44, "mismatches": 0, "medium": "disk" },
        "problems": [], "problems-total": 0, "deviations": [], "deviations-total": 0,
        "phases": [{ "name": "write", "milliseconds": 1203 }],
    })
}

/// As a journal has them, with something else in between.
async fn entries(events: Vec<Event>) -> Vec<Entry> {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("journal.db")).await.unwrap();
    for (second, event) in events.into_iter().enumerate() {
        journal.append(at(60 * second as i64), event).await.unwrap();
        journal.append(at(60 * second as i64), Event::ControllerStarted { program: "test".into() }).await.unwrap();
    }
    journal.entries_of_restore(RESTORE).await.unwrap()
}

async fn record(events: Vec<Event>) -> Result<RestoreRecord, Incomplete> {
    let setting = Setting { site: "north".into(), zone: "Asia/Shanghai".into(), program: "strongroom test".into() };
    compose(setting, RESTORE, None, &entries(events).await)
}

async fn good() -> RestoreRecord {
    record(vec![started("INC-8841"), ended(RestoreEnding::Restored, Some(report()))]).await.unwrap()
}

#[tokio::test]
async fn a_record_says_who_what_why_when_and_what_was_proven() {
    let record = record(vec![started("INC-8841"), started("INC-8841"), ended(RestoreEnding::Restored, Some(report()))]);
    let record = record.await.unwrap();
    assert!(record.is_proven());
    assert_eq!((record.times.recovery_seconds, record.times.loss_seconds, record.times.resumed), (120, 3600, 1));
    assert_eq!(record.times.phases, [("write".to_owned(), 1203)]);
    assert_eq!(record.journal.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 3, 5]);
}

#[tokio::test]
async fn what_was_not_looked_at_or_is_not_as_it_should_be_is_not_proven() {
    let verdict = async |ending, change: &dyn Fn(&mut serde_json::Value)| {
        let mut report = report();
        change(&mut report);
        let record = record(vec![started("x"), ended(ending, Some(report))]).await.unwrap();
        assert!(!record.is_proven());
        let bad = record.checks.into_iter().filter(|check| check.verdict != CheckVerdict::Passed);
        bad.map(|check| (check.check, check.verdict)).collect::<Vec<_>>()
    };
    use CheckVerdict::{Failed, NotProven};
    use RestoreEnding::{Deviating, Partial, Restored};
    assert_eq!(
        verdict(Restored, &|report| report["verification"]["verified-files"] = 39.into()).await,
        [(Checked::Content, Failed)]
    );
    assert_eq!(
        verdict(RestoreEnding::Failed, &|report| report["verification"]["mismatches"] = 1.into()).await,
        [(Checked::Content, Failed), (Checked::Mismatches, Failed)]
    );
    assert_eq!(verdict(Partial, &|report| report["problems-total"] = 2.into()).await, [(Checked::Missing, Failed)]);
    assert_eq!(
        verdict(Deviating, &|report| report["deviations-total"] = 3.into()).await,
        [(Checked::Metadata, Failed)]
    );
    assert_eq!(verdict(Restored, &|report| report["counts"]["kept"] = 1.into()).await, [(Checked::Kept, NotProven)]);
    assert_eq!(
        verdict(Restored, &|report| report["verification"]["medium"] = "memory".into()).await,
        [(Checked::Medium, NotProven)]
    );
    let broken_off = record(vec![started("x"), ended(RestoreEnding::Cancelled, None)]).await.unwrap();
    assert!(!broken_off.is_proven() && broken_off.checks.iter().all(|check| check.verdict == NotProven));
    assert_eq!(record(vec![started("x")]).await, Err(Incomplete::NotEnded));
    assert_eq!(record(vec![]).await, Err(Incomplete::NotBegun));
}

#[tokio::test]
async fn each_command_and_probe_of_a_restore_plan_stands_in_the_record() {
    let command = |words: &[&str], prints: Option<&str>| PartCommand {
        run: words.iter().map(|word| (*word).to_owned()).collect(),
        prints: prints.map(str::to_owned),
        seconds_max: None,
        wait_seconds: None,
    };
    let part = PlanPart {
        plan: "portal".into(),
        system: "db".into(),
        at: "2026-11-21T03:00".into(),
        of_plan: "nightly".into(),
        needs: vec!["disks".into()],
        addresses: std::collections::BTreeMap::new(),
        before: vec![command(&["stop", "db"], None)],
        after: vec![command(&["start", "db"], None)],
        probes: vec![command(&["ask", "db"], Some("up"))],
    };
    let made = async |ending, report| {
        let mut begin = started("x");
        if let Event::RestoreStarted { order, .. } = &mut begin {
            order.part = Some(Box::new(part.clone()));
        }
        record(vec![begin, ended(ending, report)]).await.unwrap()
    };
    let lines = |record: &RestoreRecord| {
        let is_of_part = |check: &&super::Check| matches!(check.check, Checked::Hook | Checked::Probe);
        let line =
            |check: &super::Check| (check.command.clone().unwrap_or_default(), check.actual.clone(), check.verdict);
        record.checks.iter().filter(is_of_part).map(line).collect::<Vec<_>>()
    };
    let line = |command: &str, actual: &str, verdict| (command.to_owned(), actual.to_owned(), verdict);
    use CheckVerdict::{Failed, NotProven, Passed};
    let mut all = report();
    all["hooks"] = json!([
        { "when": "before", "command": ["stop", "db"], "milliseconds": 12 },
        { "when": "after", "command": ["start", "db"], "milliseconds": 3 },
    ]);
    let probe = |verdict: serde_json::Value| json!([{ "prints": "up", "check": { "command": ["ask", "db"], "verdict": verdict, "output": "up", "milliseconds": 1 } }]);
    all["probes"] = probe("agreed".into());
    let good = made(RestoreEnding::Restored, Some(all.clone())).await;
    let before = line("before: stop db", "exit code 0, after 12 ms", Passed);
    let after = line("after: start db", "exit code 0, after 3 ms", Passed);
    assert_eq!(lines(&good), [before.clone(), after.clone(), line("ask db", "exit code 0\nup", Passed)]);
    let expected = good.checks.last().map(|check| check.expected.clone());
    assert_eq!((expected.as_deref(), good.is_proven()), (Some("exit code 0\nup"), true));
    // What it printed is not what it must.
    all["probes"] = probe("otherwise".into());
    let bad = made(RestoreEnding::Unproven, Some(all.clone())).await;
    let said = "exit code 0, and printed something else\nup";
    assert_eq!((lines(&bad), bad.is_proven()), (vec![before.clone(), after, line("ask db", said, Failed)], false));
    // What was not run because of another one proves nothing.
    all["hooks"][1]["error"] = "'start' exited with 4".into();
    all["probes"] = json!([]);
    let failed = made(RestoreEnding::Unproven, Some(all)).await;
    let not_made = line("ask db", "not made: something before it did not go well", NotProven);
    assert_eq!(lines(&failed), [before, line("after: start db", "'start' exited with 4", Failed), not_made]);
    let none = made(RestoreEnding::Failed, None).await;
    assert!(lines(&none).iter().all(|(_, said, verdict)| said.contains("nothing was put") && *verdict == NotProven));
}

#[tokio::test]
async fn each_check_of_the_plan_stands_in_the_record_also_one_that_was_not_made() {
    let commands = vec![vec!["test".to_owned(), "-s".to_owned(), "a b".to_owned()], vec!["true".to_owned()]];
    let made = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut report = report();
        change(&mut report);
        report
    };
    let check = async |checks: &PlanChecks, ending, report, expect: &[(Option<&str>, &str, CheckVerdict)]| {
        let mut begin = started("x");
        if let Event::RestoreStarted { order, .. } = &mut begin {
            order.checks = checks.clone();
        }
        let record = record(vec![begin, ended(ending, report)]).await.unwrap();
        let found = record.checks.iter().filter(|check| check.check == Checked::Command);
        let found: Vec<_> =
            found.map(|check| (check.command.as_deref(), check.actual.as_str(), check.verdict)).collect();
        assert_eq!(found, expect);
        let is_good = expect.iter().all(|(.., verdict)| *verdict == Passed);
        assert_eq!(record.is_proven(), is_good && ending == RestoreEnding::Restored);
    };
    use CheckVerdict::{Failed, NotProven, Passed};
    let wanted = PlanChecks::Run { plan: "nightly".into(), commands };
    let (quoted, second) = (Some("test -s \"a b\""), Some("true"));
    let says = |verdict: serde_json::Value| {
        made(&move |report: &mut serde_json::Value| {
            report["checks"] = json!([
                { "command": ["true"], "verdict": "agreed", "output": "", "milliseconds": 3 },
                { "command": ["test", "-s", "a b"], "verdict": verdict.clone(), "output": "1\n2\n3\n4\n5\n6", "milliseconds": 3 },
            ]);
        })
    };
    let good = [(quoted, "exit code 0\n2\n3\n4\n5\n6", Passed), (second, "exit code 0", Passed)];
    check(&wanted, RestoreEnding::Restored, Some(says("agreed".into())), &good).await;
    let bad = [(quoted, "exit code 1\n2\n3\n4\n5\n6", Failed), (second, "exit code 0", Passed)];
    check(&wanted, RestoreEnding::Unproven, Some(says(json!({ "disagreed": 1 }))), &bad).await;
    let old = "not made: the host's worker is of a release that makes no checks";
    let none = [(quoted, old, NotProven), (second, old, NotProven)];
    check(&wanted, RestoreEnding::Restored, Some(report()), &none).await;
    let nothing = "not made: nothing was put in place";
    let none = [(quoted, nothing, NotProven), (second, nothing, NotProven)];
    check(&wanted, RestoreEnding::Cancelled, None, &none).await;
    let gone = [(None, "not made: the site has no plan nightly any more", NotProven)];
    check(&PlanChecks::Gone { plan: "nightly".into() }, RestoreEnding::Restored, Some(report()), &gone).await;
    check(&PlanChecks::None, RestoreEnding::Restored, Some(report()), &[]).await;
}

#[tokio::test]
async fn times_are_measured_against_the_objectives_of_the_plan() {
    let page = async |rto_seconds, rpo_seconds| {
        let mut begin = started("x");
        if let Event::RestoreStarted { order, .. } = &mut begin {
            order.objectives = RestoreObjectives { rto_seconds, rpo_seconds };
        }
        let record = record(vec![begin, ended(RestoreEnding::Restored, Some(report()))]).await.unwrap();
        assert!(record.is_proven(), "what took long is whole all the same");
        let (key, _) = RecordKey::generate();
        let files: std::collections::BTreeMap<String, Vec<u8>> = key.seal(&record).into_iter().collect();
        (record.findings, String::from_utf8(files["record.en.txt"].clone()).unwrap())
    };
    let (missed, text) = page(Some(60), Some(3600)).await;
    assert!(missed.is_empty(), "{missed:?}");
    assert!(text.contains("Recovery time: 00:01:00; RTO of at most 00:01:00: kept"), "{text}");
    assert!(text.contains("01:00:00; RPO of at most 01:00:00: kept"), "{text}");
    let (missed, text) = page(Some(59), Some(3599)).await;
    assert!(missed[0].contains("RTO missed") && missed[1].contains("RPO missed"), "{missed:?}");
    assert!(text.contains("RTO of at most 00:00:59: MISSED"), "{text}");
    let (missed, text) = page(None, None).await;
    assert!(missed.is_empty() && !text.contains("RTO") && !text.contains("RPO"), "{text}");
}

#[tokio::test]
async fn pages_are_for_people_and_nothing_in_them_is_more_than_text() {
    let nasty = "<script>alert(1)</script>\u{1b}[2J\n  Result: restored";
    let record = record(vec![started(nasty), ended(RestoreEnding::Cancelled, None)]).await.unwrap();
    let (key, _) = RecordKey::generate();
    let files: std::collections::BTreeMap<String, Vec<u8>> = key.seal(&record).into_iter().collect();
    let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
    for name in ["record.zh.txt", "record.zh.html"] {
        let page = text(name);
        for said in ["数据恢复记录表", "运维一部", "2026-09-21", "+08:00", "已取消", "未证实", "/srv/billing"]
        {
            assert!(page.contains(said), "{name} does not say {said}:\n{page}");
        }
    }
    assert!(text("record.en.txt").contains("Result: cancelled"), "{}", text("record.en.txt"));
    for name in ["record.en.txt", "record.en.html"] {
        let page = text(name);
        assert!(!page.contains('\u{1b}') && !page.contains("\n  Result: restored"), "{page}");
        assert_eq!(page.contains("<script>"), name.ends_with("txt"), "{page}");
    }
}

/// A record on a shelf of its own.
async fn shelved() -> (tempfile::TempDir, PathBuf, PublicRecordKey) {
    let state = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(state.path()).await.unwrap();
    shelf.put(&good().await).await.unwrap();
    let folder = state.path().join(RECORDS).join(RESTORE);
    let key = PublicRecordKey::read(&state.path().join(RECORDS).join(PUBLIC_KEY)).unwrap();
    (state, folder, key)
}

fn faults(folder: &Path, key: PublicRecordKey) -> Vec<Fault> {
    check(folder, key).unwrap().err().unwrap_or_default()
}

#[tokio::test]
async fn every_changed_byte_is_found_and_its_file_and_line_are_named() {
    let (_state, folder, key) = shelved().await;
    assert_eq!(check(&folder, key).unwrap().unwrap().record, good().await);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let step = if name == SIGNATURE { 1 } else { 13 };
        for place in (0..bytes.len()).step_by(step) {
            let mut changed = bytes.clone();
            changed[place] ^= 4;
            fs::write(&path, &changed).unwrap();
            let found = faults(&folder, key);
            let line = 1 + bytes[..place].iter().filter(|byte| **byte == b'\n').count();
            let is_named = |fault: &Fault| fault.file == name && fault.line.is_none_or(|named| named == line);
            // A list of hashes of another text than was signed: the signature tells, and what does not agree with it.
            assert!(found.iter().any(is_named), "{name}:{line}, byte {place}: {found:?}");
        }
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(faults(&folder, key).iter().any(|fault| fault.file == name), "{name} cut off");
        fs::remove_file(&path).unwrap();
        assert!(check(&folder, key).map_or(true, |checked| checked.is_err()), "{name} gone");
        fs::write(&path, &bytes).unwrap();
        assert_eq!(faults(&folder, key), []);
    }
}

#[tokio::test]
async fn another_record_another_key_and_a_file_too_many_are_found() {
    let (_state, folder, key) = shelved().await;
    let (stranger, _) = RecordKey::generate();
    assert_eq!(faults(&folder, stranger.public())[0].file, SIGNATURE);
    // Who writes everything anew without the key gets the hashes right, and not the signature.
    let other = record(vec![started("something else"), ended(RestoreEnding::Restored, Some(report()))]).await.unwrap();
    for (name, bytes) in stranger.seal(&other) {
        fs::write(folder.join(name), bytes).unwrap();
    }
    assert_eq!(faults(&folder, key).iter().map(|fault| fault.file.as_str()).collect::<Vec<_>>(), [SIGNATURE]);
    let (_state, folder, key) = shelved().await;
    fs::write(folder.join("more.txt"), "x").unwrap();
    assert_eq!(faults(&folder, key)[0].file, "more.txt");
}

/// What the README tells auditors to do.
#[tokio::test]
async fn b3sum_and_openssl_alone_agree() {
    let (state, folder, _) = shelved().await;
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(&folder).output();
        output.unwrap_or_else(|error| panic!("{program}: {error}")).status.success()
    };
    let key = state.path().join(RECORDS).join(PUBLIC_KEY);
    let verify =
        ["pkeyutl", "-verify", "-pubin", "-inkey", key.to_str().unwrap(), "-rawin", "-in", SUMS, "-sigfile", SIGNATURE];
    assert!(run("b3sum", &["--check", SUMS]) && run("openssl", &verify));
    fs::write(folder.join(RECORD), "{}").unwrap();
    assert!(!run("b3sum", &["--check", SUMS]));
    fs::write(folder.join(SUMS), fs::read(folder.join(LINES)).unwrap()).unwrap();
    assert!(!run("openssl", &verify));
}

/// A controller that was killed between the files and the entry makes both again.
#[tokio::test]
async fn a_record_that_was_begun_is_replaced() {
    let (state, folder, key) = shelved().await;
    fs::remove_file(folder.join(RECORD)).unwrap();
    let shelf = Shelf::open(state.path()).await.unwrap();
    assert_eq!(shelf.key(), key);
    shelf.put(&good().await).await.unwrap();
    assert_eq!(faults(&folder, key), []);
}
