//! What drills of a plan on a host have restored, and when: as it is kept between them.
//!
//! The file: eight bytes that say what it is, for each file of the newest restore point that was drilled 40 bytes in the order of their path keys (path key, content restored last,
//! seconds of that or zero, seconds of the drill that saw the path first; numbers little-endian), and the BLAKE3 of all that.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{Candidate, Content, Coverage, PathKey};

/// What drills have restored. Empty before the first one, or after it was lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// By path.
    files: Vec<Known>,
    /// What was restored, and when last, by content.
    contents: Vec<(Content, i64)>,
}

/// What is known of a path. Times are seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    path: PathKey,
    /// The content that was restored last, and when. The file may have another one since.
    restored: Option<(Content, i64)>,
    first_seen: i64,
}

const MAGIC: &[u8; 8] = b"SRDRILL1";
const KNOWN_BYTES: usize = 40;
const HASH_BYTES: usize = 32;

impl Memory {
    /// When a drill restored a file last, with whatever content; never if none.
    pub(super) fn last(&self, file: &Candidate) -> Option<i64> {
        self.proven(file.content).or_else(|| self.known(file.path)?.restored.map(|(_, at)| at))
    }

    /// After a drill that found all of these files, and restored some of their contents.
    #[must_use]
    pub fn after(&self, found: &[Candidate], restored: impl IntoIterator<Item = Content>, now: i64) -> Self {
        let restored: HashSet<Content> = restored.into_iter().collect();
        let known = |file: &Candidate| {
            let before = self.known(file.path);
            let last = match restored.contains(&file.content) {
                true => Some((file.content, now)),
                false => {
                    self.proven(file.content).map(|at| (file.content, at)).or(before.and_then(|known| known.restored))
                }
            };
            Known { path: file.path, restored: last, first_seen: before.map_or(now, |known| known.first_seen) }
        };
        Self::of(found.iter().map(known).collect())
    }

    /// How much of these files was restored since such a time.
    #[must_use]
    pub fn coverage(&self, files: &[Candidate], promise: Option<SignedDuration>, now: i64) -> Coverage {
        let since = promise.map_or(i64::MIN, |promise| now.saturating_sub(promise.as_secs()));
        let waits = |file: &Candidate| {
            let seen = self.known(file.path).map_or(now, |known| known.first_seen);
            self.last(file).unwrap_or(seen)
        };
        let oldest = files.iter().map(waits).min().unwrap_or(now);
        let oldest = Timestamp::from_second(oldest).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut coverage = Coverage { files: 0, bytes: 0, restored_files: 0, restored_bytes: 0, oldest };
        let mut counted = HashSet::with_capacity(files.len());
        for file in files.iter().filter(|file| counted.insert(file.content)) {
            coverage.files += 1;
            coverage.bytes += file.bytes;
            if self.proven(file.content).is_some_and(|at| at >= since) {
                coverage.restored_files += 1;
                coverage.restored_bytes += file.bytes;
            }
        }
        coverage
    }

    /// As it is kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAGIC.len() + self.files.len() * KNOWN_BYTES + HASH_BYTES);
        bytes.extend_from_slice(MAGIC);
        for Known { path, restored, first_seen } in &self.files {
            let (content, at) = restored.unwrap_or((Content([0; 16]), 0));
            bytes.extend_from_slice(&path.0);
            bytes.extend_from_slice(&content.0);
            bytes.extend_from_slice(&at.to_le_bytes());
            bytes.extend_from_slice(&first_seen.to_le_bytes());
        }
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        bytes
    }

    /// None if it is not what was kept.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (bytes, hash) = bytes.split_last_chunk::<HASH_BYTES>()?;
        let known = bytes.strip_prefix(MAGIC)?;
        let is_whole = known.len().is_multiple_of(KNOWN_BYTES) && blake3::hash(bytes) == *hash;
        is_whole
            .then(|| known.chunks_exact(KNOWN_BYTES).map(Known::decode).collect::<Option<Vec<_>>>().map(Self::of))?
    }

    fn of(mut files: Vec<Known>) -> Self {
        files.sort_unstable_by_key(|known| known.path);
        let mut contents: Vec<(Content, i64)> = files.iter().filter_map(|known| known.restored).collect();
        // The newest of each content stays.
        contents.sort_unstable_by_key(|(content, at)| (*content, std::cmp::Reverse(*at)));
        contents.dedup_by_key(|(content, _)| *content);
        Self { files, contents }
    }

    fn known(&self, path: PathKey) -> Option<&Known> {
        self.files.binary_search_by_key(&path, |known| known.path).ok().and_then(|at| self.files.get(at))
    }

    /// When exactly this content was restored.
    fn proven(&self, content: Content) -> Option<i64> {
        let at = self.contents.binary_search_by_key(&content, |(content, _)| *content).ok()?;
        self.contents.get(at).map(|(_, at)| *at)
    }
}

