use super::*;
use crate::request::{Limits, Request, RestoreRequest, Source, StorePlace};

fn entry(job: &str) -> Entry {
    let request = Request {
        repository: strongroom_repository::RepositoryId([7; 16]),
        store: StorePlace::default(),
        full: true,
        host: "web1".into(),
        tags: [("run".to_owned(), "r1".to_owned())].into(),
        source: Source::Files {
            paths: vec!["/etc".into()],
            excludes: vec![],
            exclude_caches: false,
            one_file_system: false,
            larger_than: None,
        },
        limits: Limits::default(),
        before: vec![],
        after: vec![],
    };
    Entry::new(job.parse().unwrap(), 3, request, Timestamp::UNIX_EPOCH)
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, found) = Ledger::open(&folder.path().join("a/jobs")).unwrap();
    assert_eq!(found, []);
    ledger.write(&entry("one")).unwrap();
    let two = Entry {
        state: Recorded::Failed { kind: FailureKind::Command, reason: "no".into() },
        number: 2,
        cancelling: true,
        ..entry("two")
    };
    ledger.write(&entry("two")).unwrap();
    ledger.write(&two).unwrap();
    ledger.write(&entry("three")).unwrap();
    ledger.forget(&"three".parse().unwrap()).unwrap();
    ledger.forget(&"never".parse().unwrap()).unwrap();
    let (_, mut found) = Ledger::open(&folder.path().join("a/jobs")).unwrap();
    found.sort_by(|a, b| a.job.cmp(&b.job));
    assert_eq!(found, [entry("one"), two]);
}

#[test]
fn what_cannot_be_read_is_set_aside_and_the_rest_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(folder.path()).unwrap();
    for job in ["good", "torn", "newer", "misnamed"] {
        ledger.write(&entry(job)).unwrap();
    }
    let at = |name: &str| folder.path().join(name);
    let text = fs::read_to_string(at("torn.json")).unwrap();
    fs::write(at("torn.json"), &text[..text.len() / 2]).unwrap();
    fs::write(at("newer.json"), text.replace("\"strongroom-job\": 1", "\"strongroom-job\": 2")).unwrap();
    fs::copy(at("good.json"), at("misnamed.json")).unwrap();
    fs::write(at("UPPER.json"), &text).unwrap();
    fs::write(at(".one.json.new"), "unfinished").unwrap();
    let (_, found) = Ledger::open(folder.path()).unwrap();
    assert_eq!(found, [entry("good")]);
    for name in ["torn.damaged", "newer.damaged", "misnamed.damaged", "UPPER.damaged", ".one.json.new"] {
        assert!(at(name).exists(), "{name}");
    }
}

#[test]
fn a_restore_is_kept_whatever_its_paths_and_a_backup_as_it_always_was() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(folder.path()).unwrap();
    let restore = RestoreRequest {
        repository: strongroom_repository::RepositoryId([7; 16]),
        store: StorePlace::default(),
        snapshot: strongroom_repository::ObjectId([3; 32]),
        paths: vec![r"srv/\xff".into()],
        target: "/srv/there".into(),
        overwrite: Default::default(),
        replaced: Default::default(),
        owners: Default::default(),
        limits: Limits::default(),
        dry_run: false,
        checks: Vec::new(),
        promote_to: None,
        around: Default::default(),
    };
    assert_eq!((restore.raw_paths(), restore.check()), (vec![b"srv/\xff".to_vec()], Ok(())));
    let restore = Entry::new("r1".parse().unwrap(), 1, restore, Timestamp::UNIX_EPOCH);
    ledger.write(&restore).unwrap();
    ledger.write(&entry("one")).unwrap();
    let mut found = Ledger::open(folder.path()).unwrap().1;
    found.sort_by_key(|entry| entry.job.clone());
    assert_eq!(found, [entry("one"), restore]);
    let text = fs::read_to_string(folder.path().join("one.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((json["request"]["host"].as_str(), json["request"].get("restore")), (Some("web1"), None));
}

#[test]
fn fields_of_a_newer_release_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(folder.path()).unwrap();
    ledger.write(&entry("one")).unwrap();
    let path = folder.path().join("one.json");
    let text = fs::read_to_string(&path).unwrap().replacen('{', "{\"priority\": 5,", 1);
    fs::write(&path, text).unwrap();
    assert_eq!(Ledger::open(folder.path()).unwrap().1, [entry("one")]);
}

#[test]
fn the_old_and_the_many_are_forgotten() {
    let now = Timestamp::from_second(100 * 24 * 3600).unwrap();
    let day = |day: i64| Timestamp::from_second(day * 24 * 3600).unwrap();
    let job = |number: usize| format!("job-{number:05}").parse::<JobId>().unwrap();
    let (old, edge, new) = (job(1), job(2), job(3));
    assert_eq!(outlived([(&new, day(99)), (&old, day(69)), (&edge, day(70))], now), [old]);
    let many: Vec<JobId> = (0..REMEMBERED_MAX + 2).map(job).collect();
    let gone = outlived(many.iter().map(|job| (job, day(99))), now);
    assert_eq!(gone, many[..2]);
    // A clock that was set back forgets nothing.
    assert_eq!(outlived([(&new, day(101))], now), []);
}
