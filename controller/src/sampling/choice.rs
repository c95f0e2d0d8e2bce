//! Which files a drill restores.
//!
//! The first in the order is always taken, also where it is larger than the sample: then alone. After it, each that still fits. So nothing starves: whatever
//! waits comes to the front, and two drills in a row restore more than one sample as long as there is something that fits into one.

use std::collections::HashSet;

use super::Candidate;
use super::memory::Memory;

/// What a choice is made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How much is restored, beside what always is.
    pub sample_bytes: u64,
    /// Decides among files that wait equally long.
    pub seed: u32,
    /// Now, in seconds since 1970.
    pub now: i64,
}

/// What was changed since counts as changed of late: a loss of it hurts most, and what wrote it last may be broken.
const OF_LATE_SECONDS: i64 = 30 * 24 * 60 * 60;

/// The files to restore, by their places in the list, in its order.
#[must_use]
pub fn choose(candidates: &[Candidate], memory: &Memory, terms: Terms) -> Vec<usize> {
    let mut chosen: Vec<usize> = (0..candidates.len()).filter(|at| candidates[*at].always).collect();
    let mut taken: HashSet<_> = chosen.iter().map(|at| candidates[*at].content).collect();
    let mut left = terms.sample_bytes;
    let mut is_first = true;
    for at in in_order(candidates, memory, terms) {
        let Candidate { content, bytes, .. } = candidates[at];
        if taken.contains(&content) || (bytes > left && !is_first) {
            continue;
        }
        taken.insert(content);
        chosen.push(at);
        left = left.saturating_sub(bytes);
        is_first = false;
    }
    chosen.sort_unstable();
    chosen
}

/// Those that are not always restored: never restored first, then by how long they wait, then as drawn.
fn in_order(candidates: &[Candidate], memory: &Memory, terms: Terms) -> Vec<usize> {
    let rest = candidates.iter().enumerate().filter(|(_, candidate)| !candidate.always);
    let mut rest: Vec<(Option<i64>, f64, usize)> =
        rest.map(|(at, candidate)| (memory.last(candidate), draw(candidate, terms), at)).collect();
    rest.sort_unstable_by(|left, right| (left.0.cmp(&right.0)).then(left.1.total_cmp(&right.1)));
    rest.into_iter().map(|(_, _, at)| at).collect()
}

/// The smaller, the sooner. An exponential draw, so that a file of twice the weight comes before another one twice as often as the other way round.
fn draw(candidate: &Candidate, terms: Terms) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&terms.seed.to_le_bytes()).update(&candidate.path.0).update(&candidate.content.0);
    let mut drawn = [0; 4];
    hasher.finalize_xof().fill(&mut drawn);
    // Above zero and at most one.
    let uniform = (f64::from(u32::from_le_bytes(drawn)) + 1.0) / (f64::from(u32::MAX) + 1.0);
    -uniform.ln() / weight(candidate, terms.now)
}

/// One for an empty file, 31 for one of a GiB; twice that for what was changed of late.
fn weight(candidate: &Candidate, now: i64) -> f64 {
    let of_size = f64::from(u64::BITS - candidate.bytes.leading_zeros()) + 1.0;
    let is_new = now.saturating_sub(candidate.modified) < OF_LATE_SECONDS;
    if is_new { of_size * 2.0 } else { of_size }
}

#[cfg(test)]
mod tests {
    use super::super::{Content, PathKey};
    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn file(name: u64, bytes: u64) -> Candidate {
        let path = PathKey(name.to_le_bytes());
        let mut content = [0; 16];
        content[..8].copy_from_slice(&name.to_le_bytes());
        Candidate { path, content: Content(content), bytes, modified: 0, always: false }
    }

    fn terms(sample_bytes: u64, seed: u32) -> Terms {
        Terms { sample_bytes, seed, now: 1000 * DAY + i64::from(seed) * DAY }
    }

    /// So many drills in a row: the places that each restored.
    fn drills(candidates: &[Candidate], sample_bytes: u64, count: u32) -> Vec<Vec<usize>> {
        let mut memory = Memory::default();
        let drill = |seed| {
            let terms = terms(sample_bytes, seed);
            let chosen = choose(candidates, &memory, terms);
            memory = memory.after(candidates, chosen.iter().map(|at| candidates[*at].content), terms.now);
            chosen
        };
        (0..count).map(drill).collect()
    }