impl Known {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (path, bytes) = bytes.split_first_chunk::<8>()?;
        let (content, bytes) = bytes.split_first_chunk::<16>()?;
        let (at, bytes) = bytes.split_first_chunk::<8>()?;
        let (at, first_seen) = (i64::from_le_bytes(*at), i64::from_le_bytes(*bytes.first_chunk::<8>()?));
        let restored = (at != 0).then_some((Content(*content), at));
        Some(Self { path: PathKey(*path), restored, first_seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: u8, content: u8, bytes: u64) -> Candidate {
        Candidate { path: PathKey([path; 8]), content: Content([content; 16]), bytes, modified: 0, always: false }
    }

    fn contents(files: &[Candidate]) -> impl Iterator<Item = Content> {
        files.iter().map(|file| file.content)
    }

    /// Bytes restored of how many, and since when the oldest waits.
    fn check(memory: &Memory, files: &[Candidate], (promise, now): (Option<i64>, i64), expect: (u64, u64, i64)) {
        let coverage = memory.coverage(files, promise.map(SignedDuration::from_secs), now);
        assert_eq!((coverage.restored_bytes, coverage.bytes, coverage.oldest.as_second()), expect);
    }

    #[test]
    fn what_was_restored_counts_as_long_as_the_promise_says() {
        let files = [file(1, 1, 10), file(2, 2, 20)];
        let memory = Memory::default().after(&files, contents(&files[..1]), 100);
        check(&memory, &files, (None, 100), (10, 30, 100));
        let memory = memory.after(&files, contents(&files[1..]), 150);
        check(&memory, &files, (Some(50), 150), (30, 30, 100));
        check(&memory, &files, (Some(50), 151), (20, 30, 100));
        check(&memory, &files, (None, 151), (30, 30, 100));
    }

    #[test]
    fn a_changed_file_is_not_proven_and_waits_since_it_was() {
        let before = [file(1, 1, 10)];
        let memory = Memory::default().after(&before, contents(&before), 100);
        let changed = [file(1, 2, 10)];
        check(&memory, &changed, (None, 200), (0, 10, 100));
        assert_eq!(memory.last(&changed[0]), Some(100));
        // Also after drills that did not restore it.
        let memory = memory.after(&changed, [], 200);
        check(&memory, &changed, (None, 300), (0, 10, 100));
    }

    #[test]
    fn a_moved_file_is_proven_and_a_new_one_waits_since_it_was_seen() {
        let before = [file(1, 1, 10)];
        let memory = Memory::default().after(&before, contents(&before), 100);
        let (moved, new) = (file(2, 1, 10), file(3, 3, 30));
        check(&memory, &[moved, new], (None, 200), (10, 40, 100));
        let memory = memory.after(&[moved, new], [], 200);
        assert_eq!([memory.last(&moved), memory.last(&new)], [Some(100), None]);
        check(&memory, &[new], (None, 500), (0, 30, 200));
        // Of what is gone nothing is kept.
        check(&memory.after(&[new], [], 300), &[moved], (None, 400), (0, 10, 400));
    }

    #[test]
    fn it_comes_back_as_it_was_kept_or_not_at_all() {
        let files = [file(9, 1, 10), file(1, 2, 20)];
        let memory = Memory::default().after(&files, contents(&files[..1]), 100);
        let bytes = memory.encode();
        assert_eq!(Memory::decode(&bytes), Some(memory));
        assert_eq!(Memory::decode(&Memory::default().encode()), Some(Memory::default()));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Memory::decode(&damaged), None, "byte {at}");
            assert_eq!(Memory::decode(&bytes[..at]), None, "{at} bytes");
        }
    }
}
