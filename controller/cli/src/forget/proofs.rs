//! Which snapshots were proven by a restore, as the records of this machine's runs say.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use strongroom_controller::journal::Proven;
use strongroom_repository::{ObjectId, RepositoryId};

/// L3 and above is a verified restore.
const PROVEN: [&str; 3] = ["L3", "L4", "L5"];

/// The snapshots of the repository that a run on this machine has proven.
pub(crate) fn proven(state: &Path, repository: RepositoryId) -> HashSet<ObjectId> {
    proven_when(state, repository).into_keys().collect()
}

/// The same, with what was proven and when. A record that cannot be read proves nothing.
pub(crate) fn proven_when(state: &Path, repository: RepositoryId) -> HashMap<ObjectId, Proven> {
    let folders = entries(&state.join("runs"));
    let records = folders
        .iter()
        .flat_map(|folder| entries(folder))
        .filter(|path| path.extension().is_some_and(|end| end == "json"));
    records.flat_map(|record| fs::read(record).map(|text| of_record(&text, repository)).unwrap_or_default()).collect()
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}

fn of_record(text: &[u8], repository: RepositoryId) -> Vec<(ObjectId, Proven)> {
    let Ok(record) = serde_json::from_slice::<serde_json::Value>(text) else { return Vec::new() };
    let level = record["proof"].as_str().filter(|level| PROVEN.contains(level));
    let at = record["finished"].as_str().and_then(|at| at.parse().ok());
    let (Some(level), Some(at)) = (level, at) else { return Vec::new() };
    if record["repository"].as_str() != Some(&repository.hex()) {
        return Vec::new();
    }
    let steps = record["steps"].as_array().into_iter().flatten();
    let snapshots = steps.filter_map(|step| step["outcome"]["snapshot"].as_str()?.parse().ok());
    snapshots.map(|snapshot| (snapshot, Proven { level: level.to_owned(), at })).collect()
}
