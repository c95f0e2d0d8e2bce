//! What is left out of a source.
//!
//! A pattern that starts with `/` matches a whole path. Any other matches at every depth, as if `**/` stood in
//! front. `*` and `?` stop at a slash, `**` does not; `[a-z]` and `{a,b}` work as in a shell; `\` takes the next
//! sign as it is. What lies below a directory that matches is left out with it. A root of the source is never left
//! out. A pattern cannot take back another one.

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

    /// The pattern for whole paths, as the rules of this module mean it.
    pub fn for_whole_paths(&self) -> String {
        if self.0.starts_with('/') {
            self.0.clone()
        } else {
            format!("**/{}", self.0)
        }
    }

    fn compile(&self) -> Result<Glob, globset::Error> {
        let whole = self.for_whole_paths();
        GlobBuilder::new(&whole)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
    }
}

impl FromStr for ExcludeGlob {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refuse = |why: &str, remedy: &str| {
            Err(Refusal::new(
                format!("the pattern {} {why}", quoted(text)),
                remedy,
            ))
        };
        if text.trim().is_empty() || text.len() > PATTERN_BYTES_MAX {
            return refuse(
                "is empty or too long",
                "write a pattern such as *.tmp or /srv/scratch",
            );
        }
        if text.chars().any(char::is_control) {
            return refuse("has control characters", "write ? for such a character");
        }
        if text.starts_with('!') {
            return refuse(
                "would take back another one",
                "write patterns only for what is left out; for a name with ! in front write \\!",
            );
        }
        if text.ends_with('/') {
            return refuse(
                "ends in a slash",
                "leave the slash out: a directory is left out with all that is in it",
            );
        }
        if text.split('/').any(|part| part == "." || part == "..") {
            return refuse(
                "has `.` or `..` in it",
                "write the path as the backup meets it, from / on",
            );
        }
        let glob = Self(text.to_owned());
        match glob
            .compile()
            .and_then(|compiled| GlobSetBuilder::new().add(compiled).build())
        {
            Ok(_) => Ok(glob),
            Err(error) => refuse(
                &format!("cannot be read: {}", error.kind()),
                "close each [ and {, or put \\ in front to mean the sign itself",
            ),
        }
    }
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
