//! What a file of the site declares by name, for the others to refer to.

use std::collections::BTreeMap;

use crate::fault::Code;
use crate::fields::Fields;
use crate::findings::Findings;
use crate::name::Name;
use crate::report::quoted;
use crate::text::Span;
use crate::tree::Node;
use crate::values;
use crate::words::nearest_of;

/// Names and what they stand for; nothing for one whose declaration is faulty.
#[derive(Debug)]
pub(crate) struct Declared<T> {
    entries: BTreeMap<String, Option<T>>,
    /// Whether all names are known. If not, because their file could not be read that far, no name is called unknown.
    is_whole: bool,
}

impl<T> Declared<T> {
    /// For a file that could not be read.
    pub(crate) fn unreadable() -> Self {
        Self { entries: BTreeMap::new(), is_whole: false }
    }

    pub(crate) fn of(entries: BTreeMap<String, Option<T>>) -> Self {
        Self { entries, is_whole: true }
    }

    /// Reads the names below a key.
    pub(crate) fn read<'n, 't>(
        fields: &Fields<'n>,
        key: &'static str,
        findings: &mut Findings<'t>,
        read: impl FnMut(&Name, &'n Node, &mut Findings<'t>) -> Option<T>,
    ) -> Self {
        match fields.node(key) {
            None => Self { entries: BTreeMap::new(), is_whole: !fields.has_misspelt_key() },
            Some(node) => {
                let entries = values::named(node, &quoted(fields.example(key)), findings, read);
                let is_whole = |entries: &BTreeMap<String, _>| entries.keys().all(|name| name.parse::<Name>().is_ok());
                entries.map_or_else(Self::unreadable, |entries| Self { is_whole: is_whole(&entries), entries })
            }
        }
    }

    /// What a name stands for. Reports a name that nothing declares.
    pub(crate) fn look_up(&self, what: &str, name: &Name, span: &Span, findings: &mut Findings<'_>) -> Option<&T> {
        let entry = self.entries.get(name.as_str());
        if entry.is_none() && self.is_whole {
            let near = nearest_of(name.as_str(), self.entries.keys().map(String::as_str));
            let remedy = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.entries.is_empty() => format!("the site has no {what} yet: declare one"),
                None => {
                    let names: Vec<_> = self.entries.keys().map(|name| quoted(name)).take(NAMES_SHOWN_MAX).collect();
                    format!("declare it, or name one that there is, such as {}", names.join(", "))
                }
            };
            let reason = format!("the site has no {what} {}", quoted(name.as_str()));
            findings.report(Code::UnknownName, span, reason, remedy);
        }
        entry?.as_ref()
    }

    /// Whether every declaration was read without a fault.
    pub(crate) fn is_sound(&self) -> bool {
        self.is_whole && self.entries.values().all(Option::is_some)
    }

    /// Those that are not faulty.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.values().flatten()
    }

    /// Those that are not faulty, with their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().filter_map(|(name, entry)| Some((name.as_str(), entry.as_ref()?)))
    }

    /// Those that are not faulty, by name.
    pub(crate) fn into_values<U>(self, value: impl Fn(T) -> U) -> BTreeMap<Name, U> {
        let named = self.entries.into_iter().filter_map(|(name, entry)| Some((name.parse().ok()?, value(entry?))));
        named.collect()
    }
}

/// Enough to recognise the list by.
const NAMES_SHOWN_MAX: usize = 5;
