//! Restores into a target that holds something already.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::common::Place;
use crate::restoring::{assert_same, listing};
use strongroom_repository::ObjectId;
use strongroom_worker::restore::{
    Outcome, Overwrite, ProblemKind, Replaced, RestoreOptions, Warning, settle_directories,
};

/// A backup of a few files, restored once.
struct Restored {
    place: Place,
    snapshot: ObjectId,
    target: PathBuf,
}

impl Restored {
    fn new() -> Self {
        let place = Place::new();
        for path in ["a/one", "a/two", "a/deep/three", "b/four"] {
            place.write(path, format!("content of {path}"));
        }
        fs::hard_link(place.at("a/one"), place.at("b/one-again")).unwrap();
        symlink("a/one", place.at("link")).unwrap();
        let snapshot = place.backup().report.snapshot;
        let target = place.target("target");
        let restored = Self { place, snapshot, target };
        assert_eq!(restored.again(Overwrite::Never).outcome, Outcome::Restored);
        restored
    }

    fn options(&self, overwrite: Overwrite) -> RestoreOptions {
        RestoreOptions { overwrite, ..RestoreOptions::into_target(&self.target) }
    }

    fn again(&self, overwrite: Overwrite) -> strongroom_worker::restore::RestoreReport {
        self.place.restore(self.snapshot, self.options(overwrite))
    }

    fn at(&self, path: &str) -> PathBuf {
        self.target.join("data").join(path)
    }

    fn assert_same(&self) {
        assert_same(&self.place.data(), &self.target.join("data"));
    }
}

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().unwrap().ino()
}

#[test]
fn never_touches_nothing_that_exists() {
    let restored = Restored::new();
    fs::write(restored.at("a/one"), "own").unwrap();
    fs::remove_file(restored.at("a/deep/three")).unwrap();
    fs::set_permissions(restored.at("a"), fs::Permissions::from_mode(0o700)).unwrap();
    let before = inode(&restored.at("a/two"));
    let plan = restored.place.plan_restore(restored.snapshot, restored.options(Overwrite::Never)).unwrap().summary;
    assert_eq!((plan.files, plan.kept, plan.replaced, plan.bytes), (1, 5, 0, 23));
    assert!(plan.kept_paths.contains(&"data/a/one".to_owned()));
    let report = restored.again(Overwrite::Never);
    assert_eq!((report.outcome, report.counts.files, report.counts.kept), (Outcome::Restored, 1, 5));
    assert_eq!(fs::read_to_string(restored.at("a/one")).unwrap(), "own");
    assert_eq!(fs::read_to_string(restored.at("a/deep/three")).unwrap(), "content of a/deep/three");
    assert_eq!(fs::metadata(restored.at("a")).unwrap().mode() & 0o777, 0o700);
    assert_eq!(inode(&restored.at("a/two")), before);
}

