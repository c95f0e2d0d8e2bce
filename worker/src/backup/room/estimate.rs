//! What is new or changed, from metadata alone.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_repository::{Index, Repository};

use super::super::BackupError;
use super::super::run::Files;
use super::sample;
use crate::filesystem::{Root, Stat};
use crate::state::State;
use crate::walk::{Contents, Territory, Walk};

/// Files from this size on are remembered one by one: they hold nearly all bytes of any source that may not fit.
const LARGE_BYTES: u64 = 1 << 20;
/// So many of them; a million more would need their own room.
const LARGE_MAX: usize = 20_000;
/// So many small ones stand for all of them.
const SMALL_SAMPLED: usize = 32;

/// A file that will be read.
#[derive(Debug, Clone)]
pub(super) struct NewFile {
    /// Relative to the root.
    pub(super) path: Vec<u8>,
    /// Bytes that are allocated, and not more than it is long.
    pub(super) bytes: u64,
    pub(super) size: u64,
}

/// All files that will be read.
#[derive(Debug, Default)]
pub(super) struct New {
    large: Vec<NewFile>,
    /// Bytes of large files that are beyond the bound.
    large_beyond_bytes: u64,
    small: Vec<NewFile>,
    small_files: u64,
    small_bytes: u64,
    /// Files of several names, which are stored once.
    linked: HashSet<(u32, u64)>,
}

/// Walks the sources. Paths that cannot be looked at count for nothing here; the backup tells of them.
pub(super) fn look(files: &Files, state: Option<&State>, stop: &AtomicBool) -> Result<New, BackupError> {
    let territory = Territory { root: &files.root, sources: &files.sources, filter: &files.filter, state };
    let walk = Walk::new(territory);
    let mut new = New::default();
    std::thread::scope(|scope| {
        let mut consumer = walk.consumer();
        (0..files.threads).for_each(|_| drop(scope.spawn(|| walk.work())));
        while let Some(listing) = consumer.next_listing()? {
            if stop.load(Ordering::Relaxed) {
                return Err(BackupError::Stopped);
            }
            let Contents::Listed(nodes) = &listing.contents else { continue };
            for (name, node) in nodes.iter().filter(|(_, node)| node.unchanged.is_none()) {
                new.add(&listing.directory, name, &node.stat);
            }
        }
        Ok(new)
    })
}

impl New {
    fn add(&mut self, directory: &[u8], name: &[u8], stat: &Stat) {
        let bytes = stat.content_bytes().min(stat.allocated_bytes());
        if bytes == 0 || (stat.links > 1 && !self.linked.insert((stat.device, stat.inode))) {
            return;
        }
        let file =
            || NewFile { path: strongroom_repository::tree::order::join(directory, name), bytes, size: stat.size };
        if bytes >= LARGE_BYTES {
            match self.large.len() < LARGE_MAX {
                true => self.large.push(file()),
                false => self.large_beyond_bytes += bytes,
            }
            return;
        }
        self.small_files += 1;
        self.small_bytes += bytes;
        // A reservoir whose dice are the file's own number: the same source gives the same sample.
        let at = (scrambled(self.small_files) % self.small_files) as usize;
        match self.small.len() < SMALL_SAMPLED {
            true => self.small.push(file()),
            false if at < SMALL_SAMPLED => self.small[at] = file(),
            false => {}
        }
    }

    /// What it is at most, before anything is compressed or known.
    pub(super) fn bytes(&self) -> u64 {
        self.large.iter().map(|file| file.bytes).sum::<u64>() + self.large_beyond_bytes + self.small_bytes
    }

    /// What of it will be stored at least.
    pub(super) fn needed(&self, root: &Root, repository: &Repository, index: &Index) -> u64 {
        let once = self.large_once(root);
        let large_bytes: u64 = once.iter().map(|file| file.bytes).sum::<u64>() + self.large_beyond_bytes;
        let large = sample::part_stored(&sample::spread(&once), root, repository, index);
        let small = sample::part_stored(&self.small.iter().collect::<Vec<_>>(), root, repository, index);
        (large_bytes as f64 * large + self.small_bytes as f64 * small) as u64
    }

    /// The large files, each content once as far as their ends tell.
    fn large_once(&self, root: &Root) -> Vec<&NewFile> {
        let mut sizes: HashMap<u64, u32> = HashMap::new();
        self.large.iter().for_each(|file| *sizes.entry(file.size).or_default() += 1);
        let mut seen = HashSet::new();
        let is_first = |file: &&NewFile| sizes[&file.size] == 1 || seen.insert((file.size, sample::ends(root, file)));
        self.large.iter().filter(is_first).collect()
    }
}

/// SplitMix64.
fn scrambled(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
