//! What is looked for: a name, or a pattern, compared with what is shown.

use std::borrow::Cow;

use globset::{GlobBuilder, GlobMatcher};
use memchr::memmem::Finder;
use strongroom_repository::names::Sought;
use strongroom_repository::text::escape;

use crate::failure::{Cause, Failure};

/// What is looked for.
#[derive(Debug)]
pub(crate) struct Pattern {
    glob: GlobMatcher,
    on_path: bool,
    /// What a directory contains if something in it matches, and what a name contains: looked for before the whole pattern is, which takes ten times as long.
    in_directory: Finder<'static>,
    in_name: Finder<'static>,
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
        let (directory, name) = text.trim_matches('/').rsplit_once('/').unwrap_or(("", text.trim_matches('/')));
        let [in_directory, in_name] = [directory, name].map(|part| match text.contains(['[', '{']) {
            true => Finder::new("").into_owned(),
            false => Finder::new(longest_literal(part)).into_owned(),
        });
        Ok(Self { glob: glob.compile_matcher(), on_path, in_directory, in_name })
    }

    pub(crate) fn matches(&self, path: &str, name: &str) -> bool {
        self.glob.is_match(if self.on_path { path } else { name })
    }

    fn matches_raw(&self, directory: &[u8], name: &[u8]) -> bool {
        match self.on_path {
            true if directory.is_empty() => self.glob.is_match(&*shown(name)),
            true => self.glob.is_match([&*shown(directory), "/", &*shown(name)].concat()),
            false => self.glob.is_match(&*shown(name)),
        }
    }
}

/// With raw bytes, for many of them.
impl Sought for Pattern {
    fn may_be_in(&self, directory: &[u8]) -> bool {
        !self.on_path || may_contain(directory, &self.in_directory)
    }

    fn is(&self, directory: &[u8], name: &[u8]) -> bool {
        may_contain(name, &self.in_name) && self.matches_raw(directory, name)
    }
}

/// The longest part of a pattern that stands in whatever it matches. A slash at its end may be one that `**/` swallows.
fn longest_literal(pattern: &str) -> &str {
    let parts = pattern.split(['*', '?']).map(|part| part.trim_matches('/'));
    parts.max_by_key(|part| part.len()).unwrap_or_default()
}

/// What is not shown as it is may look like anything.
fn may_contain(raw: &[u8], part: &Finder<'_>) -> bool {
    part.find(raw).is_some() || !is_plain(raw)
}

fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\')
}

/// A name as it is shown; most are shown as they are.
fn shown(name: &[u8]) -> Cow<'_, str> {
    let plain = is_plain(name).then(|| std::str::from_utf8(name).ok()).flatten();
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
        let is = pattern_is.may_be_in(directory) && pattern_is.is(directory, &raw_name);
        assert_eq!(is, expect, "{pattern} on raw {path}");
    }

    #[test]
    fn patterns_mean_names_or_paths() {
        check("hosts", "etc/hosts", true);
        check("host", "etc/hosts", false);
        check("*.conf", "etc/deep/a.conf", true);
        check("/etc/*.conf", "etc/deep/a.conf", false);
        check("/etc/**/*.conf", "etc/deep/a.conf", true);
        check("etc/hosts", "srv/etc/hosts", false);
        // Nothing, one and several directories for `**`, at each place.
        for (path, expect) in [("etc", false), ("etc/a", true), ("etc/a/b", true), ("srv/etc/a", false)] {
            check("/etc/**", path, expect);
        }
        for (path, expect) in [("srv/d/a", true), ("srv/x/y/d/a", true), ("srv/a", false), ("d/a", false)] {
            check("/srv/**/d/*", path, expect);
        }
        for (path, expect) in [("d/a", true), ("x/d/a", true), ("d/x/a", true), ("a", false)] {
            check("**/d/**/a", path, expect);
        }
        check("/e*c/ho?ts", "etc/hosts", true);
        check("{etc,srv/x}/a", "srv/x/a", true);
        check("/[e]tc/hosts", "etc/hosts", true);
        check("/台账/*表", "台账/日表", true);
        check(r"\xc5*", r"srv/\xc5\xcc", true);
        check("a[*]", "srv/a*", true);
        assert!(Pattern::parse("a[").is_err());
    }
}
