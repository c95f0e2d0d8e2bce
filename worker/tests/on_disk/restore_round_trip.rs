//! What was backed up comes back the same, in everything that a file system can say about it.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::common::{Place, noise};
use crate::restoring::{assert_same, listing};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, makedev, mknodat, utimensat};
use strongroom_repository::Parameters;
use strongroom_worker::restore::{Medium, Outcome, RestoreEvent, RestoreOptions, RestoreReport, Resumes};

fn tool(program: &str, arguments: &[&str], path: &Path) {
    let status = Command::new(program).args(arguments).arg(path).status().unwrap();
    assert!(status.success(), "{program} {arguments:?} {}", path.display());
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// One of everything.
fn plant(place: &Place) {
    for number in 0..300 {
        place.write(&format!("many/{}/file-{number}", number % 7), noise(number, (number * number % 9000) as usize));
    }
    place.write("large", noise(1000, 900_000));
    place.write("copies/a", noise(1, 5000));
    place.write("copies/b", noise(1, 5000));
    place.write("empty", "");
    fs::create_dir_all(place.at("directories/empty")).unwrap();
    let raw = place.at("names").join(std::ffi::OsStr::from_bytes(b"\xd5\xcb\xb1\xbe \n \\x41"));
    place.write("names/账本", "x");
    fs::write(raw, "gbk").unwrap();
    symlink("/nowhere/\\", place.at("directories/link")).unwrap();
    mknodat(CWD, place.at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::hard_link(place.at("copies/a"), place.at("zz-other-name")).unwrap();
    fs::hard_link(place.at("copies/a"), place.at("directories/other-name")).unwrap();
    sparse(&place.at("sparse"));
    File::create(place.at("all-hole")).unwrap().set_len(5 << 20).unwrap();
    tool("setfattr", &["-n", "user.note", "-v", "0x00ff10"], &place.at("large"));
    tool("setfacl", &["-m", "u:1:rw,g:2:r"], &place.at("large"));
    tool("setfacl", &["-d", "-m", "u:1:rwx"], &place.at("directories"));
    tool("chattr", &["+d"], &place.at("copies/b"));
    if rustix::process::geteuid().is_root() {
        plant_as_root(place);
    }
    set_time(&place.at("copies/b"), -5_000_000_000, 999_999_999);
    set_time(&place.at("directories/link"), 1, 1);
    set_time(&place.at("directories"), 86_400, 123);
    fs::set_permissions(place.at("directories/empty"), fs::Permissions::from_mode(0o1750)).unwrap();
    if rustix::process::geteuid().is_root() {
        tool("chattr", &["+i"], &place.at("privileged/capable"));
        tool("chattr", &["+a"], &place.at("directories"));
    }
}

fn plant_as_root(place: &Place) {
    mknodat(CWD, place.at("null"), FileType::CharacterDevice, Mode::RUSR, makedev(1, 3)).unwrap();
    place.write("privileged/setuid", "#!/bin/sh\n");
    place.write("privileged/capable", "x");
    std::os::unix::fs::chown(place.at("privileged/setuid"), Some(12), Some(34)).unwrap();
    std::os::unix::fs::lchown(place.at("directories/link"), Some(5), Some(6)).unwrap();
    fs::set_permissions(place.at("privileged/setuid"), fs::Permissions::from_mode(0o6711)).unwrap();
    tool("setcap", &["cap_net_raw+ep"], &place.at("privileged/capable"));
}

fn sparse(path: &Path) {
    let file = File::create(path).unwrap();
    file.write_all_at(&noise(7, 100_000), 1 << 20).unwrap();
    file.write_all_at(&noise(8, 4096), 40 << 20).unwrap();
    file.set_len(3 << 30).unwrap();
}

/// Takes the flags away that keep the directories of a test from being removed.
struct Unlock<'a>(&'a Place);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        let _ = Command::new("chattr").args(["-R", "-f", "-i", "-a"]).arg(self.0.folder.path()).status();
    }
}

fn assert_restored(report: &RestoreReport) {
    assert_eq!(report.outcome, Outcome::Restored, "{:#?}", (&report.problems, &report.deviations));
    assert_eq!(report.verification.verified_files, report.counts.files);
    assert_eq!(report.verification.medium, Medium::Disk);
    assert_eq!(report.staging, None);
}

#[test]
fn everything_comes_back_the_same() {
    let place = Place::new();
    let _unlock = Unlock(&place);
    plant(&place);
    let snapshot = place.backup().report.snapshot;
    let target = place.target("restored/here");
    let report = place.restore(snapshot, RestoreOptions::into_target(&target));
    assert_restored(&report);
    assert_eq!(listing(&target), ["data"]);
    assert_same(&place.data(), &target.join("data"));
    assert_eq!(report.counts.hard_links, 2);
    assert!(
        report.verification.verified_bytes > 1_900_000 && report.verification.verified_bytes == report.counts.bytes
    );
}

