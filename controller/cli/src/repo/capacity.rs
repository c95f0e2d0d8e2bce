//! `strongroom repo capacity`: whether there is room, and until when.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use strongroom_controller::capacity::{AlarmLevels, Basis, Outlook, Wall, outlook};
use strongroom_repository::RepositoryId;

use crate::access::{LocatedArgs, Opened};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::place_memory::PlaceMemory;
use crate::room;
use crate::shown::size;

/// Show how much room there is, how fast it goes, and when it is full
#[derive(Debug, Args)]
#[command(after_help = "\
Each run notes the day's figures in the state folder; so do `backup`, `run`, `prune` and `repo stats`. \
The growth is the median over the last 60 days, from these notes, or from what the snapshots added as \
long as fewer than seven days are noted. A bucket has no end that it could tell: give it one with \
`repo quota`. Ends with 4 from the first alarm level on.

Examples:
  strongroom repo capacity /srv/backup
  strongroom repo capacity /srv/backup --alarm-at 80,90
  strongroom repo capacity s3://bucket/prefix --json | jq '.walls[0].\"full-on\"'")]
pub(crate) struct CapacityArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// Percents of the room from which on it alarms
    #[arg(long, value_name = "PERCENTS", default_value = "75,85,95", value_parser = AlarmLevels::parse)]
    alarm_at: AlarmLevels,
}

pub(crate) fn run(args: &CapacityArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let measure = room::note(&opened, Some(room::stored(&opened, context)?), context)?;
    let memory = PlaceMemory::of(&opened, context)?;
    let quota_bytes = memory.known(context)?.and_then(|known| known.quota_bytes);
    let today = Timestamp::now().to_zoned(TimeZone::system()).date();
    let walls = outlook(today, &memory.measures()?, quota_bytes, &added(&opened, context)?);
    let level = walls.iter().filter_map(|wall| args.alarm_at.reached(wall.used_part())).max();
    context.output.answer(&Capacity {
        repository: opened.repository.id(),
        location: opened.location.to_string(),
        stored_bytes: measure.stored_bytes,
        free_bytes: measure.free_bytes,
        total_bytes: measure.total_bytes,
        quota_bytes,
        walls,
        alarm_at: args.alarm_at.clone(),
        level,
    })?;
    Ok(if level.is_some() { Exit::Damaged } else { Exit::Success })
}

/// What the snapshots in force added, by the day of their commit as far as their own clocks tell: none is older than what was committed before it.
fn added(opened: &Opened, context: &Context) -> Result<Vec<(Date, u64)>, Failure> {
    if !opened.repository.key().can_read() {
        return Ok(Vec::new());
    }
    let found = context.wait("read the snapshots", opened.repository.snapshots())?;
    let by_id: BTreeMap<_, _> = found.readable.iter().map(|snapshot| (snapshot.id, &snapshot.manifest)).collect();
    let mut latest = Timestamp::MIN;
    let in_order = opened.repository.history();
    let manifests = in_order.snapshots.iter().filter_map(|added| by_id.get(&added.snapshot));
    let dated = manifests.map(|manifest| {
        latest = latest.max(manifest.finished);
        (latest.to_zoned(TimeZone::system()).date(), manifest.totals.bytes_stored)
    });
    Ok(dated.collect())
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Capacity {
    repository: RepositoryId,
    location: String,
    stored_bytes: Option<u64>,
    free_bytes: Option<u64>,
    total_bytes: Option<u64>,
    quota_bytes: Option<u64>,
    /// The one that is met first in front.
    walls: Vec<Outlook>,
    alarm_at: AlarmLevels,
    /// The highest alarm level that is reached.
    level: Option<u8>,
}

impl Answer for Capacity {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let shown = |bytes: Option<u64>| bytes.map_or_else(|| "not known".into(), size);
        writeln!(out, "repository  {}", self.repository)?;
        writeln!(out, "location    {}", self.location)?;
        writeln!(out, "stored      {}", shown(self.stored_bytes))?;
        writeln!(out, "free        {} of {}", shown(self.free_bytes), shown(self.total_bytes))?;
        writeln!(out, "quota       {}", self.quota_bytes.map_or_else(|| "none".into(), size))?;
        for wall in &self.walls {
            writeln!(out, "{:<12}{}", name(wall.wall), told(wall))?;
        }
        match self.level {
            Some(level) => writeln!(out, "level       ALARM: {level} % is reached"),
            None if self.walls.is_empty() => {
                writeln!(out, "level       not known: give it a limit with `strongroom repo quota`")
            }
            None => writeln!(out, "level       fine"),
        }
    }
}

fn name(wall: Wall) -> &'static str {
    match wall {
        Wall::Disk => "disk",
        Wall::Quota => "of quota",
    }
}

fn told(wall: &Outlook) -> String {
    let part = format!("{:.1} % used, {} left", wall.used_part() * 100.0, size(wall.free_bytes));
    let Some(growth) = wall.growth_bytes_a_day else { return format!("{part}; its growth is not known yet") };
    let grows = if growth >= 0.0 { "grows" } else { "shrinks" };
    let basis = match wall.basis {
        Some(Basis::Measured) => "measured",
        Some(Basis::Snapshots) | None => "by what snapshots added",
    };
    let days = wall.basis_days.unwrap_or_default();
    let full = wall.full_on.map_or_else(|| "not full within ten years".into(), |day| format!("full on {day}"));
    format!("{part}; {grows} by {} a day ({basis} over {days} days): {full}", size(growth.abs() as u64))
}
