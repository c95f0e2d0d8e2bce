//! The text of one file, and the places in it.
//!
//! A [`Place`] is cut out of the text when a fault is found, so that a fault can be printed, stored or sent long
//! after the text is gone.

use std::ops::Range;

use serde::Serialize;

/// A range of bytes in a text.
pub(crate) type Span = Range<usize>;

/// Where something stands in a file, and what stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    file: String,
    line: usize,
    column: usize,
    text: String,
    source_line: String,
}

impl Place {
    /// The file's name as the caller gave it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Counted from one.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Counted in characters, from one.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The offending text, as far as it stands on this line; empty where something is absent.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole line on which it stands.
    pub fn source_line(&self) -> &str {
        &self.source_line
    }
}

/// One file's text with the starts of its lines.
#[derive(Debug)]
pub(crate) struct Text<'t> {
    file: &'t str,
    content: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> Text<'t> {
    /// A byte-order mark in front is dropped: it is no part of line one.
    pub(crate) fn new(file: &'t str, content: &'t str) -> Self {
        let content = content.strip_prefix('\u{feff}').unwrap_or(content);
        let after_breaks = content.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Self { file, content, line_starts }
    }

    pub(crate) fn content(&self) -> &'t str {
        self.content
    }

    /// Cuts a span down to its first line. A span that reaches past the text is moved to its end.
    pub(crate) fn place(&self, span: &Span) -> Place {
        let start = self.content.floor_char_boundary(span.start);
        let line = self.line_starts.partition_point(|line_start| *line_start <= start);
        let line_start = self.line_starts[line - 1];
        let source_line = self.content[line_start..].lines().next().unwrap_or_default();
        let line_end = line_start + source_line.len();
        let end = self.content.floor_char_boundary(span.end).clamp(start, line_end.max(start));
        Place {
            file: self.file.to_owned(),
            line,
            column: self.content[line_start..start].chars().count() + 1,
            text: self.content[start..end].trim_end().to_owned(),
            source_line: source_line.to_owned(),
        }
    }

    /// The number of the line on which a byte stands, counted from one.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|line_start| *line_start <= at)
    }
}
