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

/// A line of comma-separated values (RFC 4180). What a spreadsheet would take for a formula gets a mark in front.
pub(crate) fn csv_line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cell = |cell: &str| {
        let marked = if cell.starts_with(['=', '+', '-', '@']) { format!("'{cell}") } else { cell.to_owned() };
        let is_plain = !marked.contains([',', '"', '\n', '\r']);
        if is_plain { marked } else { format!("\"{}\"", marked.replace('"', "\"\"")) }
    };
    cells.into_iter().map(cell).collect::<Vec<_>>().join(",") + "\r\n"
}

fn failed(error: io::Error) -> Failure {
    Failure::new("print the answer", Cause::Output(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(csv_line(["a", "b,c", "say \"no\"", "=1+1"]), "a,\"b,c\",\"say \"\"no\"\"\",'=1+1\r\n");
    }
}
