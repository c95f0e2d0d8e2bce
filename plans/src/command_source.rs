//! What a command prints, kept as one file: `{ command: [pg_dumpall], name: /dumps/all.sql }`.

use std::fmt;

use serde::Serialize;

use crate::fields::Fields;
use crate::findings::Findings;
use crate::prove::CheckCommand;
use crate::source_path::SourcePath;
use crate::text::Span;
use crate::time_span::TimeSpan;
use crate::values;

/// A command on the host whose standard output becomes one file of the snapshot. There is no snapshot unless it ends
/// with exit code 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CommandSource {
    command: CheckCommand,
    name: SourcePath,
    #[serde(rename = "time-out-seconds", skip_serializing_if = "Option::is_none")]
    time_out: Option<TimeSpan>,
}

impl CommandSource {
    /// The program and its arguments, run without a shell.
    pub fn command(&self) -> &CheckCommand {
        &self.command
    }

    /// Where the file stands in the snapshot.
    pub fn name(&self) -> &SourcePath {
        &self.name
    }

    /// It is ended, and the backup with it, after this time; a day if absent.
    pub fn time_out(&self) -> Option<TimeSpan> {
        self.time_out
    }

    /// Reads the keys of a source that has a command, and where its name stands.
    pub(crate) fn read(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<(Self, Span)> {
        let command = fields.required("command", findings, CheckCommand::read);
        let name = fields
            .required("name", findings, |node, findings| Some((values::written(node, findings)?, node.span.clone())));
        let time_out = fields.optional("time-out", findings, values::written);
        let (name, span) = name?;
        Some((Self { command: command?, name, time_out }, span))
    }
}

impl fmt::Display for CommandSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "what `{}` prints, as {}", self.command, self.name)
    }
}
