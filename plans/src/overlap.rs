//! Paths that get into each other's way: roots that are read twice, and a repository among what it stores.
//!
//! Judged by the paths as they are written; links and mounts are unknown here.

use std::collections::BTreeMap;
use std::path::Path;

use crate::fault::Code;
use crate::findings::Findings;
use crate::report::quoted;
use crate::source::Source;
use crate::text::Span;
use crate::values::Refusal;

/// A root, and where it stands in the text.
struct Root<'s> {
    source: &'s Source,
    path: &'s Path,
    span: &'s Span,
}

/// Two roots that cover the same files would store them twice and restore them over each other. Takes each source
/// with the places of its roots.
pub(crate) fn report_paths_read_twice(sources: &[(Source, Vec<Span>)], findings: &mut Findings<'_>) {
    let roots: Vec<_> = sources.iter().flat_map(|(source, spans)| roots(source, spans)).collect();
    let mut by_path: BTreeMap<&Path, Vec<&Root<'_>>> = BTreeMap::new();
    for root in &roots {
        by_path.entry(root.path).or_default().push(root);
    }
    for root in &roots {
        let at_or_above = root.path.ancestors().filter_map(|path| by_path.get(path)).flatten();
        if let Some(other) = at_or_above.into_iter().find(|other| other.reads(root)) {
            let line = findings.text().line_of(other.span.start);
            let (path, by) = (quoted(&root.path.to_string_lossy()), quoted(&other.path.to_string_lossy()));
            let reason = format!("{path} is backed up already, by {by} on line {line}");
            let remedy = "leave one of the two out, or exclude it from the other";
            findings.report(Code::PathTwice, root.span, reason, remedy);
        }
    }
}

fn roots<'s>(source: &'s Source, spans: &'s [Span]) -> impl Iterator<Item = Root<'s>> {
    let paths = source.roots().iter().zip(spans);
    paths.map(move |(path, span)| Root { source, path: path.as_path(), span })
}

impl Root<'_> {
    /// Of two that are the same, the first reads the second.
    fn reads(&self, other: &Root<'_>) -> bool {
        let is_before = self.span.start < other.span.start;
        (self.path != other.path || is_before) && self.source.covers_from(self.path, other.path)
    }
}

/// Why the repository cannot be there, if a backup would read it, or read from within it.
pub(crate) fn with_repository(sources: &[Source], repository: &Path) -> Option<Refusal> {
    let shown = quoted(&repository.to_string_lossy());
    if sources.iter().any(|source| source.covers(repository)) {
        let reason = format!("the repository {shown} lies in a source, so each backup would store the ones before it");
        return Some(Refusal::new(reason, "move it elsewhere, or exclude its directory from the source"));
    }
    let mut roots = sources.iter().flat_map(Source::files);
    let inside = roots.find(|path| path.as_path().starts_with(repository))?;
    let reason = format!("the source {} lies in the repository {shown}", quoted(&inside.to_string()));
    Some(Refusal::new(reason, "give the repository a directory of its own"))
}
