//! What the retention rules come to: which restore points stay on a given day, and why.
//!
//! Pure: the same rules, points and time give the same answer. What holds for every input:
//! - The newest restore point stays. So does every one from the future, which a wrong clock may have made; it
//!   takes no other one's place.
//! - Periods without a restore point do not count: after a month of silence `daily: 14` still keeps fourteen days,
//!   not an empty fortnight.
//! - At least as many stay as the rules demand at least, if there are as many.
//! - The newest one that was proven stays, and so does every one that is held.
//!
//! Periods are those of the calendar in the time zone of `now`.
//!
//! Deliberately absent: deleting. A caller may show the answer or act on it.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Zoned;
use serde::Serialize;

use crate::retain::{RetentionRules, Rule};

/// A restore point, as far as retention needs to know it.
#[derive(Clone, Debug)]
pub struct RestorePoint<Id> {
    id: Id,
    taken_at: Zoned,
    is_proven: bool,
    holds: Vec<String>,
}

/// What becomes of a restore point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It stays, for at least one reason.
    Keep {
        /// All of them, from the shortest rhythm to the longest.
        reasons: Vec<Reason>,
    },
    /// Nothing speaks for it.
    Drop,
}

/// Why a restore point stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It is from after `now`.
    Future,
    /// It is one of the last ones; the newest has rank 1.
    Last {
        /// Its place among them.
        rank: u32,
    },
    /// It is the newest of a period that a rule keeps.
    NewestOf {
        /// The rule.
        rule: Rule,
        /// The period, such as `2026-W47`.
        period: String,
    },
    /// The rules alone would keep too few.
    AtLeast,
    /// It is the newest one that was restored and found equal.
    LastProven,
    /// Somebody holds it.
    Held {
        /// The name of the hold.
        name: String,
    },
}

/// More at once than a day's work explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Excess {
    /// How many would go.
    pub dropped: usize,
    /// Of how many.
    pub of: usize,
}

/// So many may go at once without anybody's asking.
const DROPPED_AT_ONCE: usize = 10;
/// And beyond that no more than one of so many.
const DROPPED_PART: usize = 4;

/// Whether so many go that a wrong rule or a wrong clock is likelier than age.
pub fn excess<Id>(verdicts: &[(Id, Verdict)]) -> Option<Excess> {
    let dropped = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Drop).count();
    let of = verdicts.len();
    (dropped > DROPPED_AT_ONCE && dropped * DROPPED_PART > of).then_some(Excess { dropped, of })
}

/// Decides for each restore point, in the order given.
pub fn retain<Id: Clone>(rules: &RetentionRules, points: &[RestorePoint<Id>], now: &Zoned) -> Vec<(Id, Verdict)> {
    let mut reasons: Vec<Vec<Reason>> = vec![Vec::new(); points.len()];
    let newest_first = newest_first(points);
    let is_future = |index: &usize| points[*index].taken_at > *now;
    let (future, past): (Vec<usize>, Vec<usize>) = newest_first.iter().partition(|index| is_future(index));
    for index in future {
        reasons[index].push(Reason::Future);
    }
    for (rule, count) in rules.counts() {
        let local = past.iter().map(|index| (*index, in_zone_of(now, &points[*index].taken_at)));
        for (index, reason) in kept_by(rule, count.get(), local) {
            reasons[index].push(reason);
        }
    }
    fill_up(&newest_first, rules.at_least().get(), &mut reasons);
    keep_proven_and_held(&newest_first, points, &mut reasons);
    points.iter().map(|point| point.id.clone()).zip(reasons.into_iter().map(Verdict::from)).collect()
}

/// Of two from the same instant, the one that stands later in the list counts as newer.
fn newest_first<Id>(points: &[RestorePoint<Id>]) -> Vec<usize> {
    let mut indexes: Vec<usize> = (0..points.len()).collect();
    indexes.sort_by(|left, right| (&points[*right].taken_at, right).cmp(&(&points[*left].taken_at, left)));
    indexes
}

fn in_zone_of(now: &Zoned, instant: &Zoned) -> Zoned {
    instant.with_time_zone(now.time_zone().clone())
}

