//! When a plan's runs are due, and of which kind each is.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize, Serializer};

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::missed::MissedRule;
use crate::name::Name;
use crate::recurrence::Recurrence;
use crate::report::quoted;
use crate::retries::Retries;
use crate::text::Span;
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::values::{self, Refusal, Written};
use crate::window::Window;
use crate::words::Meaning;

/// The due times of a plan; at least one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Schedule {
    full: Option<Recurrence>,
    incremental: Option<Recurrence>,
    zone: Option<Zone>,
    window: Option<Window>,
    missed: Option<MissedRule>,
    #[serde(rename = "jitter-seconds")]
    jitter: Option<TimeSpan>,
    after: Option<Name>,
    calendars: Vec<Name>,
    retries: Option<Retries>,
}

/// A schedule, and where it names what only a site can know.
#[derive(Clone, Debug)]
pub(crate) struct PlacedSchedule {
    pub(crate) schedule: Schedule,
    pub(crate) after_span: Option<Span>,
    pub(crate) calendar_spans: Vec<Span>,
}

/// What a run reads of its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    /// Every byte.
    Full,
    /// What has changed since the last run.
    Incremental,
}

/// A run that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// Of which kind.
    pub kind: RunKind,
}

/// A time zone by its name in the IANA database, as of this release: a plan means the same on every machine, also on one without that database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

static SHAPE: Shape = Shape {
    title: "`schedule`",
    keys: &[
        ("full", Meaning::Now("weekly sun 01:30")),
        ("incremental", Meaning::Now("daily 01:30")),
        ("zone", Meaning::Now("Asia/Shanghai")),
        ("window", Meaning::Now("{ until: \"05:00\", then: cancel }")),
        ("missed", Meaning::Now("run once within 18h")),
        ("jitter", Meaning::Now("10m")),
        ("after", Meaning::Now("database-files")),
        ("calendars", Meaning::Now("[year-end]")),
        ("retries", Meaning::Now("{ times: 3, wait: 5m }")),
    ],
};

impl Schedule {
    /// When everything is read.
    pub fn full(&self) -> Option<&Recurrence> {
        self.full.as_ref()
    }

    /// When what has changed is read.
    pub fn incremental(&self) -> Option<&Recurrence> {
        self.incremental.as_ref()
    }

    /// The zone whose clocks count, if the plan names one.
    pub fn zone(&self) -> Option<&TimeZone> {
        self.zone.as_ref().map(|zone| &zone.0)
    }

    /// Until when a run may go on; without this, to its end.
    pub fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// What becomes of runs that could not begin when they were due; [`MissedRule`] says what holds without one.
    pub fn missed(&self) -> Option<MissedRule> {
        self.missed
    }

    /// Each host begins by a time of its own later than due, up to this.
    pub fn jitter(&self) -> Option<TimeSpan> {
        self.jitter
    }

    /// The plan whose run of the same day, on the same host, must have ended well before.
    pub fn after(&self) -> Option<&Name> {
        self.after.as_ref()
    }

    /// The calendars of the site that stop its runs.
    pub fn calendars(&self) -> &[Name] {
        &self.calendars
    }

    /// How often a run is tried again that lost its host on the way; without this, never.
    pub fn retries(&self) -> Option<&Retries> {
        self.retries.as_ref()
    }

    /// The runs after an instant, in order. A full run takes the place of an incremental one that is due at the same instant: it does all that the other
    /// would do.
    pub fn due<'s>(&'s self, after: Timestamp, default_zone: &'s TimeZone) -> impl Iterator<Item = Due> + 's {
        let zone = self.zone().unwrap_or(default_zone);
        let next = move |rule: Option<&Recurrence>, after| rule.and_then(|rule| rule.next(after, zone));
        let first = move |after| {
            let full = next(self.full(), after).map(|at| Due { at, kind: RunKind::Full });
            let incremental = next(self.incremental(), after).map(|at| Due { at, kind: RunKind::Incremental });
            full.into_iter().chain(incremental).min_by_key(|due| (due.at, due.kind))
        };
        std::iter::successors(first(after), move |last| first(last.at))
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<PlacedSchedule> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let full = fields.optional("full", findings, values::written);
        let incremental = fields.optional("incremental", findings, values::written);
        let zone = fields.optional("zone", findings, values::written);
        if fields.node("full").is_none() && fields.node("incremental").is_none() && !fields.has_misspelt_key() {
            let remedy = "say when, for example `{ full: weekly sun 01:30, incremental: daily 01:30 }`";
            findings.report(Code::NoDueTime, &node.span, "`schedule` has no due times", remedy);
        }
        let window = fields.optional("window", findings, Window::read);
        let missed = fields.optional("missed", findings, values::written);
        let jitter = fields.optional("jitter", findings, values::written);
        let after = fields.optional("after", findings, placed_name).unzip();
        let calendars = fields.optional("calendars", findings, |node, findings| {
            values::list(node, "the name of a calendar of the site", findings, placed_name)
        });
        let retries = fields.optional("retries", findings, Retries::read);
        let (calendars, calendar_spans) = calendars.unwrap_or_default().into_iter().unzip();
        let schedule = Self { full, incremental, zone, window, missed, jitter, after: after.0, calendars, retries };
        Some(PlacedSchedule { schedule, after_span: after.1, calendar_spans })
    }
}

fn placed_name(node: &Node, findings: &mut Findings<'_>) -> Option<(Name, Span)> {
    Some((values::written(node, findings)?, node.span.clone()))
}

impl Zone {
    /// Its rules.
    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}

impl FromStr for Zone {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let zones = TimeZoneDatabase::bundled();
        if let Ok(zone) = zones.get(text) {
            return Ok(Self(zone));
        }
        let names: Vec<String> = zones.available().map(|name| name.to_string()).collect();
        let differs = |name: &&String| strsim::damerau_levenshtein(&name.to_lowercase(), &text.to_lowercase());
        let near = names.iter().min_by_key(differs).filter(|name| differs(name) <= name.len() / 3);
        let remedy = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a name of the IANA database, such as `Asia/Shanghai`, `Europe/Berlin` or `UTC`".into(),
        };
        Err(Refusal::new(format!("no time zone is called {}", quoted(text)), remedy))
    }
}

impl Written for Zone {
    const WHAT: &'static str = "a time zone such as Asia/Shanghai";
    const CODE: Code = Code::BadZone;
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl fmt::Display for RunKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
        })
    }
}
