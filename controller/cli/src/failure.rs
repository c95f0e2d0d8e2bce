//! A command's failure: what could not be done, why, and what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use strongroom_plans::Faults;
use strongroom_repository::store::StoreError;
use strongroom_repository::{Error, chain};
use strongroom_worker::backup::BackupError;
use strongroom_worker::mount::MountError;
use strongroom_worker::restore::RestoreError;

use crate::advice;
use crate::exit::Exit;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// The repository or its store failed.
    #[error(transparent)]
    Repository(#[from] Error),
    /// A backup ended without a snapshot.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A restore ended early.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A repository could not be mounted, or unmounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The repository's location cannot be understood or opened.
    #[error(transparent)]
    Location(#[from] StoreError),
    /// Faults of a plan file; they are shown as they are.
    #[error(transparent)]
    Plan(#[from] Faults),
    /// A local file failed.
    #[error("cannot {doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    /// Standard output took no more.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A key is missing, wrong, or kept carelessly.
    #[error("{0}")]
    Key(String),
    /// Who asks may not.
    #[error("{0}")]
    Forbidden(String),
    /// A path or an object that was asked for is not there.
    #[error("{0}")]
    Absent(String),
    /// At the place where a repository was lies another one, or none.
    #[error("{0}")]
    WrongPlace(String),
    /// Bytes are not what they should be.
    #[error("{0}")]
    Damaged(String),
    /// Something else, below us.
    #[error(transparent)]
    Program(#[from] Box<dyn StdError + Send + Sync>),
    /// A signal arrived.
    #[error("stopped by a signal")]
    Stopped(u8),
}

/// A command's failure.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    /// In a box, so that every answer of every function is small.
    cause: Box<Cause>,
    next: Option<String>,
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    /// `what` completes "cannot …".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Cause>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what(), error))
    }
}

impl Failure {
    /// `what` completes "cannot …".
    pub(crate) fn new(what: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self { what: what.into(), cause: Box::new(cause.into()), next: None }
    }

    /// Replaces the general advice for this cause.
    pub(crate) fn advise(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The exit code that it means.
    pub(crate) fn exit(&self) -> Exit {
        Exit::from(&*self.cause)
    }

    /// Whether the reader of our output went away, which is no failure.
    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(&*self.cause, Cause::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// For people.
    pub(crate) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Cause::Plan(faults) = &*self.cause {
            return writeln!(out, "{faults}");
        }
        if let Cause::Stopped(_) = &*self.cause {
            return writeln!(
                out,
                "stopped while trying to {}: nothing half done is visible, and the same command goes on from here",
                self.what
            );
        }
        writeln!(out, "error: cannot {}", self.what)?;
        writeln!(out, "  why:  {}", indented(&self.why()))?;
        match self.next() {
            Some(next) => writeln!(out, "  next: {}", indented(&next)),
            None => Ok(()),
        }
    }

    /// For programs: one line.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let faults = match &*self.cause {
            Cause::Plan(faults) => Some(faults),
            _ => None,
        };
        let shape = FailureJson {
            what: format!("cannot {}", self.what),
            why: faults.map_or_else(|| self.why(), |_| "the plan has faults".into()),
            next: self.next(),
            exit_code: self.exit().code(),
            faults,
        };
        serde_json::to_writer(&mut *out, &ErrorJson { error: shape })?;
        writeln!(out)
    }

    fn why(&self) -> String {
        chain(&*self.cause)
    }

    fn next(&self) -> Option<String> {
        self.next.clone().or_else(|| advice::next(&self.cause).map(str::to_owned))
    }
}

impl fmt::Display for Failure {
    /// In one line, for records.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.cause {
            Cause::Stopped(_) => write!(out, "stopped by a signal"),
            _ => write!(out, "cannot {}: {}", self.what, self.why()),
        }
    }
}

/// Later lines of a text stand below the first.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n        ")
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    error: FailureJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FailureJson<'a> {
    what: String,
    why: String,
    next: Option<String>,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    faults: Option<&'a Faults>,
}
