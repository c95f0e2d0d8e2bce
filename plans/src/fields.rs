//! Reading a mapping: each key is known, refused, or reported.
//!
//! Each kind of mapping has a [`Shape`], the table of its keys. A reader returns `None` when it has reported why;
//! the others go on.

use crate::fault::Code;
use crate::findings::Findings;
use crate::observer::Takes;
use crate::report::quoted;
use crate::said::{Said, said};
use crate::text::Text;
use crate::tree::{Content, Entry, Node};
use crate::values::wrong_type;
use crate::words::{Meaning, Word, known, nearest, suggestion};

/// The keys of one kind of mapping.
#[derive(Debug)]
pub(crate) struct Shape {
    /// As it stands in a sentence: "a source", "`retain`".
    pub(crate) title: &'static str,
    pub(crate) keys: &'static [Word<Example>],
}

/// A value that a key may have, as one would write it.
pub(crate) type Example = &'static str;

/// A mapping whose keys are all known.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    node: &'n Node,
    shape: &'static Shape,
    entries: Vec<&'n Entry>,
    /// Keys that were probably meant by unknown ones: saying that they are missing too would be noise.
    meant: Vec<&'static str>,
    later: bool,
}

impl<'n> Fields<'n> {
    /// Sorts the entries into those to be read and those to be reported.
    pub(crate) fn of(node: &'n Node, shape: &'static Shape, findings: &mut Findings<'_>) -> Option<Self> {
        findings.observe(&node.span, || Takes::Keys(shape));
        let Content::Mapping(entries) = &node.content else {
            let remedy = format!("write keys and values; the keys are {}", known(shape.keys));
            wrong_type(node, &format!("the keys of {}", shape.title), &remedy, findings);
            return None;
        };
        let mut fields = Self { node, shape, entries: Vec::new(), meant: Vec::new(), later: false };
        for entry in entries {
            fields.admit(entry, findings);
        }
        Some(fields)
    }

    fn admit(&mut self, entry: &'n Entry, findings: &mut Findings<'_>) {
        let title = self.shape.title;
        let key = quoted(&entry.key);
        match self.shape.keys.iter().find(|(name, _)| *name == entry.key) {
            Some((_, Meaning::Now(_))) => self.entries.push(entry),
            Some((_, Meaning::Later(remedy))) => {
                self.later = true;
                let reason = format!("this release does not act on {key} yet");
                findings.report(Code::NotYet, &entry.key_span, reason, *remedy);
            }
            Some((_, Meaning::InSite(remedy))) => {
                self.later = true;
                let reason = format!("{key} means something only in a plan of a site");
                findings.report(Code::OnlyInSite, &entry.key_span, reason, *remedy);
            }
            None => {
                let near = nearest(&entry.key, self.shape.keys);
                self.meant.extend(near);
                let reason = format!("{title} has no key {key}");
                let remedy = suggestion(near, self.shape.keys);
                findings.report(Code::UnknownKey, &entry.key_span, reason, remedy);
            }
        }
    }

    /// Whether a key was refused because this release does not act on it.
    pub(crate) fn has_later_key(&self) -> bool {
        self.later
    }

    /// Whether a known key was probably meant by an unknown one.
    pub(crate) fn has_misspelt_key(&self) -> bool {
        !self.meant.is_empty()
    }

    /// What is said below each of the keys, and where.
    pub(crate) fn said(&self, text: &Text<'_>) -> Vec<Said> {
        said(self.entries.iter().copied(), text)
    }

    /// The key's value as it stands in the text.
    pub(crate) fn node(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
    }

    pub(crate) fn optional<'t, T>(
        &self,
        name: &'static str,
        findings: &mut Findings<'t>,
        read: impl FnOnce(&'n Node, &mut Findings<'t>) -> Option<T>,
    ) -> Option<T> {
        read(self.node(name)?, findings)
    }

    pub(crate) fn required<'t, T>(
        &self,
        name: &'static str,
        findings: &mut Findings<'t>,
        read: impl FnOnce(&'n Node, &mut Findings<'t>) -> Option<T>,
    ) -> Option<T> {
        findings.observe_required(&self.node.span, name);
        let is_meant = self.meant.contains(&name) || findings.is_incomplete(&self.node.span);
        if self.node(name).is_none() && !is_meant {
            let reason = format!("{} has no `{name}`, and it must", self.shape.title);
            let remedy = format!("add it, for example `{name}: {}`", self.example(name));
            findings.report(Code::MissingKey, &self.node.span, reason, remedy);
        }
        self.optional(name, findings, read)
    }

    pub(crate) fn example(&self, name: &str) -> Example {
        match self.shape.keys.iter().find(|(known, _)| *known == name) {
            Some((_, Meaning::Now(example))) => example,
            // BUG: a reader asks for a key that its own table does not have.
            _ => unreachable!("{} has no key {name}", self.shape.title),
        }
    }
}
