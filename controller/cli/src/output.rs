//! Answers on standard output, as text for people or JSON for programs.

use std::io::{self, BufWriter, StdoutLock, Write, stdout};

use serde::Serialize;

use crate::failure::{Cause, Failure};

/// How answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What a command answers.
pub(crate) trait Answer: Serialize {
    /// The answer for people. The JSON form comes from `Serialize` and says at least as much.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// How answers look.
    pub(crate) fn format(self) -> Format {
        self.format
    }

    /// Prints one answer: in JSON, one document.
    pub(crate) fn answer(self, answer: &impl Answer) -> Result<(), Failure> {
        let mut out = BufWriter::new(stdout().lock());
        let written = match self.format {
            Format::Text => answer.write_text(&mut out),
            Format::Json => {
                serde_json::to_writer_pretty(&mut out, answer).map_err(io::Error::from).and_then(|()| writeln!(out))
            }
        };
        written.and_then(|()| out.flush()).map_err(failed)
    }

    /// For answers of many items: in JSON, one line each.
    pub(crate) fn items(self) -> Items {
        Items { format: self.format, out: BufWriter::new(stdout().lock()) }
    }
}

/// Items on their way to standard output.
#[derive(Debug)]
pub(crate) struct Items {
    format: Format,
    out: BufWriter<StdoutLock<'static>>,
}

impl Items {
    /// Prints one item.
    pub(crate) fn item(&mut self, item: &impl Answer) -> Result<(), Failure> {
        let written = match self.format {
            Format::Text => item.write_text(&mut self.out),
            Format::Json => {
                serde_json::to_writer(&mut self.out, item).map_err(io::Error::from).and_then(|()| writeln!(self.out))
            }
        };
        written.map_err(failed)
    }

    /// Hands raw bytes on, as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(failed)
    }

    /// Nothing is lost unnoticed: to be called at the end.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.out.flush().map_err(failed)
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::new("print the answer", Cause::Output(error))
}
