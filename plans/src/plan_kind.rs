//! Of which kind a file of the plans is: told before it is read, by what its `kind` says.

use crate::text::Span;
use crate::tree::{Content, Node};

/// What a file of the plans is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlanKind {
    /// Also what says nothing, or nothing that is known: its reader reports that.
    Backup,
    Restore,
    Drill,
}

/// The word of a restore plan.
pub(crate) const RESTORE: &str = "restore";
/// The word of a file that says how several plans are drilled.
pub(crate) const DRILL: &str = "drill";

/// The kind, and where it is said; the whole file where it is not.
pub(crate) fn of(root: &Node) -> (PlanKind, &Span) {
    let usual = (PlanKind::Backup, &root.span);
    let Content::Mapping(entries) = &root.content else { return usual };
    let Some(entry) = entries.iter().find(|entry| entry.key == "kind") else { return usual };
    match &entry.value.content {
        Content::Scalar { text, .. } if text == RESTORE => (PlanKind::Restore, &entry.value.span),
        Content::Scalar { text, .. } if text == DRILL => (PlanKind::Drill, &entry.value.span),
        _ => usual,
    }
}
