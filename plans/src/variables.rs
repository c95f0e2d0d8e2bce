//! Variables of a site: `variables: { dumps: /srv/dumps }` in `site.yaml`, and `${dumps}` in its values and those of plans.
//!
//! | written | comes to |
//! |---|---|
//! | `${dumps}` | what stands behind the name, as if it stood here: a number without quotes is a number |
//! | `${dumps}/main` | a text with it in it |
//! | `$${dumps}` | the text `${dumps}` |
//!
//! Put in before anything is interpreted, so that a variable can stand in every value; not in keys, and not in
//! variables. One that is not declared is a fault, and so is one that nothing uses.
//!
//! Deliberately absent: what differs from host to host. A plan says the same on all of its hosts.

use std::collections::{BTreeMap, BTreeSet};

use crate::declared::Declared;
use crate::fault::Code;
use crate::findings::Findings;
use crate::name::Name;
use crate::report::quoted;
use crate::text::Span;
use crate::tree::{Content, Entry, Node, Quotes};
use crate::values;
use crate::words::nearest_of;

/// The key in `site.yaml`.
pub(crate) const VARIABLES: &str = "variables";

const HOST: &str = "host";
const OPEN: &str = "${";
const READ_REMEDY: &str =
    "write `${name}` with the name of a variable of the site, or `$${` for the two signs themselves";

/// The variables of a site, and which of them were used.
#[derive(Debug)]
pub(crate) struct Variables {
    /// None where there can be none: the plan is in no site.
    declared: Option<Declared<Variable>>,
    used: BTreeSet<String>,
}

#[derive(Debug)]
struct Variable {
    text: String,
    quotes: Quotes,
    key_span: Span,
}

impl Variables {
    /// For a plan that is in no site.
    pub(crate) fn none() -> Self {
        Self { declared: None, used: BTreeSet::new() }
    }

    /// For a site whose file cannot be read: no name is called unknown.
    pub(crate) fn unreadable() -> Self {
        Self { declared: Some(Declared::unreadable()), used: BTreeSet::new() }
    }

    /// Reads what `site.yaml` declares.
    pub(crate) fn read(root: &Node, findings: &mut Findings<'_>) -> Self {
        let Content::Mapping(entries) = &root.content else { return Self::unreadable() };
        let declared = match entries.iter().find(|entry| entry.key == VARIABLES) {
            Some(entry) => read(&entry.value, findings),
            None if entries.iter().any(|entry| nearest_of(&entry.key, [VARIABLES]).is_some()) => Declared::unreadable(),
            None => Declared::of(BTreeMap::new()),
        };
        Self { declared: Some(declared), used: BTreeSet::new() }
    }

    /// Puts them into every value of a tree but those that declare them.
    pub(crate) fn put_into(&mut self, root: &mut Node, findings: &mut Findings<'_>) {
        match &mut root.content {
            Content::Mapping(entries) => {
                let others = entries.iter_mut().filter(|entry| entry.key != VARIABLES);
                others.for_each(|entry| self.put_into_value(&mut entry.value, findings));
            }
            _ => self.put_into_value(root, findings),
        }
    }

    /// Reports those that nothing used; only to be called once everything was read.
    pub(crate) fn report_unused(&self, findings: &mut Findings<'_>) {
        for (name, variable) in self.declared.iter().flat_map(Declared::iter) {
            if !self.used.contains(name) {
                let reason = format!("nothing uses the variable {}", quoted(name));
                let remedy = format!("take it out, or write `${{{name}}}` where it is meant");
                findings.report(Code::UnusedVariable, &variable.key_span, reason, remedy);
            }
        }
    }

    fn put_into_value(&mut self, node: &mut Node, findings: &mut Findings<'_>) {
        match &mut node.content {
            Content::Scalar { text, quotes } if text.contains(OPEN) => {
                let Some(value) = self.value(text, *quotes, &node.span, findings) else {
                    node.content = Content::Refused;
                    return;
                };
                findings.note_became(&node.span, &value.text);
                (*text, *quotes) = (value.text, value.quotes);
            }
            Content::Scalar { .. } | Content::Refused => {}
            Content::List(items) => items.iter_mut().for_each(|item| self.put_into_value(item, findings)),
            Content::Mapping(entries) => {
                entries.iter_mut().for_each(|entry| self.put_into_value(&mut entry.value, findings));
            }
        }
    }

