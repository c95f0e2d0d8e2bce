//! A key split k of n: any k shares give it back, and fewer say nothing of it.
//!
//! What is shared is the private key with a check of it, so that shares which do not belong together are found out; the check is shared along and gives no
//! single share away. All shares of one split have its random mark in common.

use std::collections::BTreeSet;
use std::fmt;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::file::ReaderFile;
use super::gf256::{Point, interpolate, split};
use super::secrets::{Secret, random};
use crate::ids::RepositoryId;

/// Shares of one split at most: more sheets than anybody keeps apart.
pub const SHARES_MAX: u8 = 9;

/// Bytes of the check behind the key.
const CHECK: usize = 8;
/// Bytes of a share's value: the key and its check.
const VALUE: usize = 32 + CHECK;

/// One share of a key.
#[derive(Clone)]
pub struct KeyShare {
    repository: RepositoryId,
    mark: [u8; 4],
    needed: u8,
    count: u8,
    number: u8,
    value: Zeroizing<[u8; VALUE]>,
}

/// Why shares do not give a key back. Sheets are numbered from 1, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadShares {
    /// Fewer than are needed.
    #[error("{needed} shares are needed, and there is {}: bring {} of {}", some("share", found), needed - found.len(), some("share", missing))]
    TooFew {
        /// How many are needed.
        needed: usize,
        /// The numbers of those that are there.
        found: Vec<u8>,
        /// The numbers of the others.
        missing: Vec<u8>,
    },
    /// The same share came twice.
    #[error("sheet {sheet} is share {number} once more")]
    Twice {
        /// The second one.
        sheet: usize,
        /// Which share it is.
        number: u8,
    },
    /// A share is of another repository's key.
    #[error("sheet {sheet} is of the repository {found}, the first one of {first}")]
    OtherRepository {
        /// Which.
        sheet: usize,
        /// Its repository.
        found: RepositoryId,
        /// The first one's.
        first: RepositoryId,
    },
    /// A share is of another split of the key.
    #[error(
        "sheet {sheet} is of the split {found}, the first one of {first}: only sheets that were printed together belong together"
    )]
    OtherSplit {
        /// Which.
        sheet: usize,
        /// Its split's mark.
        found: String,
        /// The first one's.
        first: String,
    },
    /// They look as if they belonged together and do not: at least one was made up.
    #[error("these shares give no key: at least one of them is not what was printed")]
    Contradict,
}

fn some(what: &str, numbers: &[u8]) -> String {
    let all: Vec<String> = numbers.iter().map(u8::to_string).collect();
    if all.is_empty() { format!("no {what}") } else { format!("{what} {}", all.join(", ")) }
}

impl KeyShare {
    /// Bytes of a share: repository, mark, needed, count, number, value.
    pub(super) const BYTES: usize = 16 + 4 + 3 + VALUE;

    /// Splits a key into `count` shares, of which `needed` give it back; at least two, at most nine.
    #[must_use]
    pub fn split(file: &ReaderFile, needed: u8, count: u8) -> Vec<Self> {
        let mark = random();
        let secret = Zeroizing::new([&file.private_key.expose()[..], &check(file)].concat());
        let fill = |bytes: &mut [u8]| bytes.chunks_mut(32).for_each(fill_random);
        let shares = split(&secret, needed, count, fill).into_iter().zip(1..);
        let share = |(value, number): (Zeroizing<Vec<u8>>, u8)| {
            let mut bytes = Zeroizing::new([0; VALUE]);
            bytes.copy_from_slice(&value);
            Self { repository: file.repository, mark, needed, count, number, value: bytes }
        };
        shares.map(share).collect()
    }

    /// Puts shares together, in any order; more than are needed must fit, too.
    pub fn join(shares: &[Self], holder: &str) -> Result<ReaderFile, BadShares> {
        let Some(first) = shares.first() else {
            return Err(BadShares::TooFew { needed: 2, found: Vec::new(), missing: Vec::new() });
        };
        belong_together(first, shares)?;
        let (used, more) = shares.split_at_checked(first.needed.into()).ok_or_else(|| too_few(first, shares))?;
        let points: Vec<Point<'_>> = used.iter().map(|share| (share.number, &share.value[..])).collect();
        let secret = interpolate(&points, 0);
        let mut private_key = [0; 32];
        private_key.copy_from_slice(&secret[..32]);
        let private_key = Secret::new(private_key);
        let file = ReaderFile { repository: first.repository, holder: holder.into(), private_key };
        let fits = |share: &Self| interpolate(&points, share.number)[..] == share.value[..];
        match secret[32..] == check(&file) && more.iter().all(fits) {
            true => Ok(file),
            false => Err(BadShares::Contradict),
        }
    }

    /// Which of the shares it is, from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u8 {
        self.count
    }

    /// How many give the key back.
    #[must_use]
    pub fn needed(&self) -> u8 {
        self.needed
    }

    /// What all shares of one split have in common, and those of no other.
    #[must_use]
    pub fn mark(&self) -> String {
        HEXLOWER.encode(&self.mark)
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let numbers = [self.needed, self.count, self.number];
        Zeroizing::new([&self.repository.0[..], &self.mark, &numbers, &self.value[..]].concat())
    }

    /// From the bytes of a sheet; none if they are no share of any split.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (repository, rest) = bytes.split_first_chunk()?;
        let (mark, rest) = rest.split_first_chunk()?;
        let ([needed, count, number], value) = rest.split_first_chunk()?;
        let is_sane = 2 <= *needed && needed <= count && *count <= SHARES_MAX && (1..=*count).contains(number);
        let value = Zeroizing::new(<[u8; VALUE]>::try_from(value).ok().filter(|_| is_sane)?);
        let repository = RepositoryId(*repository);
        Some(Self { repository, mark: *mark, needed: *needed, count: *count, number: *number, value })
    }
}

