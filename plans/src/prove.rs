//! How a backup is proven, and for how long a proof counts.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Serialize, Serializer};

use crate::check_limits::CheckLimits;
use crate::fault::Code;
use crate::fields::Fields;
use crate::findings::Findings;
use crate::prove_dialect::{self, ALONE, Dialect, OF_DRILL, OF_SITE};
use crate::ready_check;
use crate::sample::Sample;
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::values::{self, Refusal};

/// What a plan demands as proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProofDemand {
    level: ProofLevel,
    every: ProofRhythm,
    checks: Vec<CheckCommand>,
    #[serde(skip_serializing_if = "CheckLimits::are_none")]
    limits: CheckLimits,
    #[serde(rename = "max-age-seconds")]
    max_age: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<Sample>,
}

/// What is known about a restore point. Only [`ProofLevel::Restored`] and above is a verified restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProofLevel {
    /// L0: the job said so.
    Claimed,
    /// L1: its objects are present and of the right sizes.
    Present,
    /// L2: its stored bytes were hashed again.
    Rehashed,
    /// L3: restored to scratch, and every file equals the hash that was taken at the source.
    Restored,
    /// L4: its application opens it.
    Opened,
    /// L5: the owner's probe agrees.
    Agreed,
}

/// When a proof is made, the most often first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofRhythm {
    /// After every run that stored something.
    Run,
    /// By a drill, a day after the one before.
    Daily,
    /// By a drill, a week after the one before.
    Weekly,
    /// By a drill, a month after the one before.
    Monthly,
    /// By a drill, three months after the one before.
    Quarterly,
    /// By a drill, a year after the one before.
    Yearly,
}

/// A program and its arguments, started without a shell: as a check in the directory to which was restored, as a
/// notification on the controller's machine. It agrees by ending with exit code 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckCommand {
    program: String,
    arguments: Vec<String>,
}

impl ProofDemand {
    /// How far a proof must go.
    pub fn level(&self) -> ProofLevel {
        self.level
    }

    /// When a proof is made.
    pub fn every(&self) -> ProofRhythm {
        self.every
    }

    /// What must agree besides; all of them run, also after one that does not agree.
    pub fn checks(&self) -> &[CheckCommand] {
        &self.checks
    }

    /// What each of them may take.
    pub fn limits(&self) -> CheckLimits {
        self.limits
    }

    /// A proof older than this counts no more.
    pub fn max_age(&self) -> Option<TimeSpan> {
        self.max_age
    }

    /// The same where nothing is said: for two periods. What each run proves counts without end.
    pub fn counts_for(&self) -> Option<TimeSpan> {
        self.max_age.or_else(|| self.every.two_periods())
    }

    /// What a drill restores, if that is not everything.
    pub fn sample(&self) -> Option<&Sample> {
        self.sample.as_ref()
    }

    /// Of a plan of a site.
    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        Self::read_by(&OF_SITE, node, findings)
    }

    /// Of a plan that is run by itself.
    pub(crate) fn read_alone(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        Self::read_by(&ALONE, node, findings)
    }

    /// Of a file that says how several plans are drilled.
    pub(crate) fn read_drilled(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        Self::read_by(&OF_DRILL, node, findings)
    }

    fn read_by(dialect: &'static Dialect, node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &dialect.shape, findings)?;
        let level = fields.required("level", findings, prove_dialect::level);
        let every = dialect.every(&fields, findings);
        let checks = fields.optional("checks", findings, |node, findings| {
            let what = "a command such as [\"test\", \"-s\", \"etc/hostname\"], or a check such as { files: srv, at-least: 100 }";
            values::list(node, what, findings, ready_check::read_check)
        });
        let limits = fields.optional("limits", findings, CheckLimits::read);
        let max_age = fields.optional("max-age", findings, values::written);
        let sample = Sample::read(&fields, every, findings);
        Some(Self {
            level: level?,
            every: every?,
            checks: checks.unwrap_or_default(),
            limits: limits.unwrap_or_default(),
            max_age,
            sample,
        })
    }
}

impl ProofRhythm {
    /// Whether a proof is a matter of its own, and not a part of each run.
    pub fn is_drilled(self) -> bool {
        self != Self::Run
    }

    /// When the next drill is due after one that began at an instant: the same time of day, a period later. Nothing if each run proves.
    pub fn next(self, began: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let period = match self {
            Self::Run => return None,
            Self::Daily => Span::new().days(1),
            Self::Weekly => Span::new().weeks(1),
            Self::Monthly => Span::new().months(1),
            Self::Quarterly => Span::new().months(3),
            Self::Yearly => Span::new().years(1),
        };
        // Beyond the calendar there is no next one.
        began.to_zoned(zone.clone()).checked_add(period).ok().map(|next| next.timestamp())
    }

    /// The longest time between two drills.
    pub(crate) fn longest(self) -> Option<TimeSpan> {
        match self {
            Self::Run => None,
            Self::Daily => Some(TimeSpan::days(1)),
            Self::Weekly => Some(TimeSpan::days(7)),
            Self::Monthly => Some(TimeSpan::days(31)),
            Self::Quarterly => Some(TimeSpan::days(92)),
            Self::Yearly => Some(TimeSpan::days(366)),
        }
    }

