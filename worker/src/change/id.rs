//! The name of a change, which becomes the name of a folder and part of the names of staged files.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Leaves room in a file name for what stands around it.
const BYTES_MAX: usize = 100;

/// A change's name: small letters, digits, `.`, `_` and `-`, and no dot in front.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChangeId(String);

/// The text cannot name a change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' cannot name a change: 1 to 100 small letters, digits, '.', '_' or '-', and no dot in front", .0.escape_default())]
pub struct BadChangeId(String);

impl ChangeId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ChangeId {
    type Error = BadChangeId;

    fn try_from(text: String) -> Result<Self, BadChangeId> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        match (1..=BYTES_MAX).contains(&text.len()) && text.bytes().all(is_allowed) && !text.starts_with('.') {
            true => Ok(Self(text)),
            false => Err(BadChangeId(text.chars().take(BYTES_MAX).collect())),
        }
    }
}

impl FromStr for ChangeId {
    type Err = BadChangeId;

    fn from_str(text: &str) -> Result<Self, BadChangeId> {
        text.to_owned().try_into()
    }
}

impl From<ChangeId> for String {
    fn from(id: ChangeId) -> Self {
        id.0
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_names_of_folders() {
        for (text, is_good) in
            [("web-2026.11.24_1", true), ("", false), (".", false), ("..", false), ("a/b", false), ("A", false)]
        {
            assert_eq!(text.parse::<ChangeId>().is_ok(), is_good, "{text:?}");
        }
        assert!("x".repeat(100).parse::<ChangeId>().is_ok() && "x".repeat(101).parse::<ChangeId>().is_err());
    }
}
