//! Whether a store has room, and for how long: pure, from what was measured day by day.
//!
//! There are two walls that a repository may run into: the end of its file system, which others fill, too, and a quota that somebody declared, as for a bucket. The one that is met
//! first counts. A trend is the median of all slopes between two days (Theil and Sen), so that a prune, a restore drill on the same disk or one huge backup does not bend it.

mod measures;
mod trend;

pub use measures::{Measure, Measures};
pub use trend::{Trend, trend};

use jiff::civil::Date;
use jiff::{Span, ToSpan};
use serde::Serialize;

/// Days that a trend looks back.
pub const TREND_DAYS: i64 = 60;
/// Fewer measured days than these say less than the snapshots do.
const MEASURED_DAYS_MIN: f64 = 7.0;
/// Nobody plans further ahead, and dates end somewhere.
const DAYS_AHEAD_MAX: f64 = 3650.0;

/// Parts of a store in hundredths, from which on somebody should act; ascending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AlarmLevels(Vec<u8>);

impl Default for AlarmLevels {
    fn default() -> Self {
        Self(vec![75, 85, 95])
    }
}

impl AlarmLevels {
    /// Reads `75,85,95`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let levels: Option<Vec<u8>> =
            text.split(',').map(|level| level.trim().parse().ok().filter(|level| (1..=100).contains(level))).collect();
        match levels {
            Some(levels) if levels.is_sorted_by(|left, right| left < right) => Ok(Self(levels)),
            _ => Err("write percents from 1 to 100, the smallest first, such as 75,85,95".into()),
        }
    }

    /// Whether there is no higher one.
    #[must_use]
    pub fn is_last(&self, level: u8) -> bool {
        self.0.last() == Some(&level)
    }

    /// The highest level that is reached.
    #[must_use]
    pub fn reached(&self, used: f64) -> Option<u8> {
        self.0.iter().rev().find(|level| used * 100.0 >= f64::from(**level)).copied()
    }
}

/// What a repository runs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wall {
    /// The end of its file system.
    Disk,
    /// The limit that was declared for it.
    Quota,
}

/// What a trend was found from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// What was measured day by day.
    Measured,
    /// What each snapshot in force has added.
    Snapshots,
}

/// One wall, and when it is met.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outlook {
    /// Which.
    pub wall: Wall,
    /// Bytes this side of it that are taken.
    pub used_bytes: u64,
    /// Bytes that are left.
    pub free_bytes: u64,
    /// Bytes that are taken more each day; nothing where nobody can tell yet.
    pub growth_bytes_a_day: Option<f64>,
    /// The day on which nothing is left, if it grows and that is within ten years.
    pub full_on: Option<Date>,
    /// What the growth was found from.
    pub basis: Option<Basis>,
    /// How many days it spans.
    pub basis_days: Option<u64>,
}

impl Outlook {
    /// The part that is taken, from 0 to 1; more than 1 beyond a quota.
    #[must_use]
    pub fn used_part(&self) -> f64 {
        let all = self.used_bytes.saturating_add(self.free_bytes);
        if all == 0 { 1.0 } else { self.used_bytes as f64 / all as f64 }
    }
}

/// Looks ahead from `today`: each wall that there is, the one that is met first in front. `added` is what snapshots added, by day.
#[must_use]
pub fn outlook(today: Date, measures: &Measures, quota_bytes: Option<u64>, added: &[(Date, u64)]) -> Vec<Outlook> {
    let Some(newest) = measures.newest() else { return Vec::new() };
    let snapshots = trend(&summed(&recent(today, added.iter().copied())));
    let mut walls = Vec::new();
    if let (Some(total), Some(free)) = (newest.total_bytes, newest.free_bytes) {
        let taken = measures
            .iter()
            .filter_map(|(day, measure)| Some((day, measure.total_bytes?.saturating_sub(measure.free_bytes?))));
        let measured = trend(&recent(today, taken));
        walls.push(look(today, Wall::Disk, (total.saturating_sub(free), free), (measured, snapshots)));
    }
    if let (Some(quota), Some(stored)) = (quota_bytes, newest.stored_bytes) {
        let stored_by_day = measures.iter().filter_map(|(day, measure)| Some((day, measure.stored_bytes?)));
        let measured = trend(&recent(today, stored_by_day));
        walls.push(look(today, Wall::Quota, (stored, quota.saturating_sub(stored)), (measured, snapshots)));
    }
    walls.sort_by(|left, right| {
        let far = (right.used_part(), left.used_part());
        let day = |outlook: &Outlook| outlook.full_on.unwrap_or(Date::MAX);
        day(left).cmp(&day(right)).then(far.0.total_cmp(&far.1))
    });
    walls
}

fn look(
    today: Date,
    wall: Wall,
    (used_bytes, free_bytes): (u64, u64),
    (measured, snapshots): (Option<Trend>, Option<Trend>),
) -> Outlook {
    let measured = measured.map(|trend| (trend, Basis::Measured));
    let long = measured.filter(|(trend, _)| trend.days >= MEASURED_DAYS_MIN);
    let found = long.or(snapshots.map(|trend| (trend, Basis::Snapshots))).or(measured);
    let growth = found.map(|(trend, _)| trend.bytes_a_day);
    Outlook {
        wall,
        used_bytes,
        free_bytes,
        growth_bytes_a_day: growth,
        full_on: growth.and_then(|growth| day_when_full(today, free_bytes, growth)),
        basis: found.map(|(_, basis)| basis),
        basis_days: found.map(|(trend, _)| trend.days.round() as u64),
    }
}

fn day_when_full(today: Date, free_bytes: u64, bytes_a_day: f64) -> Option<Date> {
    if free_bytes == 0 {
        return Some(today);
    }
    let days = free_bytes as f64 / bytes_a_day;
    let is_ahead = bytes_a_day > 0.0 && days <= DAYS_AHEAD_MAX;
    is_ahead.then(|| today.checked_add(days_of(days)).ok()).flatten()
}

fn days_of(days: f64) -> Span {
    (days as i64).days()
}

/// The days that a trend looks at, as days before today and bytes.
fn recent(today: Date, points: impl Iterator<Item = (Date, u64)>) -> Vec<(f64, f64)> {
    let ago = |day: Date| i64::from((day - today).get_days());
    points
        .map(|(day, bytes)| (ago(day), bytes))
        .filter(|(ago, _)| (-TREND_DAYS..=0).contains(ago))
        .map(|(ago, bytes)| (ago as f64, bytes as f64))
        .collect()
}

/// What was added up to each day; the days without anything between them count by their distance.
fn summed(added: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sum = 0.0;
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (day, bytes) in added {
        sum += bytes;
        match points.last_mut() {
            Some(last) if last.0 == *day => last.1 = sum,
            _ => points.push((*day, sum)),
        }
    }
    points
}

#[cfg(test)]
mod tests;
