//! What a drill restores of a restore point that is larger than its sample, and how far the drills have come: pure, with time and seed handed in.
//!
//! A file waits since a drill restored it last, or since a drill saw it first. Those that no drill has restored come first, then those that wait longest; among those that
//! wait equally long, a draw with a seed decides, in which large files and those that changed of late come sooner ([`choice`]). What was restored when is kept as one small
//! file for each plan and host ([`memory`]): it can be lost without harm, the drills then begin anew.
//!
//! What counts as restored is content, by its hash: a file that was changed since is not, one that was only moved is. Content that several files have is restored once.

pub mod choice;
pub mod memory;
pub mod promised;

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A regular file of a restore point. There may be millions, so it is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub path: PathKey,
    /// What is in it.
    pub content: Content,
    /// How much is stored of it.
    pub bytes: u64,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
    /// Whether every drill restores it.
    pub always: bool,
}

/// The beginning of a path's hash. Two paths that have the same would be taken for one that is moved to and fro: that is told by nothing, and costs little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathKey(pub [u8; 8]);

/// The beginning of the hash that was taken at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content(pub [u8; 16]);

impl PathKey {
    /// Of a path as reports write it.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let mut key = [0; 8];
        blake3::Hasher::new().update(path.as_bytes()).finalize_xof().fill(&mut key);
        Self(key)
    }
}

impl Content {
    /// Of a whole hash.
    #[must_use]
    pub fn of(hash: &[u8; 32]) -> Self {
        let mut beginning = [0; 16];
        beginning.copy_from_slice(&hash[..16]);
        Self(beginning)
    }
}

/// What a drill restored of a restore point, and how far the drills had come with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sampled {
    /// The seed of the draw.
    pub seed: u32,
    /// Files of different content that came back equal.
    pub files: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// What this and the drills before it have restored.
    pub coverage: Coverage,
}

/// How much of a restore point drills have restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Coverage {
    /// Files of different content in the restore point.
    pub files: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Those of them that were restored within the time of the promise; at any time, where nothing is promised.
    pub restored_files: u64,
    /// Their stored bytes.
    pub restored_bytes: u64,
    /// Since when the one waits that waits longest: since it was restored, or since a drill saw it first.
    pub oldest: Timestamp,
}

impl Sampled {
    /// Whether everything was restored after all.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        (self.files, self.bytes) == (self.coverage.files, self.coverage.bytes)
    }

    /// A level of proof, with how much of the restore point it is true of.
    #[must_use]
    pub fn qualify(&self, level: &str) -> String {
        match self.is_whole() {
            true => level.to_owned(),
            false => format!("{level}, {} of the bytes", percent(self.bytes, self.coverage.bytes)),
        }
    }
}

impl Coverage {
    /// Whether everything was restored within such a time, as seen at an instant.
    #[must_use]
    pub fn keeps(&self, promise: SignedDuration, now: Timestamp) -> bool {
        now.duration_since(self.oldest) <= promise
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, files) = (percent(self.restored_bytes, self.bytes), percent(self.restored_files, self.files));
        write!(out, "{bytes} of the bytes, {files} of the files")
    }
}

/// Rounded down: all of it is 100 %, and nothing less is.
fn percent(part: u64, whole: u64) -> String {
    let share = u128::from(part) * 100 / u128::from(whole.max(1));
    match (share, part) {
        _ if part >= whole => "100 %".into(),
        (0, 1..) => "less than 1 %".into(),
        _ => format!("{share} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(bytes: u64, of: u64) -> Sampled {
        let coverage = Coverage {
            files: of,
            bytes: of,
            restored_files: bytes,
            restored_bytes: bytes,
            oldest: Timestamp::UNIX_EPOCH,
        };
        Sampled { seed: 1, files: bytes, bytes, coverage }
    }

    #[test]
    fn the_level_says_of_how_much_it_is_true() {
        assert_eq!(sampled(12, 97).qualify("L3"), "L3, 12 % of the bytes");
        assert_eq!(sampled(1, 1000).qualify("L3"), "L3, less than 1 % of the bytes");
        assert_eq!(sampled(999, 1000).qualify("L3"), "L3, 99 % of the bytes");
        assert_eq!([sampled(7, 7).qualify("L3"), sampled(0, 0).qualify("L3")], ["L3", "L3"]);
    }

    #[test]
    fn a_promise_is_kept_to_its_last_second() {
        let coverage = sampled(1, 2).coverage;
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert!(coverage.keeps(SignedDuration::from_secs(10), at(10)));
        assert!(!coverage.keeps(SignedDuration::from_secs(10), at(11)));
        assert_eq!(coverage.to_string(), "50 % of the bytes, 50 % of the files");
    }
}
