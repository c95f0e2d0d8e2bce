//! What a restore does when something goes wrong under it: kills, bad disks, damaged repositories.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::noise;
use crate::restoring::disk::DiskPlace;
use crate::restoring::{self, assert_same, listing};
use strongroom_worker::restore::{Aspect, Outcome, ProblemKind, RestoreEvent, RestoreReport};

/// Several windows' worth of nothing, a few files, and flags that come last.
fn plant(data: &Path) {
    for number in 0..200 {
        let path = data.join(format!("d{}/file-{number}", number % 5));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, noise(number, 200 + 37 * number as usize)).unwrap();
    }
    fs::write(data.join("large"), noise(999, 300_000)).unwrap();
    fs::hard_link(data.join("large"), data.join("d1/same")).unwrap();
    fs::set_permissions(data.join("d2"), fs::Permissions::from_mode(0o555)).unwrap();
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn is_staging(name: &str) -> bool {
    name.starts_with(".strongroom-restore-")
}

fn problems(report: &RestoreReport) -> Vec<(&str, ProblemKind)> {
    report.problems.iter().map(|problem| (problem.path.as_str(), problem.kind)).collect()
}

#[test]
fn a_file_that_comes_back_different_fails_the_restore_and_is_named() {
    let folder = folder();
    let place = DiskPlace::create(folder.path(), plant);
    let report = place.restore(|event| {
        if let RestoreEvent::Flushed { tree, .. } = event {
            let file = fs::OpenOptions::new().write(true).open(tree.join("data/d3/file-103")).unwrap();
            file.write_all_at(b"!", 1000).unwrap();
        }
    });
    let report = report.unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(problems(&report), [("data/d3/file-103", ProblemKind::Mismatch)]);
    assert_eq!(report.verification.mismatches, 1);
    assert_eq!(report.verification.verified_files, 200);
    let names = listing(&place.target());
    assert!(names.len() == 1 && is_staging(&names[0]), "nothing was put in place: {names:?}");
    // The next run finds the bad file, writes it again, and finishes.
    let report = place.restore(|_| {}).unwrap();
    assert_eq!((report.outcome, report.counts.resumed_files), (Outcome::Restored, 200));
    assert_same(&place.data(), &place.target().join("data"));
    assert_eq!(listing(&place.target()), ["data"]);
}

#[test]
fn content_and_length_and_metadata_are_all_read_back() {
    let folder = folder();
    let place = DiskPlace::create(folder.path(), plant);
    let report = place.restore(|event| {
        if let RestoreEvent::Flushed { tree, .. } = event {
            let at = |path: &str| tree.join("data").join(path);
            fs::OpenOptions::new().write(true).open(at("d3/file-103")).unwrap().set_len(5).unwrap();
            fs::remove_file(at("d4/file-104")).unwrap();
            fs::remove_file(at("d1/same")).unwrap();
            fs::write(at("d1/same"), noise(999, 300_000)).unwrap();
            fs::set_permissions(at("d0/file-100"), fs::Permissions::from_mode(0o7777)).unwrap();
            fs::File::create(at("d0/extra")).unwrap();
        }
    });
    let report = report.unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    let mut found = problems(&report);
    found.sort_by_key(|(path, _)| *path);
    let expect = ["data/d1/same", "data/d3/file-103", "data/d4/file-104"].map(|path| (path, ProblemKind::Mismatch));
    assert_eq!(found, expect);
    let mut deviations: Vec<_> = report.deviations.iter().map(|found| (found.path.as_str(), found.aspect)).collect();
    deviations.sort();
    deviations.retain(|(path, aspect)| !(path.starts_with("data/d") && path.len() == 7 && *aspect == Aspect::Time));
    assert_eq!(deviations, [("data/d0/file-100", Aspect::Mode)]);
}

/// Runs in a process of its own and is killed there, at the moment that the environment names.
#[test]
fn child_that_is_killed() {
    let (Ok(folder), Ok(moment)) = (std::env::var("RESTORE_TEST_FOLDER"), std::env::var("RESTORE_TEST_MOMENT")) else {
        return;
    };
    let moment: u32 = moment.parse().unwrap();
    let seen = AtomicU32::new(0);
    let result = DiskPlace::at(Path::new(&folder)).restore(move |_| {
        if seen.fetch_add(1, Ordering::Relaxed) == moment {
            std::process::abort();
        }
    });
    assert_eq!(result.unwrap().outcome, Outcome::Restored);
}