    /// Files of many sizes, the first of them larger than any sample below.
    fn many() -> Vec<Candidate> {
        let sizes = (1..200).map(|name: u64| name * name % 97 + 1);
        std::iter::once(5000).chain(sizes).enumerate().map(|(name, bytes)| file(name as u64, bytes)).collect()
    }

    #[test]
    fn everything_is_restored_in_as_many_drills_as_two_for_each_sample_and_one_for_each_larger_file() {
        let candidates = many();
        let small: u64 = candidates.iter().map(|file| file.bytes).filter(|bytes| *bytes <= 1000).sum();
        let bound = u32::try_from(small.div_ceil(1000) * 2 + 2).unwrap();
        let drills = drills(&candidates, 1000, bound);
        let restored: HashSet<usize> = drills.iter().flatten().copied().collect();
        assert_eq!(restored.len(), candidates.len(), "in {bound} drills");
        // None is larger than the sample, but for the one that holds the larger file, and that alone.
        for drill in &drills {
            let bytes: u64 = drill.iter().map(|at| candidates[*at].bytes).sum();
            assert!(bytes <= 1000 || drill == &[0], "{bytes} bytes by {drill:?}");
        }
    }

    #[test]
    fn no_file_waits_longer_than_two_rounds() {
        let candidates = many();
        let drills = drills(&candidates, 1000, 100);
        for at in 0..candidates.len() {
            let when: Vec<usize> = (0..drills.len()).filter(|drill| drills[*drill].contains(&at)).collect();
            let longest = when.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(drills.len());
            assert!(longest <= 40, "the file {at} waits for {longest} drills");
        }
    }

    #[test]
    fn what_is_never_restored_comes_before_what_was_and_the_longest_waiting_after_it() {
        let candidates: Vec<Candidate> = (0..4).map(|name| file(name, 10)).collect();
        let contents = |range: std::ops::Range<usize>| candidates[range].iter().map(|file| file.content);
        let memory = Memory::default().after(&candidates[..3], contents(0..2), 1);
        let memory = memory.after(&candidates[..3], contents(0..1), 2);
        // 2 and 3 were never restored, 1 before 0.
        let chosen = |bytes| choose(&candidates, &memory, terms(bytes, 7));
        assert_eq!([chosen(20), chosen(30), chosen(40)], [vec![2, 3], vec![1, 2, 3], vec![0, 1, 2, 3]]);
        // However small the sample, one is taken.
        assert_eq!(chosen(1).len(), 1);
    }

    #[test]
    fn what_is_always_in_it_takes_nothing_from_the_rest() {
        let mut candidates: Vec<Candidate> = (0..4).map(|name| file(name, 10)).collect();
        candidates[3] = Candidate { always: true, bytes: 1000, ..candidates[3] };
        for drill in drills(&candidates, 10, 9) {
            assert!(drill.len() == 2 && drill.contains(&3), "{drill:?}");
        }
    }

    #[test]
    fn content_that_several_files_have_is_restored_once() {
        let one = file(0, 10);
        let twin = Candidate { path: PathKey([9; 8]), ..one };
        let candidates = [one, twin, file(1, 10)];
        assert_eq!(drills(&candidates, 20, 1)[0].len(), 2);
        assert!(drills(&candidates, 20, 1)[0].contains(&2));
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_one_another() {
        let candidates = many();
        let first = |seed| choose(&candidates, &Memory::default(), terms(1000, seed));
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn large_ones_and_those_changed_of_late_come_sooner() {
        let now = terms(0, 0).now;
        let (small, large) = (file(0, 10), file(1, 1 << 30));
        let new = Candidate { modified: now - DAY, ..small };
        assert!(weight(&small, now) < weight(&new, now) && weight(&new, now) < weight(&large, now));
        let sooner = (0..1000).filter(|seed| draw(&large, terms(0, *seed)) < draw(&small, terms(0, *seed))).count();
        // 32 to 5.
        assert!((820..910).contains(&sooner), "{sooner}");
    }
}