fn belong_together(first: &KeyShare, shares: &[KeyShare]) -> Result<(), BadShares> {
    let mut seen = BTreeSet::new();
    for (share, sheet) in shares.iter().zip(1..) {
        if share.repository != first.repository {
            return Err(BadShares::OtherRepository { sheet, found: share.repository, first: first.repository });
        }
        if (share.mark, share.needed, share.count) != (first.mark, first.needed, first.count) {
            return Err(BadShares::OtherSplit { sheet, found: share.mark(), first: first.mark() });
        }
        if !seen.insert(share.number) {
            return Err(BadShares::Twice { sheet, number: share.number });
        }
    }
    Ok(())
}

fn too_few(first: &KeyShare, shares: &[KeyShare]) -> BadShares {
    let mut found: Vec<u8> = shares.iter().map(|share| share.number).collect();
    found.sort_unstable();
    let missing = (1..=first.count).filter(|number| !found.contains(number)).collect();
    BadShares::TooFew { needed: first.needed.into(), found, missing }
}

fn check(file: &ReaderFile) -> [u8; CHECK] {
    let mut hasher = blake3::Hasher::new_derive_key("strongroom v1 key share check");
    hasher.update(&file.repository.0).update(file.private_key.expose());
    let mut check = [0; CHECK];
    hasher.finalize_xof().fill(&mut check);
    check
}

fn fill_random(bytes: &mut [u8]) {
    let drawn = Zeroizing::new(random::<32>());
    bytes.copy_from_slice(&drawn[..bytes.len()]);
}

impl fmt::Debug for KeyShare {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeyShare({} of {}, split {})", self.number, self.count, self.mark())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ReaderFile {
        let repository = RepositoryId([9; 16]);
        ReaderFile { repository, holder: "ops".into(), private_key: Secret::new([0xa5; 32]) }
    }

    /// Every choice of some of the shares.
    fn choices(shares: &[KeyShare]) -> impl Iterator<Item = Vec<KeyShare>> {
        let chosen = |bits: u32| (0..shares.len()).filter(move |at| bits >> at & 1 == 1);
        (1..1 << shares.len()).map(move |bits| chosen(bits).map(|at| shares[at].clone()).collect())
    }

    #[test]
    fn enough_shares_give_the_key_back_and_fewer_do_not() {
        let file = sample();
        for (needed, count) in [(2, 2), (2, 3), (3, 5), (9, 9)] {
            let shares = KeyShare::split(&file, needed, count);
            for mut chosen in choices(&shares) {
                chosen.reverse();
                match KeyShare::join(&chosen, "ops") {
                    Ok(joined) => {
                        assert!(chosen.len() >= needed.into() && joined.private_key == file.private_key);
                        assert_eq!(joined.repository, file.repository);
                    }
                    Err(bad) => {
                        assert!(chosen.len() < needed.into(), "{bad}");
                        assert!(matches!(bad, BadShares::TooFew { .. }), "{bad}");
                    }
                }
            }
        }
    }

    #[test]
    fn too_few_are_told_with_those_that_are_missing() {
        let shares = KeyShare::split(&sample(), 3, 5);
        let told = KeyShare::join(&[shares[4].clone(), shares[1].clone()], "ops").unwrap_err().to_string();
        assert_eq!(told, "3 shares are needed, and there is share 2, 5: bring 1 of share 1, 3, 4");
    }

    #[test]
    fn shares_that_do_not_belong_together_are_refused() {
        let (one, two) = (KeyShare::split(&sample(), 2, 3), KeyShare::split(&sample(), 2, 3));
        let other = KeyShare::split(&ReaderFile { repository: RepositoryId([8; 16]), ..sample() }, 2, 3);
        let join = |left: &KeyShare, right: &KeyShare| KeyShare::join(&[left.clone(), right.clone()], "ops").err();
        assert_eq!(join(&one[0], &one[0]), Some(BadShares::Twice { sheet: 2, number: 1 }));
        assert!(matches!(join(&one[0], &two[1]), Some(BadShares::OtherSplit { sheet: 2, .. })));
        assert!(matches!(join(&one[0], &other[1]), Some(BadShares::OtherRepository { sheet: 2, .. })));
    }

    #[test]
    fn a_share_that_was_made_up_gives_nothing() {
        let shares = KeyShare::split(&sample(), 2, 3);
        let mut forged = shares.clone();
        forged[1].value[0] ^= 1;
        assert_eq!(KeyShare::join(&forged[..2], "ops").err(), Some(BadShares::Contradict));
        // Beyond what is needed, too.
        assert_eq!(
            KeyShare::join(&[&shares[..1], &shares[2..], &forged[1..2]].concat(), "ops").err(),
            Some(BadShares::Contradict)
        );
    }

    /// With any one share every key is as likely as any other: the first share of two splits of different keys can be the same bytes.
    #[test]
    fn one_share_fits_every_key() {
        let share = KeyShare::split(&sample(), 2, 2).remove(0);
        let other = ReaderFile { private_key: Secret::new([1; 32]), ..sample() };
        let secret = [&other.private_key.expose()[..], &check(&other)].concat();
        let second = interpolate(&[(0, &secret), (1, &share.value[..])], 2);
        let mut partner = KeyShare { number: 2, ..share.clone() };
        partner.value.copy_from_slice(&second);
        assert!(KeyShare::join(&[share, partner], "ops").unwrap().private_key == other.private_key);
    }
}
