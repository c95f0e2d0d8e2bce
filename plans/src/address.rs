//! Where the repository is, as a plan says it.
//!
//! A bare word is refused on purpose: in the plans of a site it is the name of a repository that the site declares,
//! and must not mean a directory elsewhere.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::report::quoted;
use crate::store_url::{self, StoreKind};
use crate::values::{Refusal, Written};

/// A directory (absolute, in a home directory, or beside the plan file), a place in a bucket, or a directory of another machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryAddress {
    written: String,
    base: Base,
    rest: PathBuf,
}

/// What a path starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Base {
    Root,
    Home,
    PlanDirectory,
    /// What is written is a URL, and there is no path.
    Store(StoreKind),
}

/// The places that only the caller knows; both absolute.
#[derive(Clone, Copy, Debug)]
pub struct Places<'p> {
    /// The home directory of the user who runs the plan.
    pub home: &'p Path,
    /// The directory of the plan file.
    pub plan_directory: &'p Path,
}

impl RepositoryAddress {
    /// The address as written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// What kind of store it names.
    pub fn kind(&self) -> StoreKind {
        match self.base {
            Base::Root | Base::Home | Base::PlanDirectory => StoreKind::Folder,
            Base::Store(kind) => kind,
        }
    }

    /// The directory that is meant, without `.` and `..`; none where it is no directory of this machine.
    pub(crate) fn resolve(&self, places: &Places<'_>) -> Option<PathBuf> {
        let base = match self.base {
            Base::Root => Path::new("/"),
            Base::Home => places.home,
            Base::PlanDirectory => places.plan_directory,
            Base::Store(_) => return None,
        };
        Some(without_dots(&base.join(&self.rest)))
    }

    /// The directory, if it is the same for every user and plan file.
    pub(crate) fn fixed(&self) -> Option<PathBuf> {
        (self.base == Base::Root).then(|| without_dots(&self.rest))
    }
}

impl FromStr for RepositoryAddress {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let directory = "write a directory (/path, ~/path, ./path), or s3://bucket/prefix, or sftp://user@host/path, or gateway://user@host/path";
        let refuse =
            |why: &str, remedy: &str| Err(Refusal::new(format!("the repository {} {why}", quoted(text)), remedy));
        let address = |base, rest: PathBuf| Ok(Self { written: text.to_owned(), base, rest });
        if text.chars().any(char::is_control) {
            return refuse("has line breaks or control characters", directory);
        }
        if let Some(rest) = text.strip_prefix("file://") {
            return match url_path(rest) {
                Some(path) => address(Base::Root, path),
                None => refuse(
                    "is not a URL of a directory on this host",
                    "write three slashes, such as file:///srv/backup, and % signs as %25",
                ),
            };
        }
        if let Some(kind) = store_url::kind_of(text) {
            return address(Base::Store(kind?), PathBuf::new());
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return refuse(&format!("is of a kind ({scheme}) that this release does not store in"), directory);
        }
        match text.split('/').next() {
            Some("") => address(Base::Root, PathBuf::from(text)),
            Some("~") => address(Base::Home, PathBuf::from(text.trim_start_matches(['~', '/']))),
            Some("." | "..") => address(Base::PlanDirectory, PathBuf::from(text)),
            Some(user) if user.starts_with('~') => refuse("starts in another user's home directory", directory),
            _ => refuse(
                "would be the name of a repository of a site, and this plan is in none",
                "write a directory: /path, ~/path or ./path; or put the plan into the `plans` of a site",
            ),
        }
    }
}

impl Written for RepositoryAddress {
    const WHAT: &'static str = "a directory such as ~/backup";
    const CODE: Code = Code::BadRepository;
}

impl fmt::Display for RepositoryAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.written)
    }
}

impl Serialize for RepositoryAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

/// The path of a file URL from behind its two slashes on: no host but this one, percent signs decoded.
fn url_path(rest: &str) -> Option<PathBuf> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return None;
    }
    let mut parts = path.split('%');
    let mut decoded = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        decoded.push(u8::from_str_radix(digits, 16).ok().filter(|byte| *byte != 0)?);
        decoded.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(decoded).ok().map(PathBuf::from)
}

/// Works on the text of the path alone, so `..` behind a symbolic link goes where it reads, not where it leads.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
