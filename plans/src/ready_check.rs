//! Checks that are said and not programmed: `{ files: srv/www, at-least: 100 }`, `{ port: 5432 }`. Each becomes a command of our own program.
//!
//! So whatever holds for commands holds for them (isolation, limits, approvals, records), and a person can type the very same line.

mod subject;

use subject::{HealthUrl, Query, RestoredPath, UnitName};

pub use subject::PortPlace;

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::host::UserName;
use crate::name::Line;
use crate::prove::CheckCommand;
use crate::report::{listed, quoted};
use crate::time_span::TimeSpan;
use crate::tree::{Content, Node};
use crate::values::{self, Written};
use crate::words::Meaning;

/// A kind of check, by the key that names what is looked at.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) key: &'static str,
    /// Of each of these groups, something must stand beside it.
    pub(crate) needs: &'static [&'static [&'static str]],
    /// And these may.
    pub(crate) takes: &'static [&'static str],
}

/// A mapping whose kind is known, with each of its values as the word of a command.
#[derive(Debug)]
pub(crate) struct ReadyCheck {
    kind: &'static Kind,
    values: Vec<(&'static str, String)>,
}

/// What a query's answer is compared with.
pub(crate) const ANSWER: &[&str] = &["prints", "at-least", "at-most", "within"];
const AMOUNT: &[&str] = &["at-least", "at-most"];

/// In a directory to which was restored, where there is no network.
static OF_FILES: &[Kind] = &[
    Kind { key: "files", needs: &[AMOUNT], takes: &[] },
    Kind { key: "newest", needs: &[&["within"]], takes: &[] },
    Kind { key: "sqlite", needs: &[&["query"], ANSWER], takes: &[] },
];

static SHAPE: Shape = Shape {
    title: "a check",
    keys: &[
        ("files", Meaning::Now("srv/www")),
        ("newest", Meaning::Now("srv/ledger")),
        ("sqlite", Meaning::Now("srv/db.sqlite")),
        ("query", Meaning::Now("select count(*) from bookings")),
        ("prints", Meaning::Now("42")),
        ("at-least", Meaning::Now("100")),
        ("at-most", Meaning::Now("100000")),
        ("within", Meaning::Now("1d")),
    ],
};

type ReadWord = fn(&Node, &mut Findings<'_>) -> Option<String>;

/// What is looked at.
static SUBJECTS: &[(&str, ReadWord)] = &[
    ("files", word::<RestoredPath>),
    ("newest", word::<RestoredPath>),
    ("sqlite", word::<RestoredPath>),
    ("unit", word::<UnitName>),
    ("port", word::<PortPlace>),
    ("http", word::<HealthUrl>),
    ("postgresql", word::<Line>),
];

/// What stands beside it, in the order of the command's words.
static OPTIONS: &[(&str, ReadWord)] = &[
    ("as", word::<UserName>),
    ("query", word::<Query>),
    ("prints", word::<Line>),
    ("at-least", |node, findings| Some(values::count(node, findings)?.to_string())),
    ("at-most", |node, findings| Some(values::count(node, findings)?.to_string())),
    ("within", word::<TimeSpan>),
    ("status", |node, findings| Some(values::count_up_to(node, STATUS_MAX, findings)?.to_string())),
    ("contains", word::<Line>),
];

/// The last that HTTP has.
const STATUS_MAX: u32 = 599;

/// One of `checks:`: a command, or a mapping that becomes one.
pub(crate) fn read_check(node: &Node, findings: &mut Findings<'_>) -> Option<CheckCommand> {
    match &node.content {
        Content::Mapping(_) => {
            let fields = Fields::of(node, &SHAPE, findings)?;
            ReadyCheck::read(OF_FILES, node, &fields, findings)?.command()
        }
        _ => CheckCommand::read(node, findings),
    }
}

impl ReadyCheck {
    /// Reads every value, whatever the kind, so that all that is wrong is found; then what they are together.
    pub(crate) fn read(
        kinds: &'static [Kind],
        node: &Node,
        fields: &Fields<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<Self> {
        let read = |(key, read): &(&'static str, ReadWord)| Some((*key, fields.optional(key, findings, *read)?));
        let values = SUBJECTS.iter().chain(OPTIONS).filter_map(read).collect();
        let kind = kind_of(kinds, node, fields, findings)?;
        refuse_beside(kind, fields, findings);
        kind.needs.iter().for_each(|group| expect_one(kind, group, node, fields, findings));
        refuse_empty_range(fields, findings);
        Some(Self { kind, values })
    }

    pub(crate) fn is(&self, key: &str) -> bool {
        self.kind.key == key
    }

    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }

    /// None where what is looked at could not be read.
    pub(crate) fn command(&self) -> Option<CheckCommand> {
        let subject = self.value(self.kind.key)?;
        let options = self.values.iter().filter(|(key, _)| self.kind.has(key));
        let options = options.flat_map(|(key, value)| [format!("--{key}"), value.clone()]);
        let words = ["check", self.kind.key, subject].map(str::to_owned);
        Some(CheckCommand::of_ours(words.into_iter().chain(options).collect()))
    }
}

impl Kind {
    fn options(&self) -> impl Iterator<Item = &'static str> {
        self.needs.iter().copied().flatten().chain(self.takes).copied()
    }

    fn has(&self, option: &str) -> bool {
        self.options().any(|known| known == option)
    }
}

fn word<T: Written + ToString>(node: &Node, findings: &mut Findings<'_>) -> Option<String> {
    values::written::<T>(node, findings).map(|value| value.to_string())
}

fn kind_of(
    kinds: &'static [Kind],
    node: &Node,
    fields: &Fields<'_>,
    findings: &mut Findings<'_>,
) -> Option<&'static Kind> {
    let mut named = kinds.iter().filter(|kind| fields.node(kind.key).is_some());
    let (kind, second) = (named.next(), named.next());
    if kind.is_none() && !fields.has_misspelt_key() {
        let example = kinds.first().map(|kind| format!("`{}: {}`", kind.key, fields.example(kind.key)));
        let reason = format!("it is not said what is looked at: {}", listed(kinds.iter().map(|kind| kind.key)));
        findings.report(
            Code::MissingKey,
            &node.span,
            reason,
            format!("add one, such as {}", example.unwrap_or_default()),
        );
    }
    if let (Some(kind), Some((second, node))) = (kind, second.and_then(|kind| Some((kind, fields.node(kind.key)?)))) {
        let reason = format!("one thing is looked at, and here are {} and {}", quoted(kind.key), quoted(second.key));
        findings.report(Code::TwoWays, &node.span, reason, "write an item for each");
        return None;
    }
    kind
}

/// What would have no effect is a mistake about what is looked at.
fn refuse_beside(kind: &Kind, fields: &Fields<'_>, findings: &mut Findings<'_>) {
    for (key, _) in OPTIONS.iter().filter(|(key, _)| !kind.has(key)) {
        let Some(node) = fields.node(key) else { continue };
        let known = listed(kind.options());
        let known = if known.is_empty() { "nothing".to_owned() } else { known };
        let reason = format!("{} means nothing beside {}", quoted(key), quoted(kind.key));
        findings.report(Code::KeyBeside, &node.span, reason, format!("take it out; what can stand there: {known}"));
    }
}

/// One key of a group; or both ends of a range.
fn expect_one(
    kind: &Kind,
    group: &'static [&'static str],
    node: &Node,
    fields: &Fields<'_>,
    findings: &mut Findings<'_>,
) {
    let given: Vec<&str> = group.iter().copied().filter(|key| fields.node(key).is_some()).collect();
    let is_range = given.iter().all(|key| AMOUNT.contains(key));
    match (given[..].first(), given.get(1).and_then(|key| fields.node(key))) {
        (None, _) if !fields.has_misspelt_key() => {
            let reason = format!("beside {} it must be said: {}", quoted(kind.key), group.join(" or "));
            let remedy = format!("add it, for example `{}: {}`", group[0], fields.example(group[0]));
            findings.report(Code::MissingKey, &node.span, reason, remedy);
        }
        (Some(first), Some(second)) if !is_range => {
            let reason = format!("{} says already what is expected", quoted(first));
            findings.report(Code::TwoWays, &second.span, reason, "take one of the two out, or write an item for each");
        }
        _ => {}
    }
}

fn refuse_empty_range(fields: &Fields<'_>, findings: &mut Findings<'_>) {
    let number = |node: &Node| match &node.content {
        Content::Scalar { text, .. } => text.parse::<u32>().ok(),
        _ => None,
    };
    let (Some(least), Some(most)) = (fields.node(AMOUNT[0]), fields.node(AMOUNT[1])) else { return };
    if let (Some(at_least), Some(at_most)) = (number(least), number(most))
        && at_most < at_least
    {
        let reason = format!("no number is at least {at_least} and at most {at_most}");
        findings.report(Code::BadNumber, &most.span, reason, "write the larger one here");
    }
}
