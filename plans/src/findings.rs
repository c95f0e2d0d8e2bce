//! Where the passes put the faults that they find, so that one fault never hides the next.

use crate::fault::{Code, FAULTS_MAX, Fault, Faults};
use crate::text::{Span, Text};
use crate::values::Refusal;

/// The text that is being read, and what was found wrong with it so far.
#[derive(Debug)]
pub(crate) struct Findings<'t> {
    text: Text<'t>,
    faults: Vec<Fault>,
    omitted: usize,
}

impl<'t> Findings<'t> {
    pub(crate) fn new(text: Text<'t>) -> Self {
        Self { text, faults: Vec::new(), omitted: 0 }
    }

    pub(crate) fn text(&self) -> &Text<'t> {
        &self.text
    }

    /// Notes a fault and goes on.
    pub(crate) fn report(&mut self, code: Code, span: &Span, reason: impl Into<String>, remedy: impl Into<String>) {
        if self.faults.len() == FAULTS_MAX {
            self.omitted += 1;
            return;
        }
        let place = self.text.place(span);
        self.faults.push(Fault::new(code, place, reason.into(), remedy.into()));
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
