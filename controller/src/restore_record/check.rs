//! Whether a record still is what was signed. Offline: its files and the public key are enough.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::RestoreRecord;
use super::seal::{LINES, PublicRecordKey, RECORD, SIGNATURE, SUMS, lines};
use super::shelf::PUBLIC_KEY;
use crate::journal::Entry;

/// Lines of one file that are named.
const LINES_MAX: usize = 20;
/// Nothing of a record is longer: a journal's entry has up to a megabyte.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Something in a record that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fault {
    /// The file.
    pub file: String,
    /// Its line, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What is wrong.
    pub why: String,
}

/// What a record holds that is sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// The record.
    pub record: RestoreRecord,
    /// BLAKE3 of its list of hashes, as the journal has it.
    pub sums: String,
}

impl Fault {
    fn new(file: &str, line: Option<usize>, why: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, why: why.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "{}:{line}: {}", self.file, self.why),
            None => write!(out, "{}: {}", self.file, self.why),
        }
    }
}

/// Checks the record in a folder; all that is wrong with it, or what it holds. An error is one of reading.
pub fn check(folder: &Path, key: PublicRecordKey) -> io::Result<Result<Sound, Vec<Fault>>> {
    let files = read(folder)?;
    let file = |name: &str| files.get(name).map(Vec::as_slice).unwrap_or_default();
    let mut faults = Vec::new();
    let sums = file(SUMS);
    if !key.signed(sums, file(SIGNATURE)) {
        let why = format!(
            "the signature is not one of {SUMS} by the key {key}: one of the two was changed, or another key signed"
        );
        faults.push(Fault::new(SIGNATURE, None, why));
    }
    let listed = listed(sums, &mut faults);
    for (name, (line, hash)) in &listed {
        match files.get(name) {
            None => faults.push(Fault::new(SUMS, Some(*line), format!("{name} is listed, and is not there"))),
            Some(bytes) if blake3::hash(bytes).to_hex().as_str() != hash => {
                let found = match name.as_str() {
                    LINES if is_of_the_others(bytes, &listed, &files) => Vec::new(),
                    LINES => vec![Fault::new(name, None, "it was changed")],
                    _ => locate(name, bytes, file(LINES)),
                };
                if found.is_empty() {
                    // Every line is as it was: then it is the list that is not.
                    faults.push(Fault::new(SUMS, Some(*line), format!("it is not the hash of {name}")));
                }
                faults.extend(found);
            }
            Some(_) => {}
        }
    }
    // A record that was handed out brings the key.
    let is_known = |name: &str| listed.contains_key(name) || [SUMS, SIGNATURE, PUBLIC_KEY].contains(&name);
    for name in files.keys().filter(|name| !is_known(name)) {
        faults.push(Fault::new(name, None, "it does not belong to the record: it is not in the list of hashes"));
    }
    let record = understand(file(RECORD), &mut faults);
    Ok(match record.filter(|_| faults.is_empty()) {
        Some(record) => Ok(Sound { record, sums: blake3::hash(sums).to_hex().to_string() }),
        None => Err(faults),
    })
}

/// All files of the folder.
fn read(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let metadata = entry.metadata()?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("{name} is no file of a record")));
        }
        files.insert(name, fs::read(entry.path())?);
    }
    match files.contains_key(SUMS) {
        true => Ok(files),
        false => Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {SUMS} in it"))),
    }
}

/// The hashes in the list by name, each with its line.
type Listed = BTreeMap<String, (usize, String)>;

/// Reads the list.
fn listed(sums: &[u8], faults: &mut Vec<Fault>) -> Listed {
    let mut listed = BTreeMap::new();
    for (at, line) in String::from_utf8_lossy(sums).lines().enumerate() {
        match line.split_once("  ") {
            Some((hash, name)) => drop(listed.insert(name.to_owned(), (at + 1, hash.to_owned()))),
            None => faults.push(Fault::new(SUMS, Some(at + 1), "it is no hash and name")),
        }
    }
    for name in [RECORD, LINES].into_iter().filter(|name| !listed.contains_key(*name)) {
        faults.push(Fault::new(SUMS, None, format!("{name} is not in it")));
    }
    listed
}

/// Whether the hashes of lines are those of all other files, in the order of the list.
fn is_of_the_others(all: &[u8], listed: &Listed, files: &BTreeMap<String, Vec<u8>>) -> bool {
    let mut others: Vec<(&usize, &String)> = listed.iter().map(|(name, (line, _))| (line, name)).collect();
    others.sort();
    let others = others.into_iter().filter(|(_, name)| *name != LINES);
    let expected = others.filter_map(|(_, name)| Some(lines(name, files.get(name)?).collect::<String>()));
    expected.collect::<String>().as_bytes() == all
}

/// Where a file is not as it was, by the hashes of its lines.
fn locate(name: &str, bytes: &[u8], all: &[u8]) -> Vec<Fault> {
    let all = String::from_utf8_lossy(all);
    let of_file = |line: &&str| line.split_once(' ').is_some_and(|(_, place)| place.starts_with(&format!("{name}:")));
    let before: Vec<&str> = all.lines().filter(of_file).collect();
    let now: Vec<String> = lines(name, bytes).collect();
    let is_as_before = |at: usize| before.get(at).copied() == now.get(at).map(|line| line.trim_end());
    let changed = (0..before.len().max(now.len())).filter(|at| !is_as_before(*at)).take(LINES_MAX);
    let why = |at: usize| match (before.get(at), now.get(at)) {
        (Some(_), None) => "from here on it is missing",
        (None, _) => "from here on it was added",
        _ => "it was changed",
    };
    let mut faults: Vec<Fault> = changed.map(|at| Fault::new(name, Some(at + 1), why(at))).collect();
    // Of what is missing or added at the end, its begin is enough.
    let length = before.len().min(now.len()) + 1;
    faults.retain(|fault| fault.line.is_none_or(|line| line <= length));
    faults
}

/// Reads the record, whose entries must be what the journal's hashes were made over.
fn understand(json: &[u8], faults: &mut Vec<Fault>) -> Option<RestoreRecord> {
    let record: RestoreRecord = match serde_json::from_slice(json) {
        Ok(record) => record,
        Err(error) => {
            faults.push(Fault::new(RECORD, Some(error.line()), format!("it is no record: {error}")));
            return None;
        }
    };
    for evidence in &record.journal {
        if !Entry::hash_is(
            evidence.previous,
            evidence.number,
            &evidence.time.to_string(),
            &evidence.text,
            evidence.hash,
        ) {
            let why = format!("entry {} of the journal is not what its hash was made over", evidence.number);
            faults.push(Fault::new(RECORD, None, why));
        }
    }
    Some(record)
}
