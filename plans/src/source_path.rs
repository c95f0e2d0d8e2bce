//! Paths of a host as plans write them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use crate::fault::Code;
use crate::report::quoted;
use crate::values::{Refusal, Written};

/// An absolute path without `.`, `..`, doubled or trailing slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SourcePath(PathBuf);

/// The kernel's PATH_MAX.
const PATH_BYTES_MAX: usize = 4096;

impl SourcePath {
    /// The path for calls to the file system.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for SourcePath {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refuse = |why: &str, remedy: &str| Err(Refusal::new(format!("the path {} {why}", quoted(text)), remedy));
        if text.starts_with('~') {
            return refuse("starts in a home directory", "write the whole path, such as /home/you");
        }
        if !text.starts_with('/') {
            return refuse("is not absolute", "write the whole path, from / on");
        }
        if text.split('/').any(|part| part == "." || part == "..") {
            return refuse("has `.` or `..` in it", "write the path that it leads to");
        }
        if text.chars().any(char::is_control) {
            return refuse("has control characters", "back up the directory above it");
        }
        if text.len() > PATH_BYTES_MAX {
            return refuse("is too long to exist", "write up to 4096 bytes");
        }
        // Collecting components drops doubled and trailing slashes.
        Ok(Self(Path::new(text).components().collect()))
    }
}

impl Written for SourcePath {
    const WHAT: &'static str = "an absolute path such as /etc";
    const CODE: Code = Code::BadPath;

    fn pattern() -> Option<String> {
        Some("^/".to_owned())
    }
}

impl fmt::Display for SourcePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(out)
    }
}
