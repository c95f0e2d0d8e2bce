//! The files of a site, as the caller found them in its directory.

use std::collections::BTreeMap;

use crate::version::ContentHash;

/// Names and contents of a site's files. What they come to is read by [`Site::read`](crate::Site::read).
#[derive(Clone, Debug, Default)]
pub struct SiteFiles {
    directory: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// What a file is to its site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Site,
    Hosts,
    Plan,
    /// What others include.
    Included,
    /// It would be one of the above if it were called `.yaml`.
    Stray,
}

pub(crate) const SITE_FILE: &str = "site.yaml";
pub(crate) const HOSTS_FILE: &str = "hosts.yaml";
const PLANS: &str = "plans/";
pub(crate) const PARTS: &str = "parts/";

impl SiteFiles {
    /// No files yet. The directory is only used to say where a fault is.
    pub fn new(directory: impl Into<String>) -> Self {
        Self { directory: directory.into(), files: BTreeMap::new() }
    }

    /// The directories below the site's own in which its files lie.
    pub const DIRECTORIES: [&str; 2] = ["plans", "parts"];

    /// Whether a file is one to hand in: `site.yaml`, `hosts.yaml`, and what lies in `plans` and `parts` themselves and
    /// looks like a plan. The path is relative to the site's directory, with `/` between its parts.
    pub fn concerns(path: &str) -> bool {
        part(path).is_some()
    }

    /// Hands a file in. One that does not concern the site is left out.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        let path = path.into();
        if Self::concerns(&path) {
            self.files.insert(path, content.into());
        }
    }

    /// The version of the site: a hash over all names and contents.
    pub fn version(&self) -> ContentHash {
        ContentHash::of_files(self.files.iter().map(|(path, content)| (path.as_str(), content.as_slice())))
    }

    /// The files of one part by path, with the names under which faults show them.
    pub(crate) fn of(&self, wanted: Part) -> impl Iterator<Item = (&str, String, &[u8])> {
        let files = self.files.iter().filter(move |(path, _)| part(path) == Some(wanted));
        files.map(|(path, content)| (path.as_str(), self.shown(path), content.as_slice()))
    }

    pub(crate) fn shown(&self, path: &str) -> String {
        match self.directory.trim_end_matches('/') {
            "" => path.to_owned(),
            directory => format!("{directory}/{path}"),
        }
    }
}

fn part(path: &str) -> Option<Part> {
    match path {
        SITE_FILE => return Some(Part::Site),
        HOSTS_FILE => return Some(Part::Hosts),
        "site.yml" | "hosts.yml" => return Some(Part::Stray),
        _ => {}
    }
    // Hidden files are an editor's.
    let (name, part) = match (path.strip_prefix(PLANS), path.strip_prefix(PARTS)) {
        (Some(name), _) => (name, Part::Plan),
        (None, name) => (name?, Part::Included),
    };
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    match name.rsplit_once('.')?.1 {
        "yaml" => Some(part),
        "yml" => Some(Part::Stray),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_part_or_do_not_concern_the_site() {
        for (path, expect) in [
            ("site.yaml", Some(Part::Site)),
            ("hosts.yaml", Some(Part::Hosts)),
            ("plans/nightly.yaml", Some(Part::Plan)),
            ("plans/nightly.yml", Some(Part::Stray)),
            ("site.yml", Some(Part::Stray)),
            ("parts/nightly.yaml", Some(Part::Included)),
            ("parts/nightly.yml", Some(Part::Stray)),
            ("parts/old/nightly.yaml", None),
            ("README.md", None),
            ("other.yaml", None),
            ("plans/old/nightly.yaml", None),
            ("plans/.nightly.yaml", None),
            ("plans/nightly.yaml~", None),
            ("plans/README", None),
        ] {
            assert_eq!(part(path), expect, "{path}");
        }
    }

    #[test]
    fn the_version_follows_names_and_contents() {
        let version = |files: &[(&str, &str)]| {
            let mut all = SiteFiles::new("x");
            files.iter().for_each(|(path, content)| all.insert(*path, *content));
            all.version()
        };
        let one = version(&[("site.yaml", "a"), ("plans/b.yaml", "c")]);
        assert_eq!(one, version(&[("plans/b.yaml", "c"), ("site.yaml", "a"), ("README.md", "new")]));
        assert_ne!(one, version(&[("site.yaml", "a"), ("plans/b.yaml", "d")]));
        assert_ne!(one, version(&[("site.yaml", "a"), ("plans/c.yaml", "c")]));
        assert_ne!(version(&[("site.yaml", "ab")]), version(&[("site.yaml", "a")]));
        assert_eq!(one.to_string().len(), 64);
        assert_eq!(one.short(), one.to_string()[..12]);
    }
}