    /// What a value comes to; none if something of it was reported.
    fn value(&mut self, text: &str, quotes: Quotes, span: &Span, findings: &mut Findings<'_>) -> Option<Value> {
        let whole = text.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix('}')).filter(|name| !name.contains('}'));
        if let Some(name) = whole {
            let variable = self.look_up(name, span, findings)?;
            return Some(Value { text: variable.text.clone(), quotes: variable.quotes });
        }
        let mut value = Some(String::new());
        let mut rest = text;
        while let Some(at) = rest.find(OPEN) {
            let literal = rest[..at].ends_with('$');
            let before = if literal { &rest[..at - 1] } else { &rest[..at] };
            let behind = &rest[at + OPEN.len()..];
            let (piece, behind) = match behind.split_once('}') {
                _ if literal => (Some(OPEN), behind),
                Some((name, behind)) => (self.look_up(name, span, findings).map(|found| found.text.as_str()), behind),
                None => {
                    findings.report(Code::BadVariable, span, "`${` is not closed by `}`", READ_REMEDY);
                    return None;
                }
            };
            value = value.zip(piece).map(|(value, piece)| value + before + piece);
            rest = behind;
        }
        Some(Value { text: value? + rest, quotes })
    }

    fn look_up(&mut self, name: &str, span: &Span, findings: &mut Findings<'_>) -> Option<&Variable> {
        let written = format!("${{{name}}}");
        let span = findings.text().slice(span).find(&written).map_or(span.clone(), |at| {
            let start = span.start + at;
            start..start + written.len()
        });
        let Ok(name) = name.parse::<Name>() else {
            let reason = format!("{} is the name of no variable", quoted(name));
            findings.report(Code::BadVariable, &span, reason, READ_REMEDY);
            return None;
        };
        if is_of_host(&name) {
            let reason = format!(
                "{} would be another value on each host, and a plan says the same on all of its hosts",
                quoted(&written)
            );
            let remedy = "write the value out, or give the hosts that differ a plan of their own";
            findings.report(Code::BadVariable, &span, reason, remedy);
            return None;
        }
        let Some(declared) = &self.declared else {
            let reason = format!("{} means something only in a plan of a site", quoted(&written));
            let remedy = "write the value out, or `$${` for the two signs themselves; or put the plan into the `plans` of a site";
            findings.report(Code::OnlyInSite, &span, reason, remedy);
            return None;
        };
        self.used.insert(name.as_str().to_owned());
        declared.look_up("variable", &name, &span, findings)
    }
}

/// A value with its variables put in.
struct Value {
    text: String,
    quotes: Quotes,
}

fn is_of_host(name: &Name) -> bool {
    name.as_str().split('.').next() == Some(HOST)
}

fn read(node: &Node, findings: &mut Findings<'_>) -> Declared<Variable> {
    let entries: &[Entry] = match &node.content {
        Content::Mapping(entries) => entries,
        _ => &[],
    };
    let declared = values::named(node, "`dumps: /srv/dumps`", findings, |name, node, findings| {
        let text = values::text(node, "a text or a number", findings)?;
        let key_span = entries.iter().find(|entry| entry.key == name.as_str())?.key_span.clone();
        if is_of_host(name) {
            let remedy = "give it another name: what is behind `host` would be a host's own";
            findings.report(Code::BadName, &key_span, "a variable cannot be called so", remedy);
            return None;
        }
        if text.contains(OPEN) {
            let remedy = "write the value out, and put the two together where they are used";
            findings.report(Code::BadVariable, &node.span, "a variable cannot stand in another one", remedy);
            return None;
        }
        let quotes = match &node.content {
            Content::Scalar { quotes, .. } => *quotes,
            _ => Quotes::Absent,
        };
        Some(Variable { text: text.to_owned(), quotes, key_span })
    });
    declared.map_or_else(Declared::unreadable, Declared::of)
}
