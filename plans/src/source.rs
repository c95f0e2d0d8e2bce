//! What is backed up: paths of this host, and what is left out below them.
//!
//! Each source becomes one snapshot. Other kinds of source (databases, disk images) will be further keys beside
//! `files`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use crate::exclude::{ExcludeGlob, Excludes};
use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::report::quoted;
use crate::size::ByteSize;
use crate::text::Span;
use crate::tree::Node;
use crate::values::{self, Refusal, Written};
use crate::words::Meaning;

/// Files and directories that are backed up together, into one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Source {
    files: Vec<SourcePath>,
    exclude: Excludes,
    exclude_caches: bool,
    one_file_system: bool,
    #[serde(rename = "exclude-larger-than-bytes")]
    exclude_larger_than: Option<ByteSize>,
}

/// An absolute path without `.`, `..`, doubled or trailing slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SourcePath(PathBuf);

/// The kernel's PATH_MAX.
const PATH_BYTES_MAX: usize = 4096;
const DATABASES: &str = "until then, dump the database into a directory and back that up";

static SHAPE: Shape = Shape {
    title: "a source",
    keys: &[
        ("files", Meaning::Now("[/etc, /srv]")),
        ("exclude", Meaning::Now("[\"*.tmp\"]")),
        ("exclude-caches", Meaning::Now("true")),
        ("one-file-system", Meaning::Now("true")),
        ("exclude-larger-than", Meaning::Now("1 GiB")),
        ("postgresql", Meaning::Later(DATABASES)),
        ("mysql", Meaning::Later(DATABASES)),
    ],
};

impl Source {
    /// The roots, at least one.
    pub fn files(&self) -> &[SourcePath] {
        &self.files
    }

    /// What is left out below the roots.
    pub fn exclude(&self) -> &Excludes {
        &self.exclude
    }

    /// Whether what is in directories that are marked as caches (by a CACHEDIR.TAG) is left out.
    pub fn excludes_caches(&self) -> bool {
        self.exclude_caches
    }

    /// Whether other file systems that are mounted below the roots are left out.
    pub fn stays_on_one_file_system(&self) -> bool {
        self.one_file_system
    }

    /// Files of more bytes than this are left out.
    pub fn exclude_larger_than(&self) -> Option<ByteSize> {
        self.exclude_larger_than
    }

    /// Whether a backup of this source would read the path, as far as paths and patterns alone can tell.
    pub fn covers(&self, path: &Path) -> bool {
        self.files.iter().any(|root| self.covers_from(root.as_path(), path))
    }

    /// Whether a backup would come from one of the roots to the path.
    pub(crate) fn covers_from(&self, root: &Path, path: &Path) -> bool {
        let below_root = path.ancestors().take_while(|ancestor| *ancestor != root);
        path.starts_with(root) && !self.exclude.leave_out_any(below_root)
    }

    /// Reads one source, and where each of its roots stands.
    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<(Self, Vec<Span>)> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        // A database in place of files is one fault, not two.
        let files = if fields.has_later_key() {
            fields.optional("files", findings, read_roots)
        } else {
            fields.required("files", findings, read_roots)
        };
        let exclude = match fields.node("exclude") {
            Some(node) => values::list(node, ExcludeGlob::WHAT, findings, values::written),
            None => Some(Vec::new()),
        };
        let exclude_caches = fields.optional("exclude-caches", findings, values::flag);
        let one_file_system = fields.optional("one-file-system", findings, values::flag);
        let exclude_larger_than = fields.optional("exclude-larger-than", findings, values::written);
        let (files, spans) = files?.into_iter().unzip();
        let source = Self {
            files,
            exclude: Excludes::new(exclude?),
            exclude_caches: exclude_caches.unwrap_or(false),
            one_file_system: one_file_system.unwrap_or(false),
            exclude_larger_than,
        };
        Some((source, spans))
    }
}

fn read_roots(node: &Node, findings: &mut Findings<'_>) -> Option<Vec<(SourcePath, Span)>> {
    values::faultless_items(node, SourcePath::WHAT, findings, |node, findings| {
        Some((values::written(node, findings)?, node.span.clone()))
    })
}

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
}

impl fmt::Display for SourcePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(out)
    }
}

impl Source {
    /// What is left out, for people.
    fn omissions(&self) -> impl Iterator<Item = String> {
        let patterns = self.exclude.iter().map(|pattern| pattern.as_str().to_owned());
        let caches = self.exclude_caches.then(|| "cache directories".to_owned());
        let larger = self.exclude_larger_than.map(|size| format!("files larger than {size}"));
        let mounted = self.one_file_system.then(|| "other mounted file systems".to_owned());
        patterns.chain(caches).chain(larger).chain(mounted)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(SourcePath::to_string).collect();
        out.write_str(&files.join(", "))?;
        let omissions: Vec<_> = self.omissions().collect();
        if omissions.is_empty() {
            return Ok(());
        }
        write!(out, " (without {})", omissions.join(", "))
    }
}
