//! The local state: what happens when it is damaged, foreign or gone. It may cost time, never a right snapshot.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::common::{self, Place, Plan, noise};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use strongroom_repository::SnapshotKind;
use strongroom_worker::backup::BackupEvent;
use strongroom_worker::state::StateError;

/// Enough files for several leaves, in directories of several depths.
fn fill(place: &Place) {
    for number in 0..2600 {
        place.write(&format!("{:02}/{:02}/{number:04}", number % 17, number % 5), noise(number, 40));
    }
}

/// Backs up with whatever state there is, and checks the snapshot against one that was made without any.
fn check(place: &Place, what: &str) -> common::Run {
    let run = place.backup();
    let state: Vec<(std::path::PathBuf, Vec<u8>)> = std::fs::read_dir(place.state())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    let full = place.run(Plan { kind: SnapshotKind::Full, ..place.plan() }).unwrap();
    for (path, bytes) in state {
        std::fs::write(path, bytes).unwrap();
    }
    assert!(place.read_back(run.report.snapshot) == place.read_back(full.report.snapshot), "{what}");
    // Not only the same files: the same pages, so that a tree does not depend on how it came to be.
    assert_eq!(place.top_page(run.report.snapshot), place.top_page(full.report.snapshot), "{what}");
    run
}

#[test]
fn any_damaged_byte_of_the_state_costs_time_and_nothing_else() {
    let place = Place::new();
    fill(&place);
    place.backup();
    let files = [place.state_file("head"), place.state_file("body")];
    let good = files.each_ref().map(|path| std::fs::read(path).unwrap());
    let mut random = StdRng::seed_from_u64(1);
    for round in 0..60 {
        for (path, bytes) in files.iter().zip(&good) {
            std::fs::write(path, bytes).unwrap();
        }
        // Something changed in the meantime, so that pages of the state are read and not only taken over.
        place.write(&format!("{:02}/00/0000", round % 17), noise(10_000 + round, 60));
        let which = usize::from(random.random_bool(0.8));
        let mut bytes = good[which].clone();
        let at = random.random_range(0..bytes.len());
        match round % 3 {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes.truncate(at),
            _ => bytes[at..].fill(0),
        }
        std::fs::write(&files[which], bytes).unwrap();
        check(&place, &format!("round {round}: byte {at} of file {which}"));
    }
}

