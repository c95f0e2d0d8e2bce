//! Calendars of a site: the days on which something does not begin.
//!
//! | written | on those days |
//! |---|---|
//! | `freeze: [rollout, upgrade]` | these changes do not begin; backups and drills go on, so a freeze cannot name them |
//! | `blackout: [backup]` | what it names does not begin, backups too |
//!
//! Days are dates (`2026-10-01`), days of each year (`12-31`), ranges of either (`12-20..01-05`, both ends belong to
//! it), or weekdays (`sat`), on the calendar of the zone in which the plan's schedule is meant.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use serde::Serialize;

use crate::day_rule::weekday;
use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::report::quoted;
use crate::tree::Node;
use crate::values::{self, Refusal, Written};
use crate::words::{self, Meaning, Word};

/// Days, and what does not begin on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    days: Vec<Days>,
    freeze: Vec<ActionClass>,
    blackout: Vec<ActionClass>,
}

/// What kind of work a calendar can stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionClass {
    /// Something is stored.
    Backup,
    /// A restore is practised.
    Drill,
    /// Configuration is changed.
    Rollout,
    /// Packages are changed.
    Upgrade,
}

/// Why something does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standstill {
    /// Nothing is changed.
    Freeze,
    /// Nothing is done at all.
    Blackout,
}

/// Days as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Days {
    text: String,
    rule: DaysRule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DaysRule {
    Dates { first: Date, last: Date },
    EachYear { first: (i8, i8), last: (i8, i8) },
    Weekday(Weekday),
}

static SHAPE: Shape = Shape {
    title: "a calendar",
    keys: &[
        ("days", Meaning::Now("[12-20..01-05]")),
        ("freeze", Meaning::Now("[rollout, upgrade]")),
        ("blackout", Meaning::Now("[backup]")),
    ],
};

static CHANGES: &[Word<ActionClass>] =
    &[("rollout", Meaning::Now(ActionClass::Rollout)), ("upgrade", Meaning::Now(ActionClass::Upgrade))];

static ACTIONS: &[Word<ActionClass>] = &[
    ("backup", Meaning::Now(ActionClass::Backup)),
    ("drill", Meaning::Now(ActionClass::Drill)),
    ("rollout", Meaning::Now(ActionClass::Rollout)),
    ("upgrade", Meaning::Now(ActionClass::Upgrade)),
];

impl Calendar {
    /// Why a kind of work does not begin on a day, if it does not. A blackout is the stronger reason.
    pub fn stops(&self, action: ActionClass, date: Date) -> Option<Standstill> {
        if !self.days.iter().any(|days| days.rule.hold(date)) {
            None
        } else if self.blackout.contains(&action) {
            Some(Standstill::Blackout)
        } else {
            self.freeze.contains(&action).then_some(Standstill::Freeze)
        }
    }

    /// The days as they are written.
    pub fn days(&self) -> impl Iterator<Item = &str> {
        self.days.iter().map(|days| days.text.as_str())
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let days = fields
            .required("days", findings, |node, findings| values::list(node, Days::WHAT, findings, values::written));
        let freeze = fields.optional("freeze", findings, |node, findings| {
            values::list(node, "a kind of change", findings, |node, findings| {
                words::word(node, "change that a freeze stops", CHANGES, findings)
            })
        });
        let blackout = fields.optional("blackout", findings, |node, findings| {
            values::list(node, "a kind of work", findings, |node, findings| {
                words::word(node, "kind of work", ACTIONS, findings)
            })
        });
        let says_what = ["freeze", "blackout"].iter().any(|key| fields.node(key).is_some());
        if !says_what && !fields.has_misspelt_key() {
            let reason = "the calendar does not say what it stops";
            let remedy = "add `freeze: [rollout, upgrade]`, or `blackout: [backup]` to stop backups too";
            findings.report(Code::MissingKey, &node.span, reason, remedy);
        }
        Some(Self { days: days?, freeze: freeze.unwrap_or_default(), blackout: blackout.unwrap_or_default() })
    }
}

impl DaysRule {
    fn of(text: &str) -> Option<Self> {
        if let Some(day) = weekday(text) {
            return Some(Self::Weekday(day));
        }
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        if let (Some(first), Some(last)) = (month_and_day(first), month_and_day(last)) {
            return Some(Self::EachYear { first, last });
        }
        let (first, last) = (date(first)?, date(last)?);
        (first <= last).then_some(Self::Dates { first, last })
    }

    fn hold(&self, date: Date) -> bool {
        let day = (date.month(), date.day());
        match *self {
            Self::Dates { first, last } => (first..=last).contains(&date),
            Self::EachYear { first, last } if first <= last => (first..=last).contains(&day),
            // Over the turn of the year.
            Self::EachYear { first, last } => day >= first || day <= last,
            Self::Weekday(weekday) => date.weekday() == weekday,
        }
    }
}

/// `12-31`, of a year that has 29 February.
fn month_and_day(text: &str) -> Option<(i8, i8)> {
    let date = date(&format!("2028-{text}"))?;
    Some((date.month(), date.day()))
}

/// `2026-12-31`, with all its digits.
fn date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|date: &Date| date.to_string() == text)
}

impl FromStr for Days {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let remedy = "write a date (2026-10-01), a day of each year (12-31), a range from the earlier to the later \
                      (12-20..01-05) or a weekday (sat)";
        let rule = DaysRule::of(text);
        let rule = rule.ok_or_else(|| Refusal::new(format!("{} are no days", quoted(text)), remedy))?;
        Ok(Self { text: text.to_owned(), rule })
    }
}

impl Written for Days {
    const WHAT: &'static str = "days such as 12-20..01-05";
    const CODE: Code = Code::BadDays;
}

impl fmt::Display for ActionClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Backup => "backup",
            Self::Drill => "drill",
            Self::Rollout => "rollout",
            Self::Upgrade => "upgrade",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_hold_the_dates_that_they_name() {
        for (text, within, without) in [
            ("2026-10-01", "2026-10-01", "2027-10-01"),
            ("2026-10-01..2026-10-07", "2026-10-07", "2026-10-08"),
            ("12-31", "2029-12-31", "2029-12-30"),
            ("03-01..03-05", "2026-03-05", "2026-03-06"),
            ("12-20..01-05", "2026-12-20", "2027-01-06"),
            ("12-20..01-05", "2027-01-05", "2026-12-19"),
            ("02-29", "2028-02-29", "2027-03-01"),
            ("sat", "2026-11-21", "2026-11-22"),
        ] {
            let days: Days = text.parse().unwrap();
            assert!(days.rule.hold(within.parse().unwrap()), "{text}: {within}");
            assert!(!days.rule.hold(without.parse().unwrap()), "{text}: {without}");
        }
    }

    #[test]
    fn other_texts_are_no_days() {
        for text in
            ["", "saturday", "13-01", "02-30", "2026-02-29", "2026-10-07..2026-10-01", "12-20..2027-01-05", "1-5"]
        {
            assert!(text.parse::<Days>().is_err(), "{text}");
        }
    }
}
