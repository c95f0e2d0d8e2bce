//! `strongroom snapshots`: what can be restored.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_repository::{Manifest, ObjectId, Snapshot, SnapshotKind, Snapshots};

use crate::access::RepositoryArgs;
use crate::choice::{self, short_id};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Answer;
use crate::shown::{Align, Table, count, size, time};

/// List the snapshots, oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom snapshots --repo /srv/backup
  strongroom snapshots --repo /srv/backup --host web1 --tag system=billing
  strongroom snapshots --repo /srv/backup --json | jq -r '.[].id'")]
pub(crate) struct SnapshotsArgs {
    #[command(flatten)]
    repository: RepositoryArgs,

    /// Only those of this host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// Only those with this tag, or with this value of it; all of them if given more than once
    #[arg(long = "tag", value_name = "NAME[=VALUE]")]
    tags: Vec<String>,
}

pub(crate) fn run(args: &SnapshotsArgs, context: &Context) -> Result<Exit, Failure> {
    let wanted = args.tags.iter().map(|text| WantedTag::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let opened = args.repository.open(context)?;
    let Snapshots { readable: mut snapshots, unreadable } = choice::all(&opened, context)?;
    snapshots.retain(|snapshot| {
        let manifest = &snapshot.manifest;
        args.host.as_ref().is_none_or(|host| manifest.host == *host) && wanted.iter().all(|tag| tag.is_on(manifest))
    });
    let rows = snapshots.iter().map(SnapshotRow::new).collect();
    context.output.answer(&SnapshotList(rows))?;
    Ok(if unreadable.is_empty() { Exit::Success } else { Exit::Damaged })
}

struct WantedTag<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

impl<'a> WantedTag<'a> {
    fn parse(text: &'a str) -> Result<Self, Failure> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        if name.is_empty() {
            let why = Cause::Usage(format!("'{text}' has no name"));
            return Err(Failure::new("look for a tag", why).advise("write --tag NAME or --tag NAME=VALUE"));
        }
        Ok(Self { name, value })
    }

    fn is_on(&self, manifest: &Manifest) -> bool {
        manifest.tags.get(self.name).is_some_and(|found| self.value.is_none_or(|value| value == found))
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct SnapshotList<'a>(Vec<SnapshotRow<'a>>);

/// One snapshot; its manifest's fields stand beside the id.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotRow<'a> {
    id: ObjectId,
    signer: &'a str,
    #[serde(flatten)]
    manifest: &'a Manifest,
}

impl<'a> SnapshotRow<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        Self { id: snapshot.id, signer: &snapshot.signer, manifest: &snapshot.manifest }
    }
}

impl Answer for SnapshotList<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("ID", Align::Left),
            ("TIME", Align::Left),
            ("HOST", Align::Left),
            ("KIND", Align::Left),
            ("FILES", Align::Right),
            ("SIZE", Align::Right),
            ("STORED", Align::Right),
            ("PROBLEMS", Align::Right),
            ("SOURCES", Align::Left),
            ("TAGS", Align::Left),
        ]);
        for SnapshotRow { id, manifest, .. } in &self.0 {
            let totals = &manifest.totals;
            let tags: Vec<String> = manifest.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
            table.row([
                short_id(&id.hex()),
                time(manifest.time),
                manifest.host.clone(),
                kind(manifest.kind).into(),
                count(totals.files),
                size(totals.bytes),
                size(totals.bytes_stored),
                count(totals.problems),
                manifest.sources.join(" "),
                tags.join(" "),
            ]);
        }
        table.write(out)
    }
}

pub(crate) fn kind(kind: SnapshotKind) -> &'static str {
    match kind {
        SnapshotKind::Full => "full",
        SnapshotKind::Incremental => "incremental",
    }
}
