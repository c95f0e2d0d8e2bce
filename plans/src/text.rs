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

/// A file's text, and those of the parts that it includes, one behind the other: a span means one place in one of them.
#[derive(Debug)]
pub(crate) struct Text<'t> {
    files: Vec<FileText<'t>>,
}

/// One file's text with the starts of its lines, all as bytes of the whole.
#[derive(Debug)]
struct FileText<'t> {
    name: &'t str,
    content: &'t str,
    start: usize,
    line_starts: Vec<usize>,
}

impl<'t> Text<'t> {
    pub(crate) fn new(file: &'t str, content: &'t str) -> Self {
        Self { files: vec![FileText::new(file, content, 0)] }
    }

    /// Adds a file that is included. What is read next is its text.
    pub(crate) fn add(&mut self, file: &'t str, content: &'t str) {
        // One byte between two files, so that the end of one is not the start of the next.
        let start = self.last().start + self.last().content.len() + 1;
        self.files.push(FileText::new(file, content, start));
    }

    /// The text that is to be read: of the file that was added last.
    pub(crate) fn content(&self) -> &'t str {
        self.last().content
    }

    /// Where [`Self::content`] starts.
    pub(crate) fn start(&self) -> usize {
        self.last().start
    }

    /// What stands at a span, as it is written.
    pub(crate) fn slice(&self, span: &Span) -> &'t str {
        let file = self.file_at(span.start);
        file.content.get(span.start - file.start..span.end.saturating_sub(file.start)).unwrap_or_default()
    }

    /// Cuts a span down to its first line. A span that reaches past the text is moved to its end.
    pub(crate) fn place(&self, span: &Span) -> Place {
        self.file_at(span.start).place(span)
    }

    /// The number of the line on which a byte stands in its file, counted from one.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.file_at(at).line_of(at)
    }

    fn last(&self) -> &FileText<'t> {
        // BUG if there is none: a text begins with one.
        self.files.last().expect("a text has a file")
    }

    fn file_at(&self, at: usize) -> &FileText<'t> {
        let after = self.files.partition_point(|file| file.start <= at);
        &self.files[after.saturating_sub(1)]
    }
}

impl<'t> FileText<'t> {
    /// A byte-order mark in front is dropped: it is no part of line one.
    fn new(name: &'t str, content: &'t str, start: usize) -> Self {
        let content = content.strip_prefix('\u{feff}').unwrap_or(content);
        let after_breaks = content.match_indices('\n').map(|(at, _)| start + at + 1);
        let line_starts = std::iter::once(start).chain(after_breaks).collect();
        Self { name, content, start, line_starts }
    }

    fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|line_start| *line_start <= at)
    }

    fn place(&self, span: &Span) -> Place {
        let start = self.content.floor_char_boundary(span.start - self.start);
        let line = self.line_of(self.start + start);
        let line_start = self.line_starts[line - 1] - self.start;
        let source_line = self.content[line_start..].lines().next().unwrap_or_default();
        let line_end = line_start + source_line.len();
        let end = self.content.floor_char_boundary(span.end.saturating_sub(self.start));
        let end = end.clamp(start, line_end.max(start));
        Place {
            file: self.name.to_owned(),
            line,
            column: self.content[line_start..start].chars().count() + 1,
            text: self.content[start..end].trim_end().to_owned(),
            source_line: source_line.to_owned(),
        }
    }
}
