//! What was forgotten, as an answer.

use std::io::{self, Write};

use serde::Serialize;
use strongroom_controller::SourceRetention;
use strongroom_plans::Verdict;
use strongroom_repository::{Forgotten as Commit, ObjectId, Snapshot};

use crate::choice::short_id;
use crate::output::Answer;
use crate::shown::{Align, Table, count, size, time};

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Forgotten {
    /// The snapshots that go.
    forgotten: Vec<ObjectId>,
    /// How many of those that were looked at stay.
    kept: usize,
    /// Each source, where rules were asked.
    sources: Vec<SourceRetention>,
    /// Why nothing was forgotten although something should be.
    refused: Vec<String>,
    /// The commit; none for a rehearsal, a refusal, or where nothing goes.
    commit: Option<u64>,
    /// Bytes of the reserve that was given up because the store was full.
    reserve_used_bytes: u64,
}

impl Forgotten {
    pub(super) fn by_name(snapshots: &[Snapshot], commit: Option<Commit>) -> Self {
        let forgotten = snapshots.iter().map(|snapshot| snapshot.id).collect();
        Self { forgotten, kept: 0, ..Self::by_rules(Vec::new(), commit, Vec::new()) }
    }

    pub(super) fn by_rules(sources: Vec<SourceRetention>, commit: Option<Commit>, refused: Vec<String>) -> Self {
        let all = || sources.iter().flat_map(|source| &source.snapshots);
        let going = |kept: &&strongroom_controller::Kept| kept.verdict == Verdict::Drop;
        let forgotten: Vec<ObjectId> = all().filter(going).map(|kept| kept.snapshot).collect();
        let kept = all().count() - forgotten.len();
        let reserve_used_bytes = commit.map_or(0, |commit| commit.reserve_used_bytes);
        Self { forgotten, kept, sources, refused, commit: commit.map(|commit| commit.commit), reserve_used_bytes }
    }
}

/// What is said of a source of which too many would go.
pub(crate) fn excess(source: &SourceRetention) -> Option<String> {
    let excess = source.excess?;
    Some(format!(
        "{} of {} snapshots of {} on {} would go at once",
        excess.dropped,
        excess.of,
        source.sources.join(" "),
        source.host
    ))
}

impl Answer for Forgotten {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for source in &self.sources {
            let plan = source.plan.as_ref().map(|plan| format!(", plan {plan}")).unwrap_or_default();
            writeln!(out, "{}{plan}: {}", source.host, source.sources.join(" "))?;
            let mut table = Table::new(&[("ID", Align::Left), ("TIME", Align::Left), ("VERDICT", Align::Left)]);
            for kept in &source.snapshots {
                table.row([short_id(&kept.snapshot.hex()), time(kept.time), kept.verdict.to_string()]);
            }
            table.write(out)?;
            writeln!(out)?;
        }
        for reason in &self.refused {
            writeln!(out, "REFUSED: {reason}")?;
        }
        if self.reserve_used_bytes > 0 {
            writeln!(
                out,
                "the store was full: the reserve of {} was used. Run `strongroom repo prune` now: it makes room, and a new reserve",
                size(self.reserve_used_bytes)
            )?;
        }
        let (forgotten, kept) = (count(self.forgotten.len() as u64), count(self.kept as u64));
        match self.commit {
            Some(commit) => writeln!(
                out,
                "forgotten: {forgotten}; kept: {kept} (commit {commit}). `strongroom repo prune` makes room."
            ),
            None if self.forgotten.is_empty() => writeln!(out, "nothing to forget; kept: {kept}"),
            None => writeln!(out, "would be forgotten: {forgotten}; kept: {kept}; nothing was changed"),
        }
    }
}
