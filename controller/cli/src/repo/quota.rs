//! `strongroom repo quota` and `repo adopt`: what this machine is to know of a place.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_plans::ByteSize;
use strongroom_repository::RepositoryId;

use crate::access::LocatedArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::place_memory::PlaceMemory;
use crate::shown::size;

/// Show or set how much a repository may hold
#[derive(Debug, Args)]
#[command(after_help = "\
A backup that surely goes beyond it is refused before a byte is written, and `repo capacity` tells when \
it is reached. It is kept in this machine's state folder: other machines do not know of it. For the \
hosts of a site, `quotas:` in site.yaml.

Examples:
  strongroom repo quota s3://bucket/prefix '2 TiB'
  strongroom repo quota s3://bucket/prefix
  strongroom repo quota s3://bucket/prefix none")]
pub(crate) struct QuotaArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// A size such as `2 TiB`, or `none`
    #[arg(value_name = "SIZE", value_parser = Wanted::parse)]
    wanted: Option<Wanted>,

    /// Only say what would be set
    #[arg(long)]
    dry_run: bool,
}

/// What is to hold.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    None,
    Bytes(u64),
}

impl Wanted {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            size => size.parse::<ByteSize>().map(|size| Self::Bytes(size.bytes())).map_err(|bad| bad.to_string()),
        }
    }
}

pub(crate) fn run(args: &QuotaArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let memory = PlaceMemory::of(&opened, context)?;
    memory.check(opened.repository.id(), context)?;
    let before = memory.known(context)?.and_then(|known| known.quota_bytes);
    let quota_bytes = match args.wanted {
        None => before,
        Some(Wanted::None) => None,
        Some(Wanted::Bytes(bytes)) => Some(bytes),
    };
    if quota_bytes != before && !args.dry_run {
        memory.remember(opened.repository.id(), quota_bytes)?;
    }
    context.output.answer(&Set { dry_run: args.dry_run, repository: opened.repository.id(), quota_bytes, before })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Set {
    dry_run: bool,
    repository: RepositoryId,
    quota_bytes: Option<u64>,
    before: Option<u64>,
}

impl Answer for Set {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let shown = |bytes: Option<u64>| bytes.map_or_else(|| "none".into(), size);
        let (before, now) = (shown(self.before), shown(self.quota_bytes));
        match (self.before == self.quota_bytes, self.dry_run) {
            (true, _) => writeln!(out, "quota  {now}"),
            (false, true) => writeln!(out, "would be {now}, and is {before}"),
            (false, false) => writeln!(out, "quota  {now}; it was {before}"),
        }
    }
}

/// Take the repository that lies at a place for the one that belongs there
#[derive(Debug, Args)]
#[command(after_help = "\
This machine remembers which repository lies where, and writes to no other one at that place: the wrong \
disk may be mounted. Where a repository was replaced on purpose, this says so.

Examples:
  strongroom repo adopt /srv/backup --dry-run
  strongroom repo adopt /srv/backup")]
pub(crate) struct AdoptArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// Only say what would be remembered
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn adopt(args: &AdoptArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let memory = PlaceMemory::of(&opened, context)?;
    let known = memory.known(context)?;
    let repository = opened.repository.id();
    let before = known.as_ref().map(|known| known.repository);
    if before != Some(repository) && !args.dry_run {
        // The limit was another repository's.
        memory.remember(repository, None)?;
    }
    context.output.answer(&Adopted {
        dry_run: args.dry_run,
        location: opened.location.to_string(),
        repository,
        before,
    })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Adopted {
    dry_run: bool,
    location: String,
    repository: RepositoryId,
    before: Option<RepositoryId>,
}

impl Answer for Adopted {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { dry_run, location, repository, before } = self;
        let before = before.map_or_else(|| "nothing was known".into(), |before| format!("{before} was known"));
        let belongs = if *dry_run { "would belong" } else { "belongs" };
        writeln!(out, "{repository} {belongs} at {location}; {before}")
    }
}
