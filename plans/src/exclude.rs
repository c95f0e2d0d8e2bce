//! What is left out of a source.
//!
//! A pattern without a slash matches names, at every depth. One that starts with `/` matches a whole path, and one
//! that starts with `**/` the end of a path. Other slashes are refused, because people disagree on what they mean.
//! `*` and `?` stop at a slash, `**` does not; `[a-z]` and `{a,b}` work as in a shell; `\` takes the next sign as it
//! is. What lies below a directory that matches is left out with it. A root of the source is never left out. A
//! pattern cannot take back another one.

use std::path::Path;
use std::str::FromStr;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::report::quoted;
use crate::values::{Refusal, Written};

/// One pattern as it was written; it compiles.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ExcludeGlob(String);

/// All patterns of one source.
#[derive(Clone, Debug)]
pub struct Excludes {
    patterns: Vec<ExcludeGlob>,
    compiled: GlobSet,
}

/// As long as the longest path; it also bounds what compiling costs.
const PATTERN_BYTES_MAX: usize = 4096;

impl ExcludeGlob {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For absolute paths.
    fn compile(&self) -> Result<Glob, globset::Error> {
        let whole = if self.0.contains('/') { self.0.clone() } else { format!("**/{}", self.0) };
        GlobBuilder::new(&whole).literal_separator(true).backslash_escape(true).build()
    }
}

impl FromStr for ExcludeGlob {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refusal = |why: &str, remedy: &str| Refusal::new(format!("the pattern {} {why}", quoted(text)), remedy);
        if let Some((why, remedy)) = misleading(text) {
            return Err(refusal(why, remedy));
        }
        let pattern = Self(text.to_owned());
        match pattern.compile().and_then(|glob| GlobSetBuilder::new().add(glob).build()) {
            Ok(_) => Ok(pattern),
            Err(error) => {
                let remedy = "close each [ and {, or put \\ in front to mean the sign itself";
                Err(refusal(&format!("cannot be read: {}", error.kind()), remedy))
            }
        }
    }
}

/// Why a pattern would not do what it seems to say, and what to write instead.
fn misleading(text: &str) -> Option<(&'static str, &'static str)> {
    let unanchored = text.contains('/') && !text.starts_with('/') && !text.starts_with("**/");
    Some(match text {
        _ if text.trim().is_empty() => ("is empty", "write a pattern such as *.tmp or /srv/scratch"),
        _ if text.len() > PATTERN_BYTES_MAX => ("is longer than a path", "write several patterns"),
        _ if text.chars().any(char::is_control) => ("has control characters", "write ? for such a character"),
        _ if text.starts_with('!') => {
            ("would take back another one", "exclude less in the other one; for a name with ! in front write \\!")
        }
        _ if text.ends_with('/') => ("ends in a slash", "leave the slash out: a directory is left out with all in it"),
        _ if text.contains("//") || text.split('/').any(|part| part == "." || part == "..") => {
            ("has `//`, `.` or `..` in it", "write the path as the backup meets it, from / on")
        }
        _ if unanchored => ("has a slash, but none in front", "put / in front for one path, or **/ for every depth"),
        _ => return None,
    })
}

impl Written for ExcludeGlob {
    const WHAT: &'static str = "a pattern such as *.tmp";
    const CODE: Code = Code::BadGlob;
}

impl Excludes {
    /// Patterns that compile one by one may be too large together; then only this type's own answers miss them.
    pub(crate) fn new(patterns: Vec<ExcludeGlob>) -> Self {
        let mut builder = GlobSetBuilder::new();
        for glob in patterns.iter().filter_map(|pattern| pattern.compile().ok()) {
            builder.add(glob);
        }
        let compiled = builder.build().unwrap_or_default();
        Self { patterns, compiled }
    }

    /// The patterns in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, ExcludeGlob> {
        self.patterns.iter()
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a pattern matches this path, or a directory above it.
    pub(crate) fn cover(&self, path: &Path) -> bool {
        !self.is_empty() && self.leave_out_any(path.ancestors())
    }

    pub(crate) fn leave_out_any<'p>(&self, mut paths: impl Iterator<Item = &'p Path>) -> bool {
        paths.any(|path| self.compiled.is_match(path))
    }
}

impl<'a> IntoIterator for &'a Excludes {
    type Item = &'a ExcludeGlob;
    type IntoIter = std::slice::Iter<'a, ExcludeGlob>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Excludes {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for Excludes {}

impl Serialize for Excludes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.patterns.serialize(serializer)
    }
}
