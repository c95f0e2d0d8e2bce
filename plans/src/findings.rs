//! Where the passes put the faults that they find, so that one fault never hides the next.

use std::collections::BTreeMap;

use crate::fault::{Code, FAULTS_MAX, Fault, Faults};
use crate::observer::{Observer, Takes};
use crate::report::quoted;
use crate::text::{Span, Text};
use crate::values::Refusal;

/// The text that is being read, and what was found wrong with it so far.
#[derive(Debug)]
pub(crate) struct Findings<'t> {
    text: Text<'t>,
    /// Values that variables were put into, by where they stand.
    became: BTreeMap<(usize, usize), String>,
    /// A mapping of which some keys are not known, since what they stand in could not be read.
    incomplete: Option<Span>,
    faults: Vec<Fault>,
    omitted: usize,
    observer: Option<Observer>,
}

impl<'t> Findings<'t> {
    pub(crate) fn new(text: Text<'t>) -> Self {
        Self { text, became: BTreeMap::new(), incomplete: None, faults: Vec::new(), omitted: 0, observer: None }
    }

    pub(crate) fn text(&self) -> &Text<'t> {
        &self.text
    }

    /// Goes on to a file that is included.
    pub(crate) fn add_text(&mut self, file: &'t str, content: &'t str) {
        self.text.add(file, content);
    }

    /// From now on, notes what readers take.
    pub(crate) fn observe_with(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    pub(crate) fn take_observer(&mut self) -> Observer {
        self.observer.take().unwrap_or_default()
    }

    /// To be called by every reader, before it reads.
    pub(crate) fn observe(&mut self, span: &Span, takes: impl FnOnce() -> Takes) {
        if let Some(observer) = &mut self.observer {
            observer.note(span, takes());
        }
    }

    /// That a word can stand in place of what the reader takes else.
    pub(crate) fn observe_word_beside(&mut self, span: &Span, word: &'static str) {
        if let Some(observer) = &mut self.observer {
            observer.note_word_beside(span, word);
        }
    }

    pub(crate) fn observe_required(&mut self, span: &Span, key: &'static str) {
        if let Some(observer) = &mut self.observer {
            observer.note_required(span, key);
        }
    }

    /// Notes that a mapping may have more keys than are known: none of it is called missing.
    pub(crate) fn note_incomplete(&mut self, span: &Span) {
        self.incomplete = Some(span.clone());
    }

    pub(crate) fn is_incomplete(&self, span: &Span) -> bool {
        self.incomplete.as_ref() == Some(span)
    }

    /// Notes what a value is once variables are put into it: its faults say so.
    pub(crate) fn note_became(&mut self, span: &Span, value: &str) {
        self.became.insert((span.start, span.end), value.to_owned());
    }

    /// Notes a fault and goes on.
    pub(crate) fn report(&mut self, code: Code, span: &Span, reason: impl Into<String>, remedy: impl Into<String>) {
        if self.faults.len() == FAULTS_MAX {
            self.omitted += 1;
            return;
        }
        let place = self.text.place(span);
        let mut reason = reason.into();
        if let Some(value) = self.became.get(&(span.start, span.end)) {
            reason = format!("{reason}; {} became {}", quoted(place.text()), quoted(value));
        }
        self.faults.push(Fault::new(code, place, reason, remedy.into()));
    }

    /// Notes that a value was refused and goes on.
    pub(crate) fn refuse(&mut self, code: Code, span: &Span, refusal: &Refusal) {
        self.report(code, span, refusal.to_string(), refusal.remedy());
    }

    /// Notes faults that were found before the text could be read.
    pub(crate) fn take_over(&mut self, faults: Faults) {
        self.omitted += faults.omitted();
        self.faults.extend(faults);
    }

    /// What was found wrong in this text, for a report over several.
    pub(crate) fn into_faults(self) -> Option<Faults> {
        Faults::from_found(self.faults, self.omitted)
    }

    /// The value, if nothing was found wrong on the way to it.
    pub(crate) fn conclude<T>(self, value: Option<T>) -> Result<T, Faults> {
        match (Faults::from_found(self.faults, self.omitted), value) {
            (None, Some(value)) => Ok(value),
            (Some(faults), _) => Err(faults),
            // BUG: a reader that gives up says why; nobody can repair a plan that is refused in silence.
            (None, None) => unreachable!("a plan was refused without a fault"),
        }
    }
}
