//! What is looked for: a name, or a pattern, compared with what is shown.

use std::borrow::Cow;

use globset::{GlobBuilder, GlobMatcher};
use strongroom_repository::text::escape;

use crate::failure::{Cause, Failure};

/// What is looked for.
#[derive(Debug)]
pub(crate) struct Pattern {
    glob: GlobMatcher,
    on_path: bool,
}

impl Pattern {
    /// A pattern with a slash is compared with the whole path, one without with the name alone.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        Self::compile(text, text.contains('/'))
    }

    /// One that is compared with the whole path.
    pub(crate) fn of_path(text: &str) -> Result<Self, Failure> {
        Self::compile(text, true)
    }

    fn compile(text: &str, on_path: bool) -> Result<Self, Failure> {
        // A backslash is part of a shown name (\xNN), so it escapes nothing here; [*] means a star.
        let glob = GlobBuilder::new(text.trim_matches('/')).literal_separator(true).backslash_escape(false).build();
        let glob = glob.map_err(|fault| {
            let why = Cause::Usage(fault.to_string());
            Failure::new(format!("search for '{text}'"), why)
                .advise("put a [ ] { } * or ? that is meant as itself in brackets: [[]")
        })?;
        Ok(Self { glob: glob.compile_matcher(), on_path })
    }

    pub(crate) fn matches(&self, path: &str, name: &str) -> bool {
        self.glob.is_match(if self.on_path { path } else { name })
    }

    /// The same with raw bytes, for many of them.
    pub(crate) fn matches_raw(&self, directory: &[u8], name: &[u8]) -> bool {
        match self.on_path {
            true if directory.is_empty() => self.glob.is_match(&*shown(name)),
            true => self.glob.is_match([&*shown(directory), "/", &*shown(name)].concat()),
            false => self.glob.is_match(&*shown(name)),
        }
    }
}

/// A name as it is shown; most are shown as they are.
fn shown(name: &[u8]) -> Cow<'_, str> {
    let is_plain = name.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\');
    let plain = is_plain.then(|| std::str::from_utf8(name).ok()).flatten();
    plain.map_or_else(|| Cow::Owned(escape(name)), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use strongroom_repository::text::unescape;

    use super::*;

    fn check(pattern: &str, path: &str, expect: bool) {
        let name = path.rsplit('/').next().unwrap();
        let pattern_is = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern_is.matches(path, name), expect, "{pattern} on {path}");
        let (raw, raw_name) = (unescape(path), unescape(name));
        let directory = raw[..raw.len() - raw_name.len()].strip_suffix(b"/").unwrap_or_default();
        assert_eq!(pattern_is.matches_raw(directory, &raw_name), expect, "{pattern} on raw {path}");
    }

    #[test]
    fn patterns_mean_names_or_paths() {
        check("hosts", "etc/hosts", true);
        check("host", "etc/hosts", false);
        check("*.conf", "etc/deep/a.conf", true);
        check("/etc/*.conf", "etc/deep/a.conf", false);
        check("/etc/**/*.conf", "etc/deep/a.conf", true);
        check("etc/hosts", "srv/etc/hosts", false);
        check(r"\xc5*", r"srv/\xc5\xcc", true);
        check("a[*]", "srv/a*", true);
        assert!(Pattern::parse("a[").is_err());
    }
}