/// What one rule keeps of points that come newest first.
fn kept_by(rule: Rule, count: u32, points: impl Iterator<Item = (usize, Zoned)>) -> Vec<(usize, Reason)> {
    let mut kept = Vec::new();
    let mut periods = BTreeSet::new();
    let mut ranks = 1..=count;
    for (index, local) in points {
        let reason = match period(rule, &local) {
            Some(period) if !periods.insert(period.clone()) => continue,
            Some(period) => ranks.next().map(|_| Reason::NewestOf { rule, period }),
            None => ranks.next().map(|rank| Reason::Last { rank }),
        };
        match reason {
            Some(reason) => kept.push((index, reason)),
            None => break,
        }
    }
    kept
}

/// The calendar's name for the period in which a time lies; `last` knows no periods.
fn period(rule: Rule, local: &Zoned) -> Option<String> {
    let (year, month) = (local.year(), local.month());
    Some(match rule {
        Rule::Last => return None,
        // With the offset: when clocks go back, the hour from two to three comes twice and is two hours.
        Rule::Hourly => local.strftime("%Y-%m-%d %H:00%:z").to_string(),
        Rule::Daily => local.date().to_string(),
        Rule::Weekly => {
            let week = local.date().iso_week_date();
            format!("{:04}-W{:02}", week.year(), week.week())
        }
        Rule::Monthly => format!("{year:04}-{month:02}"),
        Rule::Quarterly => format!("{year:04}-Q{}", (month + 2) / 3),
        Rule::Yearly => format!("{year:04}"),
    })
}

/// Keeps the newest of those that no rule keeps until there are enough.
fn fill_up(newest_first: &[usize], at_least: u32, reasons: &mut [Vec<Reason>]) {
    let mut kept = reasons.iter().filter(|reasons| !reasons.is_empty()).count();
    for index in newest_first {
        if kept >= at_least as usize {
            return;
        }
        if reasons[*index].is_empty() {
            reasons[*index].push(Reason::AtLeast);
            kept += 1;
        }
    }
}

/// What no rule may take: beyond what the rules keep, since nobody counts on it to make room.
fn keep_proven_and_held<Id>(newest_first: &[usize], points: &[RestorePoint<Id>], reasons: &mut [Vec<Reason>]) {
    let last_proven = newest_first.iter().find(|index| points[**index].is_proven);
    if let Some(index) = last_proven.filter(|index| reasons[**index].is_empty()) {
        reasons[*index].push(Reason::LastProven);
    }
    for (point, reasons) in points.iter().zip(reasons) {
        reasons.extend(point.holds.iter().map(|name| Reason::Held { name: name.clone() }));
    }
}

impl<Id> RestorePoint<Id> {
    /// `taken_at` is the time at which the backup was received, not one that a host claims.
    pub fn new(id: Id, taken_at: Zoned) -> Self {
        Self { id, taken_at, is_proven: false, holds: Vec::new() }
    }

    /// It was restored, and every file was equal.
    #[must_use]
    pub fn proven(self) -> Self {
        Self { is_proven: true, ..self }
    }

    /// These holds are on it.
    #[must_use]
    pub fn held(self, holds: impl IntoIterator<Item = String>) -> Self {
        Self { holds: holds.into_iter().collect(), ..self }
    }
}

impl From<Vec<Reason>> for Verdict {
    fn from(reasons: Vec<Reason>) -> Self {
        if reasons.is_empty() { Self::Drop } else { Self::Keep { reasons } }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Future => out.write_str("from the future"),
            Self::Last { rank } => write!(out, "last #{rank}"),
            Self::NewestOf { rule, period } => write!(out, "{rule} {period}"),
            Self::AtLeast => out.write_str("at-least"),
            Self::LastProven => out.write_str("last proven"),
            Self::Held { name } => write!(out, "held by {name}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop => out.write_str("drop"),
            Self::Keep { reasons } => {
                let reasons: Vec<_> = reasons.iter().map(Reason::to_string).collect();
                write!(out, "keep: {}", reasons.join(", "))
            }
        }
    }
}
