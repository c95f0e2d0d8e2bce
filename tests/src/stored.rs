//! A repository in a folder, as files: all that a test that damages or counts objects needs to know of the format.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// The kinds of objects, by the first part of their name.
pub const KINDS: [&str; 10] =
    ["config", "keys", "packs", "pages", "parity", "index", "snapshots", "sessions", "commits", "hint"];

/// Every object of a repository: its name and its size. Unfinished ones, below `tmp`, are no objects.
pub fn objects(repository: &Path) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![repository.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.path().strip_prefix(repository)?.to_string_lossy().into_owned();
            match entry.file_type()? {
                kind if kind.is_dir() && name != "tmp" => folders.push(entry.path()),
                kind if kind.is_file() => drop(found.insert(name, entry.metadata()?.len())),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Names of the objects of one kind.
pub fn of_kind(repository: &Path, kind: &str) -> Result<Vec<String>> {
    let mut names: Vec<String> = objects(repository)?.into_keys().collect();
    names.retain(|name| name.split('/').next() == Some(kind));
    Ok(names)
}

/// How many objects of each kind there are.
pub fn census(repository: &Path) -> Result<BTreeMap<String, usize>> {
    let mut census = BTreeMap::new();
    for name in objects(repository)?.into_keys() {
        let kind = name.split('/').next().unwrap_or_default().to_owned();
        *census.entry(kind).or_default() += 1;
    }
    Ok(census)
}

/// What came between two countings.
#[must_use]
pub fn grown(before: &BTreeMap<String, usize>, after: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let more = after.iter().map(|(kind, count)| (kind.clone(), count - before.get(kind).copied().unwrap_or_default()));
    more.filter(|(_, count)| *count > 0).collect()
}

/// Turns one bit of an object over.
pub fn flip_bit(repository: &Path, name: &str, bit: u64) -> Result<()> {
    let path: PathBuf = repository.join(name);
    let mut bytes = fs::read(&path)?;
    bytes[usize::try_from(bit / 8)?] ^= 1 << (bit % 8);
    Ok(fs::write(&path, bytes)?)
}
