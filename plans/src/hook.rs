//! A command around a backup or a restore: `{ run: [systemctl, stop, billing], time-out: 2m }`.

use std::fmt;

use serde::Serialize;

use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::prove::CheckCommand;
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::values;
use crate::words::Meaning;

/// A command on the host, run without a shell before or after a source is read, or data are restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hook {
    run: CheckCommand,
    #[serde(rename = "time-out-seconds", skip_serializing_if = "Option::is_none")]
    time_out: Option<TimeSpan>,
}

static SHAPE: Shape = Shape {
    title: "a command of a plan",
    keys: &[("run", Meaning::Now("[systemctl, stop, billing]")), ("time-out", Meaning::Now("2m"))],
};

impl Hook {
    pub(crate) const WHAT: &'static str = "a command such as { run: [systemctl, stop, billing], time-out: 2m }";

    /// The program and its arguments. It ends well with exit code 0.
    pub fn run(&self) -> &CheckCommand {
        &self.run
    }

    /// It is ended, and counts as failed, after this time; ten minutes if absent.
    pub fn time_out(&self) -> Option<TimeSpan> {
        self.time_out
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let run = fields.required("run", findings, CheckCommand::read);
        let time_out = fields.optional("time-out", findings, values::written);
        Some(Self { run: run?, time_out })
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`", self.run)
    }
}
