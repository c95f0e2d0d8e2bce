//! How large groups are, as people write it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::shape::{MEMBERS_MAX, PARITY_MAX};

/// So many packs in a group, and so many parity shards: `16+2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSize {
    /// Packs at most.
    pub(super) members: u32,
    /// Parity shards: so many lost packs come back.
    pub(super) parity: u32,
}

/// The text is not the size of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write packs and parity such as 16+2: 1 to {MEMBERS_MAX} packs, 1 to {PARITY_MAX} of parity")]
pub struct BadGroupSize;

impl GroupSize {
    /// So many packs and so much parity, within bounds.
    pub fn new(members: u32, parity: u32) -> Result<Self, BadGroupSize> {
        let fits = (1..=MEMBERS_MAX).contains(&members) && (1..=PARITY_MAX).contains(&parity);
        if fits { Ok(Self { members, parity }) } else { Err(BadGroupSize) }
    }
}

impl Default for GroupSize {
    /// An eighth more bytes, and two disks' worth of bad luck in a gigabyte.
    fn default() -> Self {
        Self { members: 16, parity: 2 }
    }
}

impl FromStr for GroupSize {
    type Err = BadGroupSize;

    fn from_str(text: &str) -> Result<Self, BadGroupSize> {
        let (members, parity) = text.split_once('+').ok_or(BadGroupSize)?;
        let number = |text: &str| text.trim().parse().map_err(|_| BadGroupSize);
        Self::new(number(members)?, number(parity)?)
    }
}

impl fmt::Display for GroupSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}+{}", self.members, self.parity)
    }
}

impl Serialize for GroupSize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
