//! A look at a system that is up again: `{ run: [systemctl, is-active, billing], prints: active, time-out: 1m }`.

use std::fmt;

use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::name::Line;
use crate::prove::CheckCommand;
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
}

static SHAPE: Shape = Shape {
    title: "a probe",
    keys: &[
        ("run", Meaning::Now("[systemctl, is-active, billing]")),
        ("prints", Meaning::Now("active")),
        ("time-out", Meaning::Now("1m")),
    ],
};

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

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let run = fields.required("run", findings, CheckCommand::read);
        let prints = fields.optional("prints", findings, values::written);
        let time_out = fields.optional("time-out", findings, values::written);
        Some(Self { run: run?, prints, time_out })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`", self.run)
    }
}
