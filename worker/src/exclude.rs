//! What is left out of a backup: patterns, caches, other file systems, files that are too large.
//!
//! A pattern with a slash is matched against the whole path from the root directory (a leading slash changes nothing); one without is matched
//! against every name. `*` and `?` stop at a slash, `**` does not. A slash at the end restricts a pattern to directories. What was named as a
//! source is never left out, nor are the directories that lead to it.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use strongroom_repository::tree::order::join;

/// A pattern that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the exclude pattern '{pattern}' cannot be understood")]
pub struct PatternError {
    pattern: String,
    source: globset::Error,
}

/// The rules as they were asked for; part of the name of the local state, since other rules give another tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Excludes {
    /// Patterns of paths or names.
    pub patterns: Vec<String>,
    /// Whether the content of directories with a `CACHEDIR.TAG` is left out.
    pub caches: Caches,
    /// Whether other file systems below a source are left out.
    pub mounts: Mounts,
    /// Regular files longer than this are left out.
    pub larger_than_bytes: Option<u64>,
}

/// What happens to directories that say they are a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Caches {
    /// They are kept as any other.
    #[default]
    Keep,
    /// Only the directory itself and its tag are kept.
    LeaveOut,
}

/// What happens to other file systems that are mounted below a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mounts {
    /// They are walked, unless they hold no data (`/proc` and its like).
    #[default]
    Cross,
    /// Only the mount point is kept.
    StayOut,
}

/// The rules, ready for use.
#[derive(Debug)]
pub struct Filter {
    rules: Excludes,
    names: PatternSet,
    paths: PatternSet,
}

/// Patterns and which of them hold for directories only.
#[derive(Debug)]
struct PatternSet {
    set: GlobSet,
    directories_only: Vec<bool>,
}

impl Filter {
    /// Compiles the rules.
    pub fn new(rules: &Excludes) -> Result<Self, PatternError> {
        let (paths, names): (Vec<&str>, Vec<&str>) =
            rules.patterns.iter().map(String::as_str).partition(|pattern| pattern.trim_end_matches('/').contains('/'));
        Ok(Self { rules: rules.clone(), names: PatternSet::new(&names)?, paths: PatternSet::new(&paths)? })
    }

    /// The rules that it was made from.
    #[must_use]
    pub fn rules(&self) -> &Excludes {
        &self.rules
    }

    /// Whether there are no patterns to match.
    #[must_use]
    pub fn matches_nothing(&self) -> bool {
        self.names.set.is_empty() && self.paths.set.is_empty()
    }

    /// Whether a pattern leaves this node out.
    #[must_use]
    pub fn leaves_out(&self, directory: &[u8], name: &[u8], is_directory: bool) -> bool {
        self.names.matches(name, is_directory)
            || (!self.paths.set.is_empty() && self.paths.matches(&join(directory, name), is_directory))
    }

    /// Whether a regular file is too large.
    #[must_use]
    pub fn is_too_large(&self, size_bytes: u64) -> bool {
        self.rules.larger_than_bytes.is_some_and(|limit| size_bytes > limit)
    }
}

impl PatternSet {
    fn new(patterns: &[&str]) -> Result<Self, PatternError> {
        let mut set = GlobSetBuilder::new();
        let failed = |pattern: &str, source| PatternError { pattern: pattern.to_owned(), source };
        for pattern in patterns {
            let text = pattern.trim_end_matches('/').trim_start_matches('/');
            let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
            set.add(glob.map_err(|fault| failed(pattern, fault))?);
        }
        let set = set.build().map_err(|fault| failed(&patterns.join(" "), fault))?;
        Ok(Self { set, directories_only: patterns.iter().map(|pattern| pattern.ends_with('/')).collect() })
    }

    fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        if self.set.is_empty() {
            return false;
        }
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        if is_directory || !self.directories_only.contains(&true) {
            return self.set.is_match(path);
        }
        self.set.matches(path).iter().any(|index| !self.directories_only[*index])
    }
}

/// The name of the file that marks a cache.
pub const CACHE_TAG: &[u8] = b"CACHEDIR.TAG";

/// How such a file begins (bford.info/cachedir).
pub const CACHE_SIGNATURE: &[u8; 43] = b"Signature: 8a477f597d28d172789f06886806bc55";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &str, expect: bool) {
        let filter = Filter::new(&Excludes { patterns: vec![pattern.to_owned()], ..Excludes::default() }).unwrap();
        let is_directory = path.ends_with('/');
        let (directory, name) = strongroom_repository::tree::order::split(path.trim_end_matches('/').as_bytes());
        assert_eq!(filter.leaves_out(directory, name, is_directory), expect, "{pattern} on {path}");
    }

    #[test]
    fn patterns_match_names_or_whole_paths() {
        check("*.tmp", "srv/deep/a.tmp", true);
        check("*.tmp", "srv/a.tmpx", false);
        check("node_modules", "srv/node_modules/", true);
        check("cache/", "srv/cache/", true);
        check("cache/", "srv/cache", false);
        check("/srv/*.log", "srv/a.log", true);
        check("/srv/*.log", "srv/deep/a.log", false);
        check("/srv/**/*.log", "srv/very/deep/a.log", true);
        check("srv/cache", "home/srv/cache/", false);
        check("**/srv/cache", "home/srv/cache/", true);
        check("/etc", "etc/", true);
        check("/etc", "srv/etc", false);
        check("/srv/cache/", "srv/cache", false);
        check("/srv/cache/", "srv/cache/", true);
        check("[ab].txt", "b.txt", true);
        check("{a,b}*", "bcd", true);
    }

    #[test]
    fn raw_names_are_matched_bytewise() {
        let filter = Filter::new(&Excludes { patterns: vec!["*.tmp".to_owned()], ..Excludes::default() }).unwrap();
        assert!(filter.leaves_out(b"srv", b"\xc5\xcc\xbd\xe1.tmp", false));
        assert!(!filter.leaves_out(b"srv", b"\xc5\xcc\xbd\xe1", false));
    }

    #[test]
    fn a_broken_pattern_is_named() {
        let fault = Filter::new(&Excludes { patterns: vec!["a[".to_owned()], ..Excludes::default() }).unwrap_err();
        assert_eq!(fault.to_string(), "the exclude pattern 'a[' cannot be understood");
    }
}
