//! Which packs go. Pure: the same packs and options give the same answer.

use super::PruneOptions;
use super::plan::Why;
use super::usage::PackUsage;
use crate::object::ObjectType;

/// Packs below this part of the target are small: each costs a request, and a restore from many of them is slow.
const SMALL_PART: u64 = 4;
/// So many small packs of a kind stay: joining them anew after each backup would move more than it gains.
const SMALL_PACKS_MAX: usize = 16;
/// A pack with less than this part unused is not worth moving.
const UNUSED_PART_MIN: u64 = 20;

/// A pack that goes, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Its position among the packs.
    pub(super) pack: usize,
    pub(super) why: Why,
}

/// Chooses among packs that are not condemned yet.
pub(super) fn choose(packs: &[PackUsage], pack_target: u64, options: &PruneOptions) -> Vec<Chosen> {
    let fresh = || packs.iter().enumerate().filter(|(_, usage)| usage.condemned.is_none());
    let mut chosen: Vec<Chosen> = fresh()
        .filter(|(_, usage)| usage.needed_bytes == 0)
        .map(|(pack, _)| Chosen { pack, why: Why::Unused })
        .collect();
    let used: Vec<(usize, &PackUsage)> = fresh().filter(|(_, usage)| usage.needed_bytes > 0).collect();
    let mut budget = options.moved_bytes_max.unwrap_or(u64::MAX);
    for (pack, why) in wasteful(&used, options.unused_percent_max).into_iter().chain(small(&used, pack_target)) {
        let moved = packs[pack].needed_bytes;
        if moved <= budget && !chosen.iter().any(|known| known.pack == pack) {
            budget -= moved;
            chosen.push(Chosen { pack, why });
        }
    }
    chosen
}

/// The most wasteful packs, until what is left unused is within bounds.
fn wasteful(used: &[(usize, &PackUsage)], unused_percent_max: u32) -> Vec<(usize, Why)> {
    let needed: u64 = used.iter().map(|(_, usage)| usage.needed_bytes).sum();
    let mut unused: u64 = used.iter().map(|(_, usage)| usage.unused_bytes()).sum();
    let bearable = needed / 100 * u64::from(unused_percent_max);
    let mut worst: Vec<_> =
        used.iter().filter(|(_, usage)| usage.unused_bytes() * UNUSED_PART_MIN > usage.pack.size).collect();
    // By the part that is unused, in a ten-thousandth: the most bytes freed for each byte moved.
    worst.sort_by_key(|(pack, usage)| (usage.needed_bytes * 10_000 / usage.pack.size.max(1), *pack));
    let mut chosen = Vec::new();
    for (pack, usage) in worst {
        if unused <= bearable {
            break;
        }
        unused -= usage.unused_bytes();
        chosen.push((*pack, Why::Wasteful));
    }
    chosen
}

/// Small packs of each kind, where there are too many.
fn small(used: &[(usize, &PackUsage)], pack_target: u64) -> Vec<(usize, Why)> {
    let of_kind = |kind| {
        let is_small = move |usage: &PackUsage| usage.pack.kind == kind && usage.pack.size < pack_target / SMALL_PART;
        used.iter().filter(move |(_, usage)| is_small(usage)).map(|(pack, _)| (*pack, Why::Small))
    };
    let kinds = [ObjectType::Pack, ObjectType::PagePack].map(|kind| of_kind(kind).collect::<Vec<_>>());
    kinds.into_iter().filter(|small| small.len() > SMALL_PACKS_MAX).flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::ids::ObjectId;
    use crate::index::PackRow;
    use crate::reserve::Upkeep;

    fn usage(number: u8, kind: ObjectType, size: u64, needed_bytes: u64) -> PackUsage {
        let frame_bytes = size;
        let pack = PackRow { id: ObjectId([number; 32]), kind, size };
        PackUsage { pack, condemned: None, frame_bytes, needed_bytes }
    }

    fn options(unused_percent_max: u32, moved_bytes_max: Option<u64>) -> PruneOptions {
        let fence_after = Duration::from_secs(1);
        let reserve = Upkeep::Left;
        PruneOptions { now: Timestamp::UNIX_EPOCH, unused_percent_max, moved_bytes_max, fence_after, reserve }
    }

    fn check(packs: &[PackUsage], options: &PruneOptions, expect: &[(usize, Why)]) {
        let chosen = choose(packs, 1000, options);
        assert_eq!(chosen.iter().map(|chosen| (chosen.pack, chosen.why)).collect::<Vec<_>>(), expect, "{options:?}");
    }

    #[test]
    fn what_nobody_needs_goes_and_what_wastes_most_is_moved() {
        let kind = ObjectType::Pack;
        let mut packs = vec![
            usage(0, kind, 1000, 0),
            usage(1, kind, 1000, 990),
            usage(2, kind, 1000, 500),
            usage(3, kind, 1000, 100),
        ];
        check(&packs, &options(0, None), &[(0, Why::Unused), (3, Why::Wasteful), (2, Why::Wasteful)]);
        check(&packs, &options(40, None), &[(0, Why::Unused), (3, Why::Wasteful)]);
        check(&packs, &options(100, None), &[(0, Why::Unused)]);
        check(&packs, &options(0, Some(499)), &[(0, Why::Unused), (3, Why::Wasteful)]);
        packs[3].condemned = Some(7);
        check(&packs, &options(0, None), &[(0, Why::Unused), (2, Why::Wasteful)]);
    }

    #[test]
    fn small_packs_are_joined_once_there_are_many() {
        let mut packs: Vec<PackUsage> = (0..16).map(|number| usage(number, ObjectType::Pack, 100, 99)).collect();
        packs.push(usage(16, ObjectType::PagePack, 100, 99));
        packs.push(usage(17, ObjectType::Pack, 300, 297));
        check(&packs, &options(5, None), &[]);
        packs.push(usage(18, ObjectType::Pack, 100, 99));
        let expect: Vec<(usize, Why)> = (0..16).chain([18]).map(|pack| (pack, Why::Small)).collect();
        check(&packs, &options(5, None), &expect);
    }
}
