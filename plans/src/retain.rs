//! Which restore points a plan keeps: the rules. What they come to on a given day is decided in `keep`.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use serde::Serialize;

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::tree::Node;
use crate::values;
use crate::words::Meaning;

/// How many restore points of each rhythm are kept. There is at least one rule: nothing is kept or dropped by a
/// silent default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RetentionRules {
    counts: BTreeMap<Rule, NonZeroU32>,
    at_least: NonZeroU32,
}

/// One rhythm of keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The newest ones, whenever they were made.
    Last,
    /// The newest of each hour that has one.
    Hourly,
    /// The newest of each day that has one.
    Daily,
    /// The newest of each ISO week, Monday to Sunday, that has one.
    Weekly,
    /// The newest of each month that has one.
    Monthly,
    /// The newest of each quarter that has one.
    Quarterly,
    /// The newest of each year that has one.
    Yearly,
}

static SHAPE: Shape = Shape {
    title: "`retain`",
    keys: &[
        ("last", Meaning::Now("7")),
        ("hourly", Meaning::Now("24")),
        ("daily", Meaning::Now("14")),
        ("weekly", Meaning::Now("8")),
        ("monthly", Meaning::Now("12")),
        ("quarterly", Meaning::Now("12")),
        ("yearly", Meaning::Now("10")),
        ("at-least", Meaning::Now("3")),
    ],
};

impl RetentionRules {
    /// `None` without a rule. `at_least` restore points stay, whatever the rules say.
    pub fn new(counts: impl IntoIterator<Item = (Rule, NonZeroU32)>, at_least: NonZeroU32) -> Option<Self> {
        let counts: BTreeMap<_, _> = counts.into_iter().collect();
        (!counts.is_empty()).then_some(Self { counts, at_least })
    }

    /// The rules with their counts, from the shortest rhythm to the longest.
    pub fn counts(&self) -> impl Iterator<Item = (Rule, NonZeroU32)> {
        self.counts.iter().map(|(rule, count)| (*rule, *count))
    }

    /// As many restore points stay, whatever the rules say.
    pub fn at_least(&self) -> NonZeroU32 {
        self.at_least
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let mut counts = Vec::new();
        for rule in Rule::ALL {
            let count = fields.optional(rule.word(), findings, values::count);
            counts.extend(count.map(|count| (rule, count)));
        }
        let at_least = fields.optional("at-least", findings, values::count);
        let any_rule = Rule::ALL.iter().any(|rule| fields.node(rule.word()).is_some());
        if !any_rule && !fields.has_misspelt_key() {
            let reason = "`retain` has no rule, so nothing would be kept";
            let remedy = "say how many to keep, for example `{ daily: 14, weekly: 8, monthly: 12 }`";
            findings.report(Code::NoRetentionRule, &node.span, reason, remedy);
        }
        Self::new(counts, at_least.unwrap_or(NonZeroU32::MIN))
    }
}

impl Rule {
    /// From the shortest rhythm to the longest.
    pub const ALL: [Rule; 7] =
        [Rule::Last, Rule::Hourly, Rule::Daily, Rule::Weekly, Rule::Monthly, Rule::Quarterly, Rule::Yearly];

    /// The key in `retain`.
    pub fn word(self) -> &'static str {
        match self {
            Rule::Last => "last",
            Rule::Hourly => "hourly",
            Rule::Daily => "daily",
            Rule::Weekly => "weekly",
            Rule::Monthly => "monthly",
            Rule::Quarterly => "quarterly",
            Rule::Yearly => "yearly",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

impl fmt::Display for RetentionRules {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<_> = self.counts().map(|(rule, count)| format!("{count} {rule}")).collect();
        write!(out, "{}, never fewer than {}", rules.join(", "), self.at_least)
    }
}