#[test]
fn a_damaged_page_makes_the_run_begin_again() {
    let place = Place::new();
    fill(&place);
    place.backup();
    let body = place.state_file("body");
    let mut bytes = std::fs::read(&body).unwrap();
    // The name of the first file with its kind behind it stands in a leaf page alone: in the blocks the names follow each other.
    let mut damaged = 0;
    for at in 0..bytes.len() - 4 {
        if bytes[at..].starts_with(b"0000\0") {
            bytes[at] = b'1';
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    std::fs::write(&body, bytes).unwrap();
    place.write("00/00/0017", "changed");
    let run = check(&place, "a page with another name in it");
    let left_aside = |event: &BackupEvent| matches!(event, BackupEvent::StateLeftAside(StateError::Damaged(_)));
    assert!(run.used_state() && run.events.iter().any(left_aside), "{:?}", run.events);
    assert!(place.backup().report.unchanged);
}

/// Makes the state believe that it saw a file as it is now.
fn forge(place: &Place, before: &std::fs::Metadata, now: &std::fs::Metadata) -> usize {
    let nanoseconds = |seconds: i64, part: i64| (seconds * 1_000_000_000 + part).to_le_bytes();
    let record = |file: &std::fs::Metadata| {
        let ctime = nanoseconds(file.ctime(), file.ctime_nsec());
        [file.ino().to_le_bytes(), ctime, nanoseconds(file.mtime(), file.mtime_nsec())].concat()
    };
    let mut body = std::fs::read(place.state_file("body")).unwrap();
    let at = body.windows(24).position(|bytes| bytes == record(before)).unwrap();
    body[at..at + 24].copy_from_slice(&record(now));
    std::fs::write(place.state_file("body"), body).unwrap();
    at
}

/// Gives the block that holds this byte of the body the checksum of what it is now.
fn forge_checksum(place: &Place, at: usize) {
    let head = std::fs::read(place.state_file("head")).unwrap();
    let head: serde_json::Value = serde_json::from_slice(&head[65..]).unwrap();
    let tables = head["tables_offset"].as_u64().unwrap() as usize;
    let mut body = std::fs::read(place.state_file("body")).unwrap();
    let number = |body: &[u8], at: usize| u64::from_le_bytes(body[at..at + 8].try_into().unwrap()) as usize;
    for row in (0..number(&body, tables)).map(|index| tables + 8 + 64 * index) {
        let block = number(&body, row)..number(&body, row) + number(&body, row + 32) % (1 << 32);
        if block.contains(&at) {
            let checksum = blake3::hash(&body[block]);
            body[row + 16..row + 32].copy_from_slice(&checksum.as_bytes()[..16]);
        }
    }
    std::fs::write(place.state_file("body"), body).unwrap();
}

#[test]
fn a_state_that_claims_to_have_seen_the_present_is_not_believed() {
    for also_the_checksum in [false, true] {
        let place = Place::new();
        fill(&place);
        place.write("00/00/0000", "first");
        place.backup();
        let before = std::fs::metadata(place.at("00/00/0000")).unwrap();
        place.write("00/00/0000", "other");
        let at = forge(&place, &before, &std::fs::metadata(place.at("00/00/0000")).unwrap());
        if also_the_checksum {
            forge_checksum(&place, at);
        }
        let run = check(&place, "a forged record");
        assert_eq!(run.used_state(), !also_the_checksum, "the checksums have a hash of their own");
        assert_eq!(place.read_back(run.report.snapshot)["00/00/0000"].1, b"other");
    }
}

#[test]
fn the_parts_of_two_states_do_not_mix() {
    let place = Place::new();
    fill(&place);
    place.backup();
    let old_body = std::fs::read(place.state_file("body")).unwrap();
    let old_head = std::fs::read(place.state_file("head")).unwrap();
    place.write("00/00/0000", "changed");
    place.backup();
    let new_head = std::fs::read(place.state_file("head")).unwrap();
    std::fs::write(place.state_file("body"), &old_body).unwrap();
    assert!(!check(&place, "a new head and an old body").used_state());
    place.backup();
    std::fs::write(place.state_file("head"), &old_head).unwrap();
    assert!(!check(&place, "an old head and a new body").used_state());
    // Head and body of one run, but of an earlier one: that is a state like any other.
    std::fs::write(place.state_file("head"), &old_head).unwrap();
    std::fs::write(place.state_file("body"), &old_body).unwrap();
    assert!(check(&place, "the state of the run before the last").used_state());
    assert_ne!(new_head, old_head);
}

#[test]
fn the_state_of_another_place_is_not_used() {
    let (here, there) = (Place::new(), Place::new());
    for place in [&here, &there] {
        place.write("file", "content");
        place.backup();
    }
    std::fs::copy(there.state_file("body"), here.state_file("body")).unwrap();
    std::fs::copy(there.state_file("head"), here.state_file("head")).unwrap();
    let run = check(&here, "a foreign state under the right name");
    assert!(run.events.iter().any(|event| matches!(event, BackupEvent::StateLeftAside(StateError::Foreign))));
    std::fs::remove_dir_all(here.state()).unwrap();
    let run = here.backup();
    assert!(run.events.iter().any(|event| matches!(event, BackupEvent::StateLeftAside(StateError::Absent))));
    assert!(here.backup().report.unchanged);
}

#[test]
fn a_state_whose_snapshot_is_gone_is_not_used() {
    let place = Place::new();
    place.write("file", "content");
    place.backup();
    let key = place.state_file("head");
    let head = std::fs::read(&key).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&head[65..]).unwrap();
    let mut json = json.as_object().unwrap().clone();
    json.insert("snapshot".into(), "00".repeat(32).into());
    let json = serde_json::to_vec(&json).unwrap();
    std::fs::write(&key, [blake3::hash(&json).to_hex().as_bytes(), b"\n", &json].concat()).unwrap();
    let run = check(&place, "a snapshot that nobody knows");
    assert!(run.events.iter().any(|event| matches!(event, BackupEvent::StateLeftAside(StateError::SnapshotGone))));
}

#[test]
fn a_state_that_cannot_be_kept_does_not_disturb_the_run() {
    let place = Place::new();
    place.write("file", "content");
    std::fs::remove_dir(place.state()).unwrap();
    std::fs::write(place.state(), "in the way").unwrap();
    let run = place.backup();
    assert!(run.events.iter().any(|event| matches!(event, BackupEvent::StateNotKept(_))));
    assert_eq!(place.read_back(run.report.snapshot)["file"].1, b"content");
}

#[test]
fn only_the_owner_can_read_a_state_and_nothing_is_left_beside_it() {
    let place = Place::new();
    place.write("file", "content");
    place.backup();
    place.write("file", "changed");
    place.backup();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(place.state()).unwrap().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        names.push(entry.path().extension().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["body", "head"]);
}

#[test]
fn random_changes_give_the_tree_that_a_full_run_gives() {
    for seed in 0..6 {
        let place = Place::new();
        let mut random = StdRng::seed_from_u64(seed);
        fill(&place);
        place.backup();
        for round in 0..6 {
            for _ in 0..random.random_range(0..12) {
                let path = format!(
                    "{:02}/{:02}/{:04}",
                    random.random_range(0..19),
                    random.random_range(0..6),
                    random.random_range(0..2600)
                );
                match random.random_range(0..6) {
                    0 => drop(std::fs::remove_file(place.at(&path))),
                    1 => drop(std::fs::remove_dir_all(place.at(&path[..5]))),
                    2 => drop(std::fs::remove_dir_all(place.at(&path[..2]))),
                    3 => drop(std::fs::rename(place.at(&path[..2]), place.at(&format!("{}x", &path[..2])))),
                    _ => place.write(&path, noise(random.random_range(0..100), 70)),
                }
            }
            check(&place, &format!("seed {seed} round {round}"));
        }
        assert!(place.backup().report.unchanged);
    }
}
