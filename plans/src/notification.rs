//! Who is told what became of runs.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::mail::Mail;
use crate::name::Name;
use crate::prove::CheckCommand;
use crate::report::quoted;
use crate::tree::Node;
use crate::values;
use crate::webhook::Webhook;
use crate::words::{self, Meaning, Word};

/// Where to tell what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notification {
    name: Name,
    way: Way,
    on: Vec<Occasion>,
}

/// How somebody is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// By a program on the controller's machine, which gets the news as JSON on its input.
    Command(CheckCommand),
    /// By a web server.
    Webhook(Webhook),
    /// By mail.
    Smtp(Mail),
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A run failed.
    Failed,
    /// A run was due, and never began.
    Missed,
    /// The restore points of a plan on a host are older than they should be.
    Overdue,
    /// A good run after one of the above.
    Recovered,
}

static SHAPE: Shape = Shape {
    title: "a notification",
    keys: &[
        ("name", Meaning::Now("on-call")),
        ("command", Meaning::Now("[\"/usr/local/bin/page\", \"backup\"]")),
        ("webhook", Meaning::Now("{ url: \"https://chat.example.org/hook\" }")),
        ("smtp", Meaning::Now("{ server: mail.example.org, from: strongroom@example.org, to: [ops@example.org] }")),
        ("on", Meaning::Now("[failed, missed, overdue, recovered]")),
    ],
};

static OCCASIONS: &[Word<Occasion>] = &[
    ("failed", Meaning::Now(Occasion::Failed)),
    ("missed", Meaning::Now(Occasion::Missed)),
    ("overdue", Meaning::Now(Occasion::Overdue)),
    ("recovered", Meaning::Now(Occasion::Recovered)),
];

/// Ways, of which a notification has one.
const WAYS: [&str; 3] = ["command", "webhook", "smtp"];

impl Notification {
    /// Its name; that of one without a name is its number.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// How somebody is told.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// On which occasions; at least one.
    pub fn on(&self) -> &[Occasion] {
        &self.on
    }

    /// Reads the list of a site.
    pub(crate) fn read_all(node: &Node, findings: &mut Findings<'_>) -> Option<Vec<Self>> {
        let mut names = BTreeSet::new();
        let mut number = 0_usize;
        let what = "a notification such as { command: [/usr/local/bin/page], on: [failed] }";
        values::list(node, what, findings, |node, findings| {
            number += 1;
            Self::read(node, number, &mut names, findings)
        })
    }

    fn read(node: &Node, number: usize, names: &mut BTreeSet<Name>, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let name: Option<Name> = match fields.node("name") {
            Some(node) => values::written(node, findings),
            None => number.to_string().parse().ok(),
        };
        if let Some(twice) = name.as_ref().filter(|name| !names.insert((*name).clone())) {
            let span = fields.node("name").map_or(&node.span, |node| &node.span);
            let reason = format!("another notification is called {} already", quoted(twice.as_str()));
            findings.report(Code::NameTwice, span, reason, "give one of the two another name");
        }
        let way = read_way(node, &fields, findings);
        let on = fields.required("on", findings, |node, findings| {
            values::list(node, "an occasion such as failed", findings, |node, findings| {
                words::word(node, "occasion", OCCASIONS, findings)
            })
        });
        Some(Self { name: name?, way: way?, on: on? })
    }
}

/// The one way of a notification; each way that is given is read.
fn read_way(node: &Node, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<Way> {
    let given: Vec<&str> = WAYS.into_iter().filter(|way| fields.node(way).is_some()).collect();
    if given.is_empty() && !fields.has_misspelt_key() {
        let reason = "a notification needs a way: `command`, `webhook` or `smtp`";
        let remedy = format!("add one, for example `command: {}`", fields.example("command"));
        findings.report(Code::MissingKey, &node.span, reason, remedy);
    }
    if let Some(second) = given.get(1).and_then(|way| fields.node(way)) {
        let remedy = "make a notification of each";
        findings.report(Code::TwoWays, &second.span, "a notification has one way, and here are more", remedy);
    }
    let command = fields.optional("command", findings, CheckCommand::read).map(Way::Command);
    let webhook = fields.optional("webhook", findings, Webhook::read).map(Way::Webhook);
    let smtp = fields.optional("smtp", findings, Mail::read).map(Way::Smtp);
    command.or(webhook).or(smtp)
}

impl fmt::Display for Occasion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Overdue => "overdue",
            Self::Recovered => "recovered",
        })
    }
}
