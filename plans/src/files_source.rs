//! Paths of a host that are backed up, and what is left out below them.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::exclude::{ExcludeGlob, Excludes};
use crate::fields::Fields;
use crate::findings::Findings;
use crate::size::ByteSize;
use crate::source_path::SourcePath;
use crate::text::Span;
use crate::tree::Node;
use crate::values::{self, Written};

/// Files and directories that are backed up together, into one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FilesSource {
    files: Vec<SourcePath>,
    exclude: Excludes,
    exclude_caches: bool,
    one_file_system: bool,
    #[serde(rename = "exclude-larger-than-bytes")]
    exclude_larger_than: Option<ByteSize>,
}

impl FilesSource {
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

    /// Whether a backup would come from one of the roots to the path.
    pub(crate) fn covers_from(&self, root: &Path, path: &Path) -> bool {
        let below_root = path.ancestors().take_while(|ancestor| *ancestor != root);
        path.starts_with(root) && !self.exclude.leave_out_any(below_root)
    }

    /// Reads the keys of a source that has files, and where each of its roots stands.
    pub(crate) fn read(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<(Self, Vec<Span>)> {
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

impl FilesSource {
    /// What is left out, for people.
    fn omissions(&self) -> impl Iterator<Item = String> {
        let patterns = self.exclude.iter().map(|pattern| pattern.as_str().to_owned());
        let caches = self.exclude_caches.then(|| "cache directories".to_owned());
        let larger = self.exclude_larger_than.map(|size| format!("files larger than {size}"));
        let mounted = self.one_file_system.then(|| "other mounted file systems".to_owned());
        patterns.chain(caches).chain(larger).chain(mounted)
    }
}

impl fmt::Display for FilesSource {
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
