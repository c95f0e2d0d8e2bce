//! How well a system survives the loss of stores: 3-2-1-1-0, counted from what is there.
//!
//! Three copies of the data, themselves among them; on two kinds of media; one of them off-site; one that nobody can change; and no restore point
//! without a proof. Two stores at one `site:` are not off-site of each other, and a store whose `site:` nobody has named is counted as being nowhere else.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::Serialize;
use strongroom_plans::{Media, Name};

use crate::site::ProofTerms;

/// A repository that holds a system's newest restore point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding<'a> {
    /// Where its bytes lie, if somebody named it.
    pub site: Option<&'a Name>,
    /// What they lie on.
    pub media: Media,
    /// Whether the locks of all of it were seen to hold, so that nobody can delete it.
    pub is_immutable: bool,
}

/// The five numbers of one system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Redundancy {
    /// The data themselves and every repository that holds the newest restore point; three are wanted.
    pub copies: u64,
    /// Kinds of media among them, the disk of the data counted; two are wanted.
    pub media: u64,
    /// Repositories at another site than the data; one is wanted.
    pub off_site: u64,
    /// Repositories that nobody can change, as far as that was seen; one is wanted.
    pub immutable: u64,
    /// Restore points that lack a proof ([`unproven`]); none is wanted.
    pub unproven: u64,
}

/// Restore points that lack a proof: those that are newer than the newest proven one. Where drills prove, none does as long as the newest drill's proof counts, which is so long
/// ago; after that at least one does.
#[must_use]
pub fn unproven(points: u64, newer: u64, terms: Option<ProofTerms>, drilled: Option<SignedDuration>) -> u64 {
    let Some(terms) = terms.filter(|terms| terms.every.is_drilled()) else { return newer };
    match drilled {
        Some(age) if terms.counts_for.is_none_or(|counts_for| age <= counts_for) => 0,
        _ => newer.max(points.min(1)),
    }
}

impl Redundancy {
    /// Counts for data that lie at `home`, if anybody knows where that is.
    #[must_use]
    pub fn of(home: Option<&Name>, holdings: &[Holding<'_>], unproven: u64) -> Self {
        let media: BTreeSet<Media> = holdings.iter().map(|holding| holding.media).chain([Media::Disk]).collect();
        let is_elsewhere = |holding: &&Holding<'_>| match (home, holding.site) {
            (Some(home), Some(site)) => home != site,
            _ => false,
        };
        Self {
            copies: 1 + holdings.len() as u64,
            media: media.len() as u64,
            off_site: holdings.iter().filter(is_elsewhere).count() as u64,
            immutable: holdings.iter().filter(|holding| holding.is_immutable).count() as u64,
            unproven,
        }
    }

    /// What is wanted and not there, in words.
    pub fn lacks(&self) -> impl Iterator<Item = &'static str> {
        let wanted = [
            (self.copies >= 3, "a third copy"),
            (self.media >= 2, "a second kind of media"),
            (self.off_site >= 1, "a copy off-site"),
            (self.immutable >= 1, "a copy that nobody can change"),
            (self.unproven == 0, "a proof of the newest"),
        ];
        wanted.into_iter().filter(|(is_there, _)| !is_there).map(|(_, what)| what)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_plans::ProofRhythm;

    use super::*;

    #[test]
    fn a_nights_restore_points_wait_for_the_drill_of_the_week() {
        let terms = |every| ProofTerms {
            every,
            counts_for: Some(SignedDuration::from_hours(14 * 24)),
            samples: false,
            promise: None,
            reach_bytes: None,
        };
        let weekly = |points, newer, hours: Option<i64>| {
            unproven(points, newer, Some(terms(ProofRhythm::Weekly)), hours.map(SignedDuration::from_hours))
        };
        assert_eq!([weekly(9, 5, Some(14 * 24)), weekly(9, 5, Some(14 * 24 + 1)), weekly(9, 0, Some(400))], [0, 5, 1]);
        assert_eq!([weekly(9, 9, None), weekly(0, 0, None)], [9, 0]);
        assert_eq!(unproven(9, 5, Some(terms(ProofRhythm::Run)), None), 5);
        assert_eq!(unproven(9, 9, None, None), 9);
    }

    #[test]
    fn two_stores_at_one_site_are_not_off_site() {
        let [here, there]: [Name; 2] = ["beijing-1", "tianjin-2"].map(|name| name.parse().unwrap());
        let disk = |site| Holding { site, media: Media::Disk, is_immutable: false };
        let bucket = |site| Holding { site, media: Media::ObjectStorage, is_immutable: false };
        let (near, far, unsaid) = (Some(&here), Some(&there), None);
        let cases = [
            (near, vec![], (1, 1, 0)),
            (near, vec![disk(near)], (2, 1, 0)),
            (near, vec![disk(near), bucket(near)], (3, 2, 0)),
            (near, vec![disk(near), bucket(unsaid)], (3, 2, 0)),
            (unsaid, vec![disk(near), bucket(far)], (3, 2, 0)),
            (near, vec![disk(near), bucket(far)], (3, 2, 1)),
        ];
        for (home, holdings, expect) in cases {
            let counted = Redundancy::of(home, &holdings, 0);
            assert_eq!((counted.copies, counted.media, counted.off_site), expect, "{holdings:?}");
        }
        let good = Redundancy::of(near, &[disk(near), bucket(far)], 0);
        assert_eq!(good.lacks().collect::<Vec<_>>(), ["a copy that nobody can change"]);
        assert_eq!(Redundancy::of(near, &[], 2).lacks().count(), 5);
        let best = Redundancy::of(near, &[disk(near), Holding { is_immutable: true, ..bucket(far) }], 0);
        assert_eq!((best.immutable, best.lacks().count()), (1, 0));
    }
}
