//! The name of a job, which becomes the name of a file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Room for a plan's name, a host's name and a time.
const BYTES_MAX: usize = 100;

/// A job's name: small letters, digits, `.`, `_` and `-`, and no dot in front.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(String);

/// The text cannot name a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' cannot name a job: 1 to 100 small letters, digits, '.', '_' or '-', and no dot in front", .0.escape_default())]
pub struct BadJobId(String);

impl JobId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobId {
    type Err = BadJobId;

    fn from_str(text: &str) -> Result<Self, BadJobId> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let fits = (1..=BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(is_allowed) && !text.starts_with('.') {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadJobId(text.chars().take(BYTES_MAX).collect()))
        }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: bool) {
        assert_eq!(text.parse::<JobId>().is_ok(), expect, "{text:?}");
    }

    #[test]
    fn names_are_safe_as_file_names() {
        for good in ["a", "0", "billing.web1.2026-11-22", "a_b-c", &"x".repeat(100)] {
            check(good, true);
        }
        for bad in ["", ".", "..", ".a", "a/b", "../a", "A", "a b", "a\0", "ä", "a\n", &"x".repeat(101)] {
            check(bad, false);
        }
    }
}
