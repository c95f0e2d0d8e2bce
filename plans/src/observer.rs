//! What the readers take, noted while they read.
//!
//! The JSON Schema for editors is made of this, so that it says what the readers do and cannot drift from them: see
//! `schema`. Nothing is noted unless somebody asks.

use std::collections::{BTreeMap, BTreeSet};

use crate::fields::Shape;
use crate::text::Span;

/// What was noted of the values that stand at some places.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    takes: BTreeMap<(usize, usize), Takes>,
    required: BTreeSet<(usize, usize, &'static str)>,
    /// Words that stand in place of what is taken else.
    words: BTreeMap<(usize, usize), &'static str>,
}

/// What a reader takes.
#[derive(Debug)]
pub(crate) enum Takes {
    /// A mapping whose keys are known.
    Keys(&'static Shape),
    /// A mapping from names that its writer gives.
    Names,
    /// A list.
    Items,
    /// One of these words.
    Words(Vec<&'static str>),
    /// `true` or `false`.
    Flag,
    /// A whole number from one up to this.
    Count(u32),
    /// A text.
    Text(TakesText),
}

/// Which text, and whether it may look like something else to YAML.
#[derive(Debug)]
pub(crate) struct TakesText {
    pub(crate) what: String,
    pub(crate) pattern: Option<String>,
    pub(crate) may_be_number: bool,
    pub(crate) may_be_flag: bool,
}

impl Observer {
    /// The reader that a value meets first says most about it.
    pub(crate) fn note(&mut self, span: &Span, takes: Takes) {
        self.takes.entry((span.start, span.end)).or_insert(takes);
    }

    pub(crate) fn note_required(&mut self, span: &Span, key: &'static str) {
        self.required.insert((span.start, span.end, key));
    }

    pub(crate) fn note_word_beside(&mut self, span: &Span, word: &'static str) {
        self.words.insert((span.start, span.end), word);
    }

    /// The word that can stand at a place instead of what is taken there.
    pub(crate) fn word_beside(&self, span: &Span) -> Option<&'static str> {
        self.words.get(&(span.start, span.end)).copied()
    }

    pub(crate) fn takes(&self, span: &Span) -> Option<&Takes> {
        self.takes.get(&(span.start, span.end))
    }

    /// The keys that the mapping at a place must have.
    pub(crate) fn required(&self, span: &Span) -> BTreeSet<&'static str> {
        let here = (span.start, span.end, "")..;
        let of_span = self.required.range(here).take_while(|(start, end, _)| (*start, *end) == (span.start, span.end));
        of_span.map(|(.., key)| *key).collect()
    }
}
