//! `strongroom key remove`: a holder or writer out.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_repository::keys::KeyRecord;

use crate::access::RepositoryArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Answer;

/// Take a holder's or writer's key away
#[derive(Debug, Args)]
#[command(after_help = "\
What a removed holder has read stays read: run `strongroom key rotate` afterwards, so that it opens \
nothing new. Snapshots that a removed writer signed can no longer be checked and are refused. The \
last holder cannot be removed.

Examples:
  strongroom key remove --repo /srv/backup ops --dry-run
  strongroom key remove --repo /srv/backup ops && strongroom key rotate --repo /srv/backup")]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    repository: RepositoryArgs,

    /// Whose key, as `strongroom key list` names it
    #[arg(value_name = "NAME")]
    holder: String,

    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &RemoveArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let what = format!("remove '{}' from {}", args.holder, opened.location);
    let records = context.wait(&what, opened.repository.key_records())?;
    let named = |record: &KeyRecord| match record {
        KeyRecord::Holder(holder) => holder.holder == args.holder,
        KeyRecord::Writer(writer) => writer.holder == args.holder,
    };
    let found: Vec<&(String, KeyRecord)> = records.iter().filter(|(_, record)| named(record)).collect();
    if found.is_empty() {
        let why = Cause::Absent("nobody of that name has a key".into());
        return Err(Failure::new(what, why).advise("`strongroom key list` shows all names"));
    }
    let was_holder = found.iter().any(|(_, record)| matches!(record, KeyRecord::Holder(_)));
    let objects: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
    if !args.dry_run {
        context.wait(&what, opened.repository.remove_holder(&args.holder))?;
    }
    context.output.answer(&Removed { holder: args.holder.clone(), objects, was_holder, dry_run: args.dry_run })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Removed {
    holder: String,
    objects: Vec<String>,
    was_holder: bool,
    dry_run: bool,
}

impl Answer for Removed {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would remove" } else { "removed" };
        writeln!(out, "{verb} {} key objects of '{}'", self.objects.len(), self.holder)?;
        if self.was_holder && !self.dry_run {
            writeln!(out, "next: `strongroom key rotate`, so that '{}' opens nothing new", self.holder)?;
        }
        Ok(())
    }
}
