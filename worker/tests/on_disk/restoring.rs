//! Restores in tests, and a comparison of trees that uses none of our code.

pub(crate) mod disk;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustix::fs::{SeekFrom, seek};
use strongroom_repository::ObjectId;
use strongroom_worker::progress::Progress;
use strongroom_worker::restore::{
    self, Listener, RestoreError, RestoreEvent, RestoreOptions, RestorePlan, RestoreReport,
};

use crate::common::Place;

impl Place {
    /// A directory of this name beside the data, for restores.
    pub(crate) fn target(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn plan_restore(
        &self,
        snapshot: ObjectId,
        options: RestoreOptions,
    ) -> Result<RestorePlan, RestoreError> {
        let repository = self.open();
        self.block_on(async {
            let snapshot = repository.snapshot(snapshot).await.unwrap();
            restore::plan(&repository, &snapshot, options).await
        })
    }

    pub(crate) fn try_restore(
        &self,
        snapshot: ObjectId,
        options: RestoreOptions,
        listen: impl Fn(&RestoreEvent) + Send + Sync + 'static,
    ) -> Result<RestoreReport, RestoreError> {
        let plan = self.plan_restore(snapshot, options)?;
        self.block_on(restore::run(plan, Arc::new(Progress::default()), Listener::new(listen)))
    }

    pub(crate) fn restore(&self, snapshot: ObjectId, options: RestoreOptions) -> RestoreReport {
        self.try_restore(snapshot, options, |_| {}).unwrap()
    }
}

/// Fails unless two directories hold the same, by rsync's judgement and then by flags and holes.
pub(crate) fn assert_same(left: &Path, right: &Path) {
    assert_eq!(rsync(left, right), "", "{} and {}", left.display(), right.display());
    assert_eq!(flags(left), flags(right));
    assert_eq!(hole_maps(left), hole_maps(right));
    assert_eq!(times(left), times(right));
}

/// What rsync would do to make `right` like `left`.
pub(crate) fn rsync(left: &Path, right: &Path) -> String {
    let mut command = Command::new("rsync");
    command.args(["-aHAXnc", "--delete", "--numeric-ids", "--itemize-changes"]);
    let output = command.arg(left.join("")).arg(right.join("")).output().expect("rsync is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The top itself is the target's own.
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().filter(|line| !line.ends_with(" ./")).collect::<Vec<_>>().join("\n")
}

/// What `lsattr` says, without what the file system sets by itself.
fn flags(top: &Path) -> Vec<String> {
    let output =
        Command::new("lsattr").args(["-R", "-a", "-p", "."]).current_dir(top).output().expect("lsattr is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let own =
        |line: &str| match line.trim().split_once(' ').map(|(project, rest)| (project, rest.trim().split_once(' '))) {
            Some((project, Some((flags, path)))) => format!("{project} {} {path}", flags.replace(['e', 'I'], "-")),
            _ => line.to_owned(),
        };
    let mut lines: Vec<String> =
        text.lines().map(own).filter(|line| !line.ends_with(" ./.") && !line.ends_with("/..")).collect();
    lines.sort();
    lines
}

fn each(top: &Path, directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        found.push(entry.path().strip_prefix(top).unwrap().to_owned());
        if entry.file_type().unwrap().is_dir() {
            each(top, &entry.path(), found);
        }
    }
}

fn all(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    each(top, top, &mut found);
    found
}

/// Runs of data of every file, where there are holes.
fn hole_maps(top: &Path) -> BTreeMap<PathBuf, Vec<(u64, u64)>> {
    let files = all(top).into_iter().filter(|path| top.join(path).symlink_metadata().unwrap().is_file());
    files.map(|path| (path.clone(), hole_map(&top.join(&path)))).collect()
}

fn hole_map(path: &Path) -> Vec<(u64, u64)> {
    let file = std::fs::File::open(path).unwrap();
    let (mut runs, mut at) = (Vec::new(), 0);
    while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
        at = seek(&file, SeekFrom::Hole(start)).unwrap();
        runs.push((start, at));
    }
    runs
}

/// Times to the nanosecond: rsync looks at seconds only, when the other side knows no better.
fn times(top: &Path) -> BTreeMap<PathBuf, (i64, i64)> {
    let time = |path: PathBuf| {
        let metadata = top.join(&path).symlink_metadata().unwrap();
        (path, (metadata.mtime(), metadata.mtime_nsec()))
    };
    all(top).into_iter().map(time).collect()
}

/// Names in a directory, sorted.
pub(crate) fn listing(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