#[test]
fn a_restore_that_is_killed_at_any_moment_is_finished_by_the_next() {
    let mut kills = 0;
    for moment in 0..20 {
        let folder = folder();
        let place = DiskPlace::create(folder.path(), plant);
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "restore_faults::child_that_is_killed", "--nocapture"]);
        child.env("RESTORE_TEST_FOLDER", folder.path()).env("RESTORE_TEST_MOMENT", moment.to_string());
        let status = child.output().unwrap().status;
        let names = listing(&place.target());
        if status.success() {
            assert_eq!(names, ["data"], "moment {moment}");
            break;
        }
        kills += 1;
        assert_eq!(status.signal(), Some(6), "killed, not failed: moment {moment}");
        assert!(names.iter().any(|name| is_staging(name)), "it looks finished: moment {moment}, {names:?}");
        let report = place.restore(|_| {}).unwrap();
        assert_eq!(report.outcome, Outcome::Restored, "moment {moment}: {:?}", report.problems);
        assert_eq!(listing(&place.target()), ["data"], "moment {moment}");
        assert_same(&place.data(), &place.target().join("data"));
        assert_eq!(report.verification.verified_files, 201, "moment {moment}");
    }
    assert_eq!(kills, 5, "staging, flushed, read back, placing, placed");
}

#[test]
fn what_was_being_moved_is_moved_on() {
    let folder = folder();
    let place = DiskPlace::create(folder.path(), plant);
    let (data, target) = (place.data(), place.target());
    let moved = target.clone();
    let interrupted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        place.restore(move |event| {
            if *event == RestoreEvent::Placing {
                // As if the run had moved a part of a directory that exists, and then stopped.
                let staging = moved.join(listing(&moved).remove(0)).join("tree/data");
                fs::create_dir(moved.join("data")).unwrap();
                fs::rename(staging.join("d0"), moved.join("data/d0")).unwrap();
                fs::rename(staging.join("large"), moved.join("data/large")).unwrap();
                panic!("stop here");
            }
        })
    }));
    assert!(interrupted.is_ok_and(|result| result.is_err()), "the thread's panic is an error of the run");
    assert!(listing(&target).iter().any(|name| is_staging(name)));
    let report = place.restore(|_| {}).unwrap();
    assert_eq!((report.outcome, report.verification.verified_files), (Outcome::Restored, 201));
    assert_eq!(listing(&target), ["data"]);
    assert_eq!(
        restoring::rsync(&data, &target.join("data")),
        "",
        "only the directory that somebody made may differ, and it is the top"
    );
}

#[test]
fn a_damaged_pack_costs_the_files_in_it_and_they_are_named() {
    let folder = folder();
    let place = DiskPlace::create(folder.path(), plant);
    let pack = place.data_packs().into_iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&pack, bytes).unwrap();
    let report = place.restore(|_| {}).unwrap();
    assert_eq!(report.outcome, Outcome::Partial);
    assert!(!report.problems.is_empty() && report.problems_total < 100, "{}", report.problems_total);
    assert!(
        report.problems.iter().all(|problem| problem.kind == ProblemKind::Repository || problem.path == "data/d1/same")
    );
    assert_eq!(report.staging, None);
    for problem in &report.problems {
        assert!(!place.target().join(&problem.path).exists(), "{} is there in part", problem.path);
        fs::remove_file(place.folder.join("host").join(&problem.path)).unwrap();
    }
    // Nothing but the named files is missing.
    let differs = restoring::rsync(&place.data(), &place.target().join("data"));
    let only_directories = differs.lines().all(|line| line.starts_with(".d..t"));
    assert!(only_directories, "{differs}");
}

#[test]
fn a_pack_that_is_gone_costs_the_files_in_it_and_they_are_named() {
    let folder = folder();
    let place = DiskPlace::create(folder.path(), plant);
    for pack in place.data_packs() {
        fs::remove_file(pack).unwrap();
    }
    let report = place.restore(|_| {}).unwrap();
    assert_eq!((report.outcome, report.verification.verified_files), (Outcome::Partial, 0));
    assert_eq!(report.problems_total, 202);
    assert!(report.problems[0].error.contains("missing"), "{:?}", report.problems[0]);
    assert_eq!(listing(&place.target().join("data/d3")), [""; 0]);
}

#[test]
fn two_restores_do_not_work_in_one_place() {
    let folder = folder();
    let place = DiskPlace::create(folder.path(), plant);
    let inner = DiskPlace::at(folder.path());
    let second = std::sync::Mutex::new(None);
    let second = std::sync::Arc::new(second);
    let told = std::sync::Arc::clone(&second);
    let report = place.restore(move |event| {
        if matches!(event, RestoreEvent::Flushed { .. }) {
            *told.lock().unwrap() = Some(inner.restore(|_| {}).map_err(|error| error.to_string()));
        }
    });
    assert_eq!(report.unwrap().outcome, Outcome::Restored);
    let second = second.lock().unwrap().take().unwrap();
    assert!(second.unwrap_err().starts_with("another restore is at work in "));
}