#[test]
fn files_larger_than_a_frame_and_a_window_come_back() {
    let place = Place::with(Parameters::default());
    for (name, size) in [("a", 70 << 20), ("b", (1 << 20) - 1), ("c", (300 << 20) + 4097), ("d", 1 << 20)] {
        place.write(name, noise(size as u64, size));
    }
    let sparse = File::create(place.at("e")).unwrap();
    for (number, offset) in [1u64 << 20, 500 << 20, 700 << 20].into_iter().enumerate() {
        sparse.write_all_at(&noise(number as u64, 60 << 20), offset).unwrap();
    }
    sparse.set_len(1 << 30).unwrap();
    let snapshot = place.backup().report.snapshot;
    let target = place.target("restored");
    assert_restored(&place.restore(snapshot, RestoreOptions::into_target(&target)));
    assert_same(&place.data(), &target.join("data"));
}

#[test]
fn of_a_large_file_only_the_bad_part_is_fetched_again() {
    let place = Place::with(Parameters::default());
    place.write("large", noise(1, 300 << 20));
    let snapshot = place.backup().report.snapshot;
    let target = place.target("restored");
    let options = || RestoreOptions::into_target(&target);
    let spoil = |event: &RestoreEvent| {
        if let RestoreEvent::Flushed { window: 2, tree } = event {
            let file = fs::OpenOptions::new().write(true).open(tree.join("data/large")).unwrap();
            file.write_all_at(b"spoilt", 299 << 20).unwrap();
        }
    };
    let report = place.try_restore(snapshot, options(), spoil).unwrap();
    assert_eq!((report.outcome, report.problems_total), (Outcome::Failed, 1));
    let report = place.restore(snapshot, options());
    assert_restored(&report);
    assert!(report.fetched_bytes < 10 << 20, "{}", report.fetched_bytes);
    assert_same(&place.data(), &target.join("data"));
}

#[test]
fn paths_that_are_asked_for_come_with_the_directories_above_them() {
    let place = Place::new();
    for path in ["a/b/wanted/x", "a/b/wanted/deep/y", "a/b/other", "a/file", "c/file", "c/not"] {
        place.write(path, path);
    }
    fs::set_permissions(place.at("a/b"), fs::Permissions::from_mode(0o710)).unwrap();
    set_time(&place.at("a"), 1_000_000, 5);
    let snapshot = place.backup().report.snapshot;
    let target = place.target("restored");
    let paths = [&b"/data/c/file"[..], b"data/a/b/wanted/", b"data/a/b/wanted/deep"].map(<[u8]>::to_vec).to_vec();
    let options = RestoreOptions { paths, ..RestoreOptions::into_target(&target) };
    assert_restored(&place.restore(snapshot, options));
    for path in ["a/b/other", "a/file", "c/not"] {
        fs::remove_file(place.at(path)).unwrap();
    }
    set_time(&place.at("a"), 1_000_000, 5);
    for path in ["a/b", "c"] {
        let restored = fs::metadata(target.join("data").join(path)).unwrap().modified().unwrap();
        File::open(place.at(path)).unwrap().set_modified(restored).unwrap();
    }
    assert_same(&place.data(), &target.join("data"));
    let absent = RestoreOptions { paths: vec![b"data/absent".to_vec()], ..RestoreOptions::into_target(&target) };
    let error = place.plan_restore(snapshot, absent).unwrap_err();
    assert_eq!(error.to_string(), "the snapshot holds no 'data/absent'");
}

#[test]
fn a_plan_says_what_will_be_done_and_does_nothing() {
    let place = Place::new();
    for number in 0..50 {
        place.write(&format!("directory/{number}"), noise(number, 3000));
    }
    fs::hard_link(place.at("directory/0"), place.at("other-name")).unwrap();
    let snapshot = place.backup().report.snapshot;
    let target = place.target("restored");
    let plan = place.plan_restore(snapshot, RestoreOptions::into_target(&target)).unwrap();
    let summary = plan.summary;
    assert!(!target.exists());
    assert_eq!((summary.files, summary.directories, summary.hard_links, summary.bytes), (50, 2, 1, 150_000));
    assert_eq!((summary.replaced, summary.unchanged, summary.kept), (0, 0, 0));
    assert_eq!(summary.resumes, Resumes::Nothing);
    assert!(summary.fetch_bytes > 150_000 && summary.packs > 0 && summary.frames > 1);
    assert!(summary.needed_bytes >= 50 * 4096 && summary.free_bytes > summary.needed_bytes);
    let report = place.restore(snapshot, RestoreOptions::into_target(&target));
    assert_eq!(report.fetched_bytes, summary.fetch_bytes);
    assert_eq!((report.counts.files, report.counts.bytes), (summary.files, summary.bytes));
    let shown = summary.to_string();
    assert!(shown.contains("50 files, 150000 bytes; 2 directories, 1 hard links, 0 others"), "{shown}");
}

#[test]
fn a_target_without_room_is_refused_before_anything_is_written() {
    let place = Place::new();
    sparse(&place.at("sparse"));
    let snapshot = place.backup().report.snapshot;
    let target = place.target("restored");
    let mut plan = place.plan_restore(snapshot, RestoreOptions::into_target(&target)).unwrap();
    assert!(plan.summary.needed_bytes < 1 << 20, "holes need no room");
    plan.summary.free_bytes = 1000;
    let run =
        strongroom_worker::restore::run(plan, std::sync::Arc::default(), strongroom_worker::restore::Listener::none());
    let error = place.block_on(run).unwrap_err();
    assert!(error.to_string().starts_with("the restore needs "), "{error}");
    assert!(!target.exists());
}
