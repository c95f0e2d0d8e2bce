//! Names and one-line texts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::fault::Code;
use crate::report::quoted;
use crate::values::{Refusal, Written};

/// The name of a plan or of a tag: letters, digits, `-`, `_` and `.`, with a letter or digit in front.
///
/// Names end up in commands, file names and metric labels, so they need no quoting anywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

/// A text on one line, for people to read: an owner, a tag's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Line(String);

/// Room for a label of the DNS (63 characters), which is what hosts and many systems around us take.
const NAME_BYTES_MAX: usize = 63;
/// As long as a commit's subject ever gets, and then some.
const LINE_CHARS_MAX: usize = 200;

impl Name {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Line {
    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let starts_well = text.starts_with(|char: char| char.is_ascii_alphanumeric());
        let fits = text.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
        if starts_well && fits && text.len() <= NAME_BYTES_MAX {
            return Ok(Self(text.to_owned()));
        }
        let remedy = format!(
            "use up to {NAME_BYTES_MAX} letters (a to z), digits, `-`, `_` and `.`, and start with a letter or digit"
        );
        Err(Refusal::new(format!("{} is not a name", quoted(text)), remedy))
    }
}

impl TryFrom<String> for Name {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl FromStr for Line {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let why = match text {
            _ if text.trim().is_empty() => "the text is empty",
            _ if text.chars().any(char::is_control) => "the text has line breaks or control characters",
            _ if text.chars().count() > LINE_CHARS_MAX => "the text is too long",
            _ => return Ok(Self(text.to_owned())),
        };
        Err(Refusal::new(why, format!("write one line of up to {LINE_CHARS_MAX} characters")))
    }
}

/// As a regular expression of JSON Schema.
pub(crate) const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]*$";

impl Written for Name {
    const WHAT: &'static str = "a name such as web-1";
    const CODE: Code = Code::BadName;

    fn pattern() -> Option<String> {
        Some(NAME_PATTERN.to_owned())
    }
}

impl Written for Line {
    const WHAT: &'static str = "a text on one line";
    const CODE: Code = Code::BadText;
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
