//! What is backed up together, and what runs around it.
//!
//! Each source becomes one snapshot: files of the host, or what a command prints. Databases and disk images that need
//! more than a command will be further keys.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::command_source::CommandSource;
use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::files_source::FilesSource;
use crate::findings::Findings;
use crate::hook::Hook;
use crate::report::quoted;
use crate::source_path::SourcePath;
use crate::text::Span;
use crate::tree::Node;
use crate::values;
use crate::words::Meaning;

/// One snapshot's worth of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Source {
    input: Input,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before: Vec<Hook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    after: Vec<Hook>,
}

/// Where the bytes come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// From files.
    Files(FilesSource),
    /// From a command.
    Command(CommandSource),
}

const DATABASES: &str = "until then, let a command dump it: { command: [pg_dumpall], name: /dumps/all.sql }";

static SHAPE: Shape = Shape {
    title: "a source",
    keys: &[
        ("files", Meaning::Now("[/etc, /srv]")),
        ("exclude", Meaning::Now("[\"*.tmp\"]")),
        ("exclude-caches", Meaning::Now("true")),
        ("one-file-system", Meaning::Now("true")),
        ("exclude-larger-than", Meaning::Now("1 GiB")),
        ("command", Meaning::Now("[pg_dumpall, \"--clean\"]")),
        ("name", Meaning::Now("/dumps/all.sql")),
        ("time-out", Meaning::Now("4h")),
        ("before", Meaning::Now("[{ run: [systemctl, stop, billing], time-out: 2m }]")),
        ("after", Meaning::Now("[{ run: [systemctl, start, billing], time-out: 2m }]")),
        ("postgresql", Meaning::Later(DATABASES)),
        ("mysql", Meaning::Later(DATABASES)),
    ],
};

const OF_FILES: &[&str] = &["exclude", "exclude-caches", "one-file-system", "exclude-larger-than"];
const OF_COMMANDS: &[&str] = &["name", "time-out"];

impl Source {
    /// Where the bytes come from.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// The paths below which everything of the snapshot stands, at least one.
    pub fn roots(&self) -> &[SourcePath] {
        match &self.input {
            Input::Files(files) => files.files(),
            Input::Command(command) => std::slice::from_ref(command.name()),
        }
    }

    /// Commands that must end well before anything is read, in this order.
    pub fn before(&self) -> &[Hook] {
        &self.before
    }

    /// Commands that run afterwards, whatever came of the backup.
    pub fn after(&self) -> &[Hook] {
        &self.after
    }

    /// Whether a backup of this source would read the path, as far as paths and patterns alone can tell.
    pub fn covers(&self, path: &Path) -> bool {
        self.files().iter().any(|root| self.covers_from(root.as_path(), path))
    }

    /// Whether the snapshot would hold the path, as far as paths and patterns alone can tell.
    pub fn holds(&self, path: &Path) -> bool {
        self.roots().iter().any(|root| self.covers_from(root.as_path(), path))
    }

    /// Whether a backup would come from one of the roots to the path.
    pub(crate) fn covers_from(&self, root: &Path, path: &Path) -> bool {
        match &self.input {
            Input::Files(files) => files.covers_from(root, path),
            Input::Command(_) => path == root,
        }
    }

    /// The paths of the host that are read.
    pub fn files(&self) -> &[SourcePath] {
        match &self.input {
            Input::Files(files) => files.files(),
            Input::Command(_) => &[],
        }
    }

    /// Reads one source, and where each of its roots stands.
    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<(Self, Vec<Span>)> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let hooks = |key, findings: &mut Findings<'_>| match fields.node(key) {
            Some(node) => values::list(node, Hook::WHAT, findings, Hook::read),
            None => Some(Vec::new()),
        };
        let (before, after) = (hooks("before", findings), hooks("after", findings));
        let read = if fields.node("command").is_some() {
            refuse_beside(&fields, "command", &["files"], findings);
            refuse_beside(&fields, "command", OF_FILES, findings);
            CommandSource::read(&fields, findings).map(|(command, span)| (Input::Command(command), vec![span]))
        } else {
            refuse_beside(&fields, "files", OF_COMMANDS, findings);
            FilesSource::read(&fields, findings).map(|(files, spans)| (Input::Files(files), spans))
        };
        let (input, spans) = read?;
        Some((Self { input, before: before?, after: after? }, spans))
    }
}

/// Keys that mean nothing beside another one are a mistake about what is backed up.
fn refuse_beside(fields: &Fields<'_>, beside: &str, keys: &[&str], findings: &mut Findings<'_>) {
    for node in keys.iter().filter_map(|key| Some((key, fields.node(key)?))) {
        let (key, node) = node;
        let reason = format!("{} means nothing beside {}", quoted(key), quoted(beside));
        let remedy = format!("take one of the two out, or write two sources: each with `{beside}` or the other");
        findings.report(Code::KeyBeside, &node.span, reason, remedy);
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.input {
            Input::Files(files) => files.fmt(out),
            Input::Command(command) => command.fmt(out),
        }
    }
}