#[test]
fn changed_replaces_what_differs_and_nothing_else() {
    let restored = Restored::new();
    let report = restored.again(Overwrite::Changed);
    assert_eq!((report.counts.replaced, report.counts.unchanged, report.fetched_bytes), (0, 6, 0));
    let before = inode(&restored.at("b/four"));
    // The same length and time, other bytes; other mode; gone; a link that leads elsewhere.
    let time = fs::metadata(restored.at("a/two")).unwrap().modified().unwrap();
    fs::write(restored.at("a/two"), "Content of a/two").unwrap();
    fs::File::open(restored.at("a/two")).unwrap().set_modified(time).unwrap();
    fs::set_permissions(restored.at("a/deep/three"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(restored.at("link")).unwrap();
    symlink("b", restored.at("link")).unwrap();
    fs::set_permissions(restored.at("b"), fs::Permissions::from_mode(0o700)).unwrap();
    let plan = restored.place.plan_restore(restored.snapshot, restored.options(Overwrite::Changed)).unwrap().summary;
    assert_eq!((plan.replaced, plan.unchanged, plan.files, plan.others), (3, 3, 2, 1));
    assert_eq!(plan.replaced_paths, ["data/link", "data/a/two", "data/a/deep/three"]);
    let report = restored.again(Overwrite::Changed);
    assert_eq!((report.outcome, report.counts.replaced, report.counts.unchanged), (Outcome::Restored, 3, 3));
    assert_eq!(report.verification.verified_files, 2);
    assert_eq!(inode(&restored.at("b/four")), before);
    restored.assert_same();
}

#[test]
fn names_that_are_no_longer_one_file_become_one_again() {
    let restored = Restored::new();
    let time = fs::metadata(restored.at("a/one")).unwrap().modified().unwrap();
    fs::remove_file(restored.at("b/one-again")).unwrap();
    fs::copy(restored.at("a/one"), restored.at("b/one-again")).unwrap();
    fs::File::open(restored.at("b/one-again")).unwrap().set_modified(time).unwrap();
    let report = restored.again(Overwrite::Changed);
    assert_eq!((report.outcome, report.counts.replaced, report.counts.hard_links), (Outcome::Restored, 2, 1));
    restored.assert_same();
}

#[test]
fn always_replaces_everything() {
    let restored = Restored::new();
    let before = inode(&restored.at("a/two"));
    let report = restored.again(Overwrite::Always);
    assert_eq!((report.outcome, report.counts.replaced, report.counts.unchanged), (Outcome::Restored, 6, 0));
    assert_ne!(inode(&restored.at("a/two")), before);
    restored.assert_same();
}

#[test]
fn what_is_replaced_can_be_set_aside() {
    let restored = Restored::new();
    fs::write(restored.at("a/one"), "precious").unwrap();
    fs::remove_file(restored.at("a/two")).unwrap();
    fs::create_dir(restored.at("a/two")).unwrap();
    fs::write(restored.at("a/two/inside"), "precious too").unwrap();
    let refused = restored.place.plan_restore(restored.snapshot, restored.options(Overwrite::Changed)).unwrap().summary;
    assert!(
        matches!(&refused.warnings[..], [Warning::Conflicts(notes)] if notes[0].path == "data/a/two"),
        "{:?}",
        refused.warnings
    );
    let report = restored.again(Overwrite::Changed);
    assert_eq!(report.outcome, Outcome::Partial);
    assert_eq!((report.problems[0].path.as_str(), report.problems[0].kind), ("data/a/two", ProblemKind::Conflict));
    assert_eq!(fs::read_to_string(restored.at("a/two/inside")).unwrap(), "precious too");
    fs::write(restored.at("a/one"), "precious").unwrap();
    let options = RestoreOptions { replaced: Replaced::SetAside, ..restored.options(Overwrite::Changed) };
    let report = restored.place.restore(restored.snapshot, options);
    assert_eq!(report.outcome, Outcome::Restored, "{:?}", report.problems);
    let aside = restored.target.join(report.set_aside.unwrap()).join("data/a");
    assert_eq!(fs::read_to_string(aside.join("one")).unwrap(), "precious");
    assert_eq!(fs::read_to_string(aside.join("two/inside")).unwrap(), "precious too");
    restored.assert_same();
}

#[test]
fn what_a_process_writes_to_is_not_replaced_under_it() {
    let restored = Restored::new();
    fs::write(restored.at("a/deep/three"), "going on").unwrap();
    fs::write(restored.at("a/two"), "at rest").unwrap();
    let log = fs::File::options().append(true).open(restored.at("a/deep/three")).unwrap();
    let mut writer = std::process::Command::new("sleep").arg("60").stdout(log).spawn().unwrap();
    let report = restored.again(Overwrite::Always);
    writer.kill().unwrap();
    writer.wait().unwrap();
    let [problem] = &report.problems[..] else { panic!("{:?}", report.problems) };
    assert_eq!((report.outcome, problem.path.as_str()), (Outcome::Partial, "data/a/deep/three"));
    assert!(problem.kind == ProblemKind::Conflict && problem.error.contains("sleep (process"), "{problem:?}");
    assert_eq!(fs::read_to_string(restored.at("a/deep/three")).unwrap(), "going on");
    assert_eq!(restored.again(Overwrite::Changed).outcome, Outcome::Restored);
    restored.assert_same();
}

#[test]
fn a_link_where_a_directory_belongs_leads_nowhere() {
    for (overwrite, outcome) in [
        (Overwrite::Never, Outcome::Restored),
        (Overwrite::Changed, Outcome::Restored),
        (Overwrite::Always, Outcome::Restored),
    ] {
        let restored = Restored::new();
        let outside = restored.place.target("outside");
        fs::rename(restored.at("a"), &outside).unwrap();
        fs::write(outside.join("one"), "outside").unwrap();
        fs::remove_dir_all(outside.join("deep")).unwrap();
        symlink(&outside, restored.at("a")).unwrap();
        let report = restored.again(overwrite);
        assert_eq!(report.outcome, outcome);
        assert_eq!(fs::read_to_string(outside.join("one")).unwrap(), "outside", "{overwrite:?}");
        assert_eq!(listing(&outside), ["one", "two"], "{overwrite:?}");
        match overwrite {
            Overwrite::Never => assert!(restored.at("a").is_symlink()),
            _ => restored.assert_same(),
        }
    }
}

#[test]
fn a_link_that_appears_during_the_restore_leads_nowhere() {
    let restored = Restored::new();
    let outside = restored.place.target("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir_all(restored.at("a")).unwrap();
    let (link, elsewhere) = (restored.at("a"), outside.clone());
    let listen = move |event: &strongroom_worker::restore::RestoreEvent| {
        if *event == strongroom_worker::restore::RestoreEvent::Placing {
            symlink(&elsewhere, &link).unwrap();
        }
    };
    let report = restored.place.try_restore(restored.snapshot, restored.options(Overwrite::Never), listen).unwrap();
    assert_eq!(report.outcome, Outcome::Partial);
    assert_eq!((report.problems[0].path.as_str(), report.problems[0].kind), ("data/a", ProblemKind::Conflict));
    assert!(report.staging.is_some(), "what could not be put in place is kept");
    assert_eq!(listing(&outside), [""; 0]);
}

#[test]
fn directories_that_were_asked_for_get_their_metadata_again_and_those_above_keep_theirs() {
    let restored = Restored::new();
    let mode = |path: &str| restored.at(path).metadata().unwrap().permissions().mode() & 0o7777;
    let settle = |paths: &[&str]| {
        let paths = paths.iter().map(|path| format!("data/{path}").into_bytes()).collect();
        let options = RestoreOptions { paths, ..restored.options(Overwrite::Changed) };
        settle_directories(&restored.place.plan_restore(restored.snapshot, options).unwrap()).unwrap()
    };
    let change = || {
        for path in ["", "a", "a/deep", "b"] {
            fs::set_permissions(restored.at(path), fs::Permissions::from_mode(0o700)).unwrap();
            fs::File::open(restored.at(path)).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        }
    };
    change();
    assert_eq!(settle(&["a"]), [""; 0]);
    let usual = restored.place.at("a").metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(["", "a", "a/deep", "b"].map(mode), [0o700, usual, usual, 0o700]);
    assert_eq!(restored.at("b").metadata().unwrap().mtime(), 0);
    // Files are not what this is about.
    fs::write(restored.at("a/one"), "changed").unwrap();
    change();
    assert_eq!(settle(&[]), [""; 0]);
    assert_eq!(fs::read_to_string(restored.at("a/one")).unwrap(), "changed");
    fs::copy(restored.place.at("a/one"), restored.at("a/one")).unwrap();
    let modified = restored.place.at("a/one").metadata().unwrap().modified().unwrap();
    fs::File::open(restored.at("a/one")).unwrap().set_modified(modified).unwrap();
    assert_eq!(settle(&[]), [""; 0]);
    restored.assert_same();
}
