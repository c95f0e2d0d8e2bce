//! Every crash of a change set, with every way in which what was not flushed may be lost.

use std::path::{Path, PathBuf};

use strongroom_worker::change::{ChangeSet, Changes, Content, Files, Node, Record};

use super::page_cache::PageCache;
use super::{NOW, directory, file, id, later, link, moment, set};

const HOME: &str = "/var/changes";

/// How a run ends that is not cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Confirmed,
    Reverted,
}

/// What was there, and what is wanted.
struct Case {
    old: Vec<(PathBuf, Content)>,
    new: ChangeSet,
}

/// One to four paths of every kind: replaced, made, removed, in directories that are made or removed with them.
fn cases() -> Vec<Case> {
    let at = |name: &str| Path::new("/etc").join(name);
    let case = |old: &[(&str, Content)], new: &[(&str, Content)]| Case {
        old: old.iter().map(|(name, content)| (at(name), content.clone())).collect(),
        new: set(new.iter().map(|(name, content)| (at(name), content.clone()))),
    };
    vec![
        case(&[("a", file("old"))], &[("a", file("new and longer"))]),
        case(&[], &[("a", file("new"))]),
        case(&[("a", file("old"))], &[("a", Content::Absent)]),
        case(&[("a", file("old")), ("b", link("a"))], &[("a", link("b")), ("b", file("b"))]),
        case(&[("c", file("old")), ("d", link("e"))], &[("a", file("a")), ("c", file("c")), ("d", link("f"))]),
        case(&[], &[("d", directory()), ("d/e", directory()), ("d/e/f", file("f"))]),
        case(
            &[("d", directory()), ("d/a", file("a")), ("b", file("b"))],
            &[("d", Content::Absent), ("d/a", Content::Absent), ("b", file("b2")), ("e", file("e"))],
        ),
    ]
}

fn start(case: &Case) -> PageCache {
    let disk = PageCache::new();
    for folder in ["/etc", "/var"] {
        disk.make_directory(Path::new(folder)).unwrap();
    }
    for (path, content) in &case.old {
        match content {
            Content::Absent => {}
            Content::File { bytes, attributes } => disk.create(path, bytes, attributes).unwrap(),
            Content::Symlink { target, uid, gid } => disk.link(path, target, *uid, *gid).unwrap(),
            Content::Directory { attributes } => {
                disk.make_directory(path).unwrap();
                disk.set_attributes(path, attributes).unwrap();
            }
        }
    }
    disk.with_power_for(usize::MAX)
}

/// Whether it came to its end.
fn run(disk: &PageCache, case: &Case, end: End) -> bool {
    let changes = Changes::new(disk, Path::new(HOME), &NOW);
    let Ok(mut change) = changes.prepare(id("one"), &case.new) else { return false };
    if change.switch(moment(1000)).is_err() {
        return false;
    }
    match end {
        End::Confirmed => change.confirm("test", &moment(0)).is_ok(),
        End::Reverted => change.revert("test").is_ok(),
    }
}

fn recover(disk: &PageCache) -> bool {
    let changes = Changes::new(disk, Path::new(HOME), &NOW);
    changes.recover("the power was cut", &later()).is_ok_and(|all| all.iter().all(|one| one.ended.is_ok()))
}

/// What a look at each path finds.
fn nodes(disk: &PageCache, case: &Case) -> Vec<Node> {
    case.new.wanted.iter().map(|one| disk.look(&one.path).unwrap()).collect()
}

/// After a recovery: all old or all new, as the journal says, and nothing beside it.
fn check(disk: &PageCache, case: &Case, told: Option<End>, context: &str) {
    let changes = Changes::new(disk, Path::new(HOME), &NOW);
    let change = changes.change(id("one")).unwrap();
    let last = change.as_ref().and_then(|change| change.records().last()).map(|written| &written.record);
    let is_new = match last {
        Some(Record::Confirmed { .. }) => true,
        None | Some(Record::Reverted | Record::Aborted { .. }) => false,
        Some(other) => panic!("{context}: ended as {other:?}"),
    };
    if let Some(end) = told {
        assert_eq!(is_new, end == End::Confirmed, "{context}: it was told to have ended otherwise");
    }
    let before = start(case);
    let expected = match is_new {
        true => case.new.wanted.iter().map(|one| one.content.node()).collect(),
        false => nodes(&before, case),
    };
    assert_eq!(nodes(disk, case), expected, "{context}, last record {last:?}");
    let left: Vec<String> = disk.names(Path::new("/etc")).unwrap();
    assert!(!left.iter().any(|name| name.starts_with(".strongroom")), "{context}: {left:?}");
}

fn is_full() -> bool {
    std::env::var_os("STRONGROOM_TESTS_FULL").is_some()
}

#[test]
fn whatever_a_crash_loses_all_paths_are_old_or_all_are_new() {
    let (most, again) = if is_full() { (128, 8) } else { (128, 2) };
    let mut crashes = 0;
    for (number, case) in cases().iter().enumerate() {
        for end in [End::Confirmed, End::Reverted] {
            let whole = start(case);
            assert!(run(&whole, case, end), "case {number}");
            check(&whole, case, Some(end), "no crash");
            for power in 0..=whole.calls() {
                let disk = start(case).with_power_for(power);
                let told = run(&disk, case, end).then_some(end);
                for (way, survivor) in disk.survivors(power as u64, most).into_iter().enumerate() {
                    let context = format!("case {number}, {end:?}, power for {power} calls, survivor {way}");
                    if way < again {
                        crash_again(&survivor, case, told, &context);
                    }
                    assert!(recover(&survivor), "{context}: cannot recover");
                    check(&survivor, case, told, &context);
                    crashes += 1;
                }
            }
        }
    }
    assert!(crashes > 1000, "only {crashes} crashes");
}

/// The power goes again, at every call of the recovery.
fn crash_again(disk: &PageCache, case: &Case, told: Option<End>, context: &str) {
    let whole = disk.with_power_for(usize::MAX);
    recover(&whole);
    for power in 0..whole.calls() {
        let second = disk.with_power_for(power);
        recover(&second);
        for survivor in second.survivors(power as u64, 4) {
            assert!(recover(&survivor), "{context}, again after {power}: cannot recover");
            check(&survivor, case, told, &format!("{context}, again after {power}"));
        }
    }
}
