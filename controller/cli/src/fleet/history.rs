//! Runs as a table.

use std::io::{self, Write};

use serde::Serialize;
use strongroom_controller::runs::Run;

use crate::choice::short_id;
use crate::output::Answer;
use crate::shown::{Align, Table, duration, time};

/// Runs, the latest due first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Runs(pub(super) Vec<Run>);

impl Answer for Runs {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("RUN", Align::Left),
            ("PLAN", Align::Left),
            ("HOST", Align::Left),
            ("DUE", Align::Left),
            ("KIND", Align::Left),
            ("END", Align::Left),
            ("TOOK", Align::Right),
            ("PROOF", Align::Left),
            ("SNAPSHOTS", Align::Left),
            ("", Align::Left),
        ]);
        self.0.iter().for_each(|run| table.row(cells(run)));
        table.write(out)
    }
}

fn cells(run: &Run) -> [String; 10] {
    let ended = run.ended.as_ref();
    let state = match (&run.started, ended) {
        (_, Some(ended)) => ended.ending.to_string(),
        (Some(_), None) => "running".into(),
        (None, None) => "waiting".into(),
    };
    let took = run.started.zip(ended).map(|(started, ended)| ended.at.duration_since(started).unsigned_abs());
    let snapshots = ended.map(|ended| ended.snapshots.iter().map(|id| short_id(id)).collect::<Vec<_>>().join(" "));
    [
        run.id.to_string(),
        run.plan.clone(),
        run.host.clone(),
        time(run.due),
        run.kind.to_string(),
        state,
        took.map(duration).unwrap_or_default(),
        ended.and_then(|ended| ended.proof.clone()).unwrap_or_default(),
        snapshots.unwrap_or_default(),
        ended.and_then(|ended| ended.reason.clone()).unwrap_or_default(),
    ]
}
