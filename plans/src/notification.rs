//! Who is told what became of runs.

use std::fmt;

use serde::Serialize;

use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::prove::CheckCommand;
use crate::tree::Node;
use crate::values;
use crate::words::{self, Meaning, Word};

/// Where to tell what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notification {
    command: CheckCommand,
    on: Vec<Occasion>,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A run failed.
    Failed,
    /// A run was due, and never began.
    Missed,
    /// A good run after one of the above.
    Recovered,
}

static SHAPE: Shape = Shape {
    title: "a notification",
    keys: &[
        (
            "webhook",
            Meaning::Later(
                "let a command send it until then, such as [\"/usr/local/bin/post\", \"https://chat.example.org/hook\"]",
            ),
        ),
        ("command", Meaning::Now("[\"/usr/local/bin/page\", \"backup\"]")),
        ("on", Meaning::Now("[failed, missed, recovered]")),
        ("smtp", Meaning::Later("let a command send the mail until then, such as [\"sendmail\", \"ops@example.org\"]")),
    ],
};

static OCCASIONS: &[Word<Occasion>] = &[
    ("failed", Meaning::Now(Occasion::Failed)),
    ("missed", Meaning::Now(Occasion::Missed)),
    (
        "overdue",
        Meaning::Later(
            "take it out, and let your monitoring call `strongroom status`, which ends with 4 when something is overdue",
        ),
    ),
    ("recovered", Meaning::Now(Occasion::Recovered)),
];

impl Notification {
    /// A program on the controller's machine, which gets the news as JSON on its input.
    pub fn command(&self) -> &CheckCommand {
        &self.command
    }

    /// On which occasions; at least one.
    pub fn on(&self) -> &[Occasion] {
        &self.on
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let command = match fields.has_later_key() {
            // The way that it names is refused already.
            true => fields.optional("command", findings, CheckCommand::read),
            false => fields.required("command", findings, CheckCommand::read),
        };
        let on = fields.required("on", findings, |node, findings| {
            values::list(node, "an occasion such as failed", findings, |node, findings| {
                words::word(node, "occasion", OCCASIONS, findings)
            })
        });
        Some(Self { command: command?, on: on? })
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Recovered => "recovered",
        })
    }
}
