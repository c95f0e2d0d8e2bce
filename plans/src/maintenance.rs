//! What the controller does for a repository by itself: `maintenance: { at: daily 05:00, prune: { max-unused: 5% }, scrub: { bytes: 100 GiB, every: 30d } }`.
//!
//! Each due time, by the site's clock: what the plans' `retain` lets go is forgotten, then room is made (`prune: no` leaves that out), then stored bytes are hashed again, where
//! `scrub` is said.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::recurrence::Recurrence;
use crate::report::quoted;
use crate::size::ByteSize;
use crate::time_span::TimeSpan;
use crate::tree::{Content, Node, Quotes};
use crate::values::{self, Refusal, Written};
use crate::words::Meaning;

/// When a repository is maintained, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Maintenance {
    at: Recurrence,
    prune: Option<PruneRules>,
    scrub: Option<ScrubRules>,
}

/// How room is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PruneRules {
    /// How much of what stays may be unneeded before packs are rewritten for it.
    pub max_unused: Percent,
    /// No more is moved out of packs that are rewritten.
    pub max_moved: Option<ByteSize>,
    /// Backups that have been open for longer are not waited for.
    #[serde(rename = "fence-after-seconds")]
    pub fence_after: TimeSpan,
}

/// How stored bytes are hashed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScrubRules {
    /// No more is read each time.
    pub bytes: Option<ByteSize>,
    /// Nothing new is begun after this long.
    #[serde(rename = "time-seconds")]
    pub time: Option<TimeSpan>,
    /// The promise: every stored byte is hashed again within this.
    #[serde(rename = "every-seconds")]
    pub every: TimeSpan,
}

/// So many of a hundred, from 0 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

/// What stays may be unneeded ten times over; more is the same as never to rewrite.
const PERCENT_MAX: u32 = 1000;

static SHAPE: Shape = Shape {
    title: "`maintenance`",
    keys: &[
        ("at", Meaning::Now("daily 05:00")),
        ("prune", Meaning::Now("{ max-unused: 5% }")),
        ("scrub", Meaning::Now("{ bytes: 100 GiB, time: 3h, every: 30d }")),
    ],
};

static PRUNE: Shape = Shape {
    title: "`prune`",
    keys: &[
        ("max-unused", Meaning::Now("5%")),
        ("max-moved", Meaning::Now("50 GiB")),
        ("fence-after", Meaning::Now("14d")),
    ],
};

static SCRUB: Shape = Shape {
    title: "`scrub`",
    keys: &[("bytes", Meaning::Now("100 GiB")), ("time", Meaning::Now("3h")), ("every", Meaning::Now("30d"))],
};

/// What `prune` is where it is left out.
const NO: &str = "no";

impl Default for PruneRules {
    /// As `strongroom repo prune` has it.
    fn default() -> Self {
        Self { max_unused: Percent(5), max_moved: None, fence_after: TimeSpan::days(14) }
    }
}

impl Default for ScrubRules {
    /// As `strongroom repo scrub` has it.
    fn default() -> Self {
        Self { bytes: None, time: None, every: TimeSpan::days(30) }
    }
}

impl Maintenance {
    /// When it is due, by the site's clock.
    pub fn at(&self) -> &Recurrence {
        &self.at
    }

    /// How room is made; none if it is not.
    pub fn prune(&self) -> Option<&PruneRules> {
        self.prune.as_ref()
    }

    /// How stored bytes are hashed again; none if they are not.
    pub fn scrub(&self) -> Option<&ScrubRules> {
        self.scrub.as_ref()
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let at = fields.required("at", findings, values::written);
        let prune = match fields.node("prune") {
            None => Some(Some(PruneRules::default())),
            Some(node) => PruneRules::read(node, findings),
        };
        let scrub = match fields.node("scrub") {
            None => Some(None),
            Some(node) => ScrubRules::read(node, findings).map(Some),
        };
        Some(Self { at: at?, prune: prune?, scrub: scrub? })
    }
}

impl PruneRules {
    /// None in the inner place for `no`.
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Option<Self>> {
        findings.observe_word_beside(&node.span, NO);
        let is_no =
            matches!(&node.content, Content::Scalar { text, quotes: Quotes::Absent } if text == NO || text == "false");
        if is_no {
            return Some(None);
        }
        let fields = Fields::of(node, &PRUNE, findings)?;
        let usual = Self::default();
        let max_unused = fields.optional("max-unused", findings, values::written);
        let max_moved = fields.optional("max-moved", findings, values::written);
        let fence_after = fields.optional("fence-after", findings, values::written);
        Some(Some(Self {
            max_unused: max_unused.unwrap_or(usual.max_unused),
            max_moved,
            fence_after: fence_after.unwrap_or(usual.fence_after),
        }))
    }
}

impl ScrubRules {
    fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SCRUB, findings)?;
        let bytes = fields.optional("bytes", findings, values::written);
        let time = fields.optional("time", findings, values::written);
        let every = fields.optional("every", findings, values::written);
        Some(Self { bytes, time, every: every.unwrap_or(Self::default().every) })
    }
}

impl Percent {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Percent {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let digits = text.strip_suffix('%').map(|digits| digits.trim_end_matches(' '));
        let is_number = |digits: &&str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.filter(is_number).and_then(|digits| digits.parse().ok());
        number.filter(|number| *number <= PERCENT_MAX).map(Self).ok_or_else(|| {
            let remedy = format!("write a whole number from 0 to {PERCENT_MAX} and a percent sign, such as 5%");
            Refusal::new(format!("{} is no share", quoted(text)), remedy)
        })
    }
}

impl Written for Percent {
    const WHAT: &'static str = "a share such as 5%";
    const CODE: Code = Code::BadNumber;

    fn pattern() -> Option<String> {
        Some("^[0-9]+ *%$".to_owned())
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}%", self.0)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read() {
        for (text, number) in [("5%", 5), ("0%", 0), ("20 %", 20), ("1000%", 1000)] {
            assert_eq!(text.parse::<Percent>().unwrap().get(), number, "{text}");
        }
        for text in ["5", "%", "-1%", "5.5%", "1001%", "99999999999%", "+5%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }
}
