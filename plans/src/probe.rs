//! A look at a system that is up again: `{ run: [systemctl, is-active, billing], prints: active, time-out: 1m }`, or `{ port: 5432 }`.

use std::fmt;

use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::name::Line;
use crate::prove::CheckCommand;
use crate::ready_check::{ANSWER, Kind, ReadyCheck};
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::values;
use crate::words::Meaning;

/// A command on the target host that agrees by ending with exit code 0, and by what it prints where that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    run: CheckCommand,
    prints: Option<Line>,
    time_out: Option<TimeSpan>,
    wait: Option<TimeSpan>,
}

static SHAPE: Shape = Shape {
    title: "a probe",
    keys: &[
        (RUN, Meaning::Now("[systemctl, is-active, billing]")),
        ("unit", Meaning::Now("billing.service")),
        ("port", Meaning::Now("5432")),
        ("http", Meaning::Now("http://127.0.0.1:8080/health")),
        ("postgresql", Meaning::Now("billing")),
        ("prints", Meaning::Now("active")),
        ("query", Meaning::Now("select count(*) from bookings")),
        ("at-least", Meaning::Now("100")),
        ("at-most", Meaning::Now("100000")),
        ("within", Meaning::Now("1d")),
        ("as", Meaning::Now("postgres")),
        ("status", Meaning::Now("200")),
        ("contains", Meaning::Now("ok")),
        ("time-out", Meaning::Now("1m")),
        ("wait", Meaning::Now("2m")),
    ],
};

const RUN: &str = "run";

/// On a host that is up again.
static KINDS: &[Kind] = &[
    Kind { key: RUN, needs: &[], takes: &["prints"] },
    Kind { key: "unit", needs: &[], takes: &[] },
    Kind { key: "port", needs: &[], takes: &[] },
    Kind { key: "http", needs: &[], takes: &["status", "contains"] },
    Kind { key: "postgresql", needs: &[&["query"], ANSWER], takes: &["as"] },
];

impl Probe {
    pub(crate) const WHAT: &'static str = "a probe such as { run: [systemctl, is-active, billing], prints: active }";

    /// The program and its arguments.
    pub fn run(&self) -> &CheckCommand {
        &self.run
    }

    /// All that it must print, but for space around it; anything if absent.
    pub fn prints(&self) -> Option<&Line> {
        self.prints.as_ref()
    }

    /// It is ended, and does not agree, after this time; ten minutes if absent.
    pub fn time_out(&self) -> Option<TimeSpan> {
        self.time_out
    }

    /// For so long it is made again while it does not agree; once if absent.
    pub fn wait(&self) -> Option<TimeSpan> {
        self.wait
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let run = fields.optional(RUN, findings, CheckCommand::read);
        let time_out = fields.optional("time-out", findings, values::written);
        let wait = fields.optional("wait", findings, values::written);
        let check = ReadyCheck::read(KINDS, node, &fields, findings)?;
        Some(match check.is(RUN) {
            // It was read as a line.
            true => {
                Self { run: run?, prints: check.value("prints").and_then(|text| text.parse().ok()), time_out, wait }
            }
            // What it says is judged by the program that says it.
            false => Self { run: check.command()?, prints: None, time_out, wait },
        })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`", self.run)
    }
}
