//! `strongroom repo usage`: who uses how much of what is stored.

use std::io::{self, Write};

use clap::Args;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use strongroom_controller::PLAN_TAG;
use strongroom_repository::shares::{self, Share, Shares};
use strongroom_repository::{Manifest, RepositoryId};

use crate::access::LocatedArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Answer, csv_line};
use crate::shown::{Align, Table, count, size, time};

/// Show who uses how much of what is stored
#[derive(Debug, Args)]
#[command(after_help = "\
UNIQUE comes free if all snapshots of a row go; SHARED is needed by others, too; SHARE is the unique \
bytes and an even part of the shared ones. All shares, and what is nobody's, sum up to what the store \
holds. Reads no data: one listing, the index, and the snapshots themselves.

Examples:
  strongroom repo usage /srv/backup
  strongroom repo usage /srv/backup --by plan
  strongroom repo usage /srv/backup --by tag:tenant --csv > usage.csv")]
pub(crate) struct UsageArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// What snapshots are grouped by: `host`, `plan`, or a label, as `tag:tenant`
    #[arg(long, value_name = "WHAT", default_value = "host", value_parser = By::parse)]
    by: By,

    /// Print lines of comma-separated values, with sizes in bytes
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// What snapshots are grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    Host,
    Tag(String),
}

impl By {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "host" => Ok(Self::Host),
            None if text == PLAN_TAG => Ok(Self::Tag(PLAN_TAG.into())),
            Some(("tag", name)) if !name.is_empty() => Ok(Self::Tag(name.into())),
            _ => Err("write host, plan or tag:NAME".into()),
        }
    }

    fn of(&self, manifest: &Manifest) -> Option<String> {
        match self {
            Self::Host => Some(manifest.host.clone()),
            Self::Tag(name) => manifest.tags.get(name).cloned(),
        }
    }
}

impl std::fmt::Display for By {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host => out.write_str("host"),
            Self::Tag(name) => out.write_str(name),
        }
    }
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

pub(crate) fn run(args: &UsageArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let what = format!("find out who uses the repository at {}", opened.location);
    let shares = context.wait(&what, shares::gather(&opened.repository, |manifest| args.by.of(manifest)))?;
    let used = Used {
        repository: opened.repository.id(),
        location: opened.location.to_string(),
        at: Timestamp::now(),
        by: args.by.clone(),
        overhead_bytes: shares.overhead_bytes(),
        shares,
    };
    match args.csv {
        true => {
            let mut out = context.output.items();
            out.bytes(used.csv().as_bytes())?;
            out.finish()?;
        }
        false => context.output.answer(&used)?,
    }
    Ok(if used.shares.unreadable.is_empty() { Exit::Success } else { Exit::Damaged })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Used {
    repository: RepositoryId,
    location: String,
    at: Timestamp,
    by: By,
    overhead_bytes: u64,
    #[serde(flatten)]
    shares: Shares,
}

impl Used {
    /// Each line stands by itself, so that the lines of many repositories and days can be put together; the last column sums up to what is stored.
    fn csv(&self) -> String {
        let head = "at,repository,location,by,row,name,snapshots,unique-bytes,shared-bytes,share-bytes";
        let mut text = csv_line(head.split(','));
        let (at, repository, by) = (self.at.to_string(), self.repository.to_string(), self.by.to_string());
        let mut row = |row: &str, name: &str, figures: [u64; 4]| {
            let figures = figures.map(|figure| figure.to_string());
            let front = [&at, &repository, &self.location, &by, row, name];
            text += &csv_line(front.into_iter().chain(figures.iter().map(String::as_str)));
        };
        for Share { name, snapshots, unique_bytes, shared_bytes, fair_bytes, .. } in &self.shares.shares {
            let figures = [*snapshots, *unique_bytes, *shared_bytes, *fair_bytes];
            row("used", name.as_deref().unwrap_or_default(), figures);
        }
        for (name, bytes) in self.nobodys() {
            row(name, "", [0, bytes, 0, bytes]);
        }
        text
    }

    fn nobodys(&self) -> [(&'static str, u64); 3] {
        let Shares { unused_bytes, unreferred_bytes, .. } = &self.shares;
        [("unused", *unused_bytes), ("unreferred", *unreferred_bytes), ("overhead", self.overhead_bytes)]
    }
}

impl Answer for Used {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = [
            ("SNAPSHOTS", Align::Right),
            ("NEWEST", Align::Left),
            ("UNIQUE", Align::Right),
            ("SHARED", Align::Right),
            ("SHARE", Align::Right),
        ];
        let mut table = Table::new(&[&[("NAME", Align::Left)][..], &columns].concat());
        for share in &self.shares.shares {
            table.row([
                share.name.clone().unwrap_or_else(|| format!("(no {})", self.by)),
                count(share.snapshots),
                share.newest.map(time).unwrap_or_default(),
                size(share.unique_bytes),
                size(share.shared_bytes),
                size(share.fair_bytes),
            ]);
        }
        table.write(out)?;
        let overhead = self.shares.overhead.iter().filter(|(_, bytes)| **bytes > 0);
        let overhead: Vec<String> = overhead.map(|(name, bytes)| format!("{name} {}", size(*bytes))).collect();
        writeln!(out)?;
        writeln!(out, "stored      {}", size(self.shares.stored_bytes))?;
        writeln!(
            out,
            "unused      {}: no snapshot needs it; `strongroom repo prune` frees it",
            size(self.shares.unused_bytes)
        )?;
        writeln!(out, "unreferred  {}: of backups that go on, or broke off", size(self.shares.unreferred_bytes))?;
        writeln!(out, "overhead    {}: {}", size(self.overhead_bytes), overhead.join(", "))?;
        for id in &self.shares.unreadable {
            writeln!(out, "snapshot {id} cannot be read: what only it needs counts as unused")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_grouped_by_is_read_or_refused() {
        assert_eq!(By::parse("host"), Ok(By::Host));
        assert_eq!(By::parse("plan"), Ok(By::Tag("plan".into())));
        assert_eq!(By::parse("tag:tenant"), Ok(By::Tag("tenant".into())));
        for text in ["", "tag", "tag:", "tenant", "label:tenant"] {
            assert!(By::parse(text).is_err(), "{text}");
        }
    }
}
