//! How entries hang together: each holds the hash of the one before, and its own is made over that and all that it says.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::event::Event;

/// BLAKE3 of an entry and of all before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryHash([u8; 32]);

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// From 1, without gaps.
    pub number: u64,
    /// When it was written.
    pub time: Timestamp,
    /// What it says, as it was written: this text is what the hash is made over.
    #[serde(skip)]
    pub text: String,
    /// What it says.
    #[serde(flatten)]
    pub event: Event,
    /// The hash of the entry before; zeros before the first.
    pub previous: EntryHash,
    /// Its own.
    pub hash: EntryHash,
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A number is missing, or comes twice.
    #[error("entry {found} stands where entry {expected} should be")]
    Number {
        /// What should be there.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// An entry does not hang on the one before.
    #[error("entry {0} does not continue entry {before}", before = .0 - 1)]
    Link(u64),
    /// An entry was changed.
    #[error("entry {0} is not what was written")]
    Changed(u64),
}

impl EntryHash {
    /// What the first entry hangs on.
    pub const START: Self = Self([0; 32]);

    /// The hash of an entry.
    pub(super) fn of(previous: Self, number: u64, time: &str, text: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("strongroom journal entry v1");
        hasher.update(&previous.0).update(&number.to_le_bytes());
        // With its length: where the time ends and the text begins is part of what is hashed.
        hasher.update(&(time.len() as u64).to_le_bytes()).update(time.as_bytes()).update(text.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl Entry {
    /// The entry that follows the one with hash `previous`.
    pub(super) fn following(previous: EntryHash, number: u64, time: Timestamp, event: Event) -> Self {
        // BUG if it fails: events serialise.
        let text = serde_json::to_string(&event).expect("an event serialises");
        let hash = EntryHash::of(previous, number, &time.to_string(), &text);
        Self { number, time, text, event, previous, hash }
    }

    /// Whether that is the hash of an entry that says this.
    pub(crate) fn hash_is(previous: EntryHash, number: u64, time: &str, text: &str, hash: EntryHash) -> bool {
        EntryHash::of(previous, number, time, text) == hash
    }

    /// Whether it follows the entry with this number and hash, unchanged.
    pub(super) fn check(&self, before: u64, previous: EntryHash) -> Result<(), Broken> {
        if self.number != before + 1 {
            return Err(Broken::Number { expected: before + 1, found: self.number });
        }
        if self.previous != previous {
            return Err(Broken::Link(self.number));
        }
        match Self::hash_is(self.previous, self.number, &self.time.to_string(), &self.text, self.hash) {
            true => Ok(()),
            false => Err(Broken::Changed(self.number)),
        }
    }
}

impl fmt::Display for EntryHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for EntryHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for EntryHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EntryHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = blake3::Hash::from_hex(text).map_err(serde::de::Error::custom)?;
        Ok(Self(*hash.as_bytes()))
    }
}