    /// The longest that two of them take.
    fn two_periods(self) -> Option<TimeSpan> {
        match self {
            Self::Run => None,
            Self::Daily => Some(TimeSpan::days(2)),
            Self::Weekly => Some(TimeSpan::days(14)),
            Self::Monthly => Some(TimeSpan::days(62)),
            Self::Quarterly => Some(TimeSpan::days(184)),
            Self::Yearly => Some(TimeSpan::days(731)),
        }
    }

    /// As plans write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
            Self::Yearly => "yearly",
        }
    }
}

impl ProofLevel {
    /// The short form, such as `L3`.
    pub fn short(self) -> &'static str {
        match self {
            Self::Claimed => "L0",
            Self::Present => "L1",
            Self::Rehashed => "L2",
            Self::Restored => "L3",
            Self::Opened => "L4",
            Self::Agreed => "L5",
        }
    }

    /// Whether it may be called a verified restore.
    pub fn is_verified_restore(self) -> bool {
        self >= Self::Restored
    }
}

impl CheckCommand {
    /// The program: a path, or a name to be found in PATH.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What is handed to the program, exactly as it stands here.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let words = values::list(node, "a text", findings, |node, findings| {
            let word = values::text(node, "a text", findings)?;
            if word.contains('\0') {
                let refusal = Refusal::new("a command has no zero bytes", "write the text without \\0");
                findings.refuse(Code::BadText, &node.span, &refusal);
            }
            Some(word.to_owned())
        })?;
        let (program, arguments) = words.split_first()?;
        if program.trim().is_empty() {
            let remedy = "write the program first, such as \"test\"";
            let refusal = Refusal::new("the command has no program", remedy);
            findings.refuse(Code::BadText, &node.span, &refusal);
        }
        Some(Self { program: program.clone(), arguments: arguments.to_vec() })
    }

    /// Of this very program, wherever it lies: whoever runs it knows it by this name.
    pub(crate) fn of_ours(arguments: Vec<String>) -> Self {
        Self { program: "strongroom".to_owned(), arguments }
    }

    /// The program and its arguments.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.program).chain(&self.arguments).map(String::as_str)
    }
}

impl fmt::Display for ProofRhythm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

impl fmt::Display for ProofLevel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Claimed => "claimed",
            Self::Present => "present",
            Self::Rehashed => "rehashed",
            Self::Restored => "restored",
            Self::Opened => "opened",
            Self::Agreed => "agreed",
        };
        write!(out, "{} ({word})", self.short())
    }
}

impl Serialize for ProofLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.short())
    }
}

impl Serialize for CheckCommand {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}

impl fmt::Display for CheckCommand {
    /// In double quotes where a word is not plain, so that the words can be told apart.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&typed(self.words()))
    }
}

/// Program and arguments as a person would type them.
pub fn typed<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-=:,+@%".contains(char);
    let word = |word: &str| match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("{word:?}"),
    };
    words.map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_drill_is_due_at_the_same_time_of_day_a_period_later() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let next = |rhythm: ProofRhythm, began: &str| {
            let next = rhythm.next(began.parse().unwrap(), &zone)?;
            Some(next.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string())
        };
        // Saturday, the day before the clocks go back.
        let began = "2026-10-24T10:00:00Z";
        assert_eq!(next(ProofRhythm::Run, began), None);
        assert_eq!(next(ProofRhythm::Daily, began).as_deref(), Some("2026-10-25 12:00"));
        assert_eq!(next(ProofRhythm::Weekly, began).as_deref(), Some("2026-10-31 12:00"));
        assert_eq!(next(ProofRhythm::Monthly, "2026-01-31T11:00:00Z").as_deref(), Some("2026-02-28 12:00"));
        assert_eq!(next(ProofRhythm::Quarterly, "2026-01-31T11:00:00Z").as_deref(), Some("2026-04-30 12:00"));
        assert_eq!(next(ProofRhythm::Yearly, began).as_deref(), Some("2027-10-24 12:00"));
    }

    #[test]
    fn a_proof_counts_for_two_periods_unless_the_plan_says_otherwise() {
        let counts_for = |every, max_age| {
            let (level, checks, limits) = (ProofLevel::Restored, Vec::new(), CheckLimits::default());
            let demand = ProofDemand { level, every, checks, limits, max_age, sample: None };
            demand.counts_for().map(|span| span.to_string())
        };
        assert_eq!(counts_for(ProofRhythm::Run, None), None);
        assert_eq!(counts_for(ProofRhythm::Run, Some(TimeSpan::days(8))).as_deref(), Some("8d"));
        assert_eq!(counts_for(ProofRhythm::Weekly, None).as_deref(), Some("2w"));
        assert_eq!(counts_for(ProofRhythm::Weekly, Some(TimeSpan::days(8))).as_deref(), Some("8d"));
        assert_eq!(counts_for(ProofRhythm::Monthly, None).as_deref(), Some("62d"));
    }
}
