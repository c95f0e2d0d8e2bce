//! What files say, value by value: `schedule.full` is `weekly sun 01:30`, and stands there.
//!
//! Taken from the tree and not from what is read out of it, so that a key which a release learns is shown and compared
//! from its first day on. Values are as they were written, with variables put in: `120m` and `2h` are two texts.

use serde::Serialize;

use crate::report::listed;
use crate::text::{Place, Text};
use crate::tree::{Content, Entry, Node};

/// A value that a file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    key: String,
    value: String,
    place: Place,
}

impl Said {
    /// The keys that lead to the value, with dots between them: `retain.daily`. An item of a list of mappings goes by
    /// its first value: `sources./etc.exclude`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value as it is written; lists in brackets.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The first of the keys.
    pub(crate) fn top_key(&self) -> &str {
        self.key.split('.').next().unwrap_or_default()
    }

    /// Whether it stands at a key or below it.
    pub fn is_of(&self, key: &str) -> bool {
        self.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// What the entries of a mapping say, in the order of the text.
pub(crate) fn said<'n>(entries: impl IntoIterator<Item = &'n Entry>, text: &Text<'_>) -> Vec<Said> {
    let mut said = Vec::new();
    for Entry { key, key_span, value } in entries {
        add(value, key.clone(), &text.place(key_span), text, &mut said);
    }
    said
}

fn add(node: &Node, key: String, place: &Place, text: &Text<'_>, said: &mut Vec<Said>) {
    match &node.content {
        Content::Mapping(entries) if !entries.is_empty() => {
            for entry in entries {
                add(&entry.value, format!("{key}.{}", entry.key), &text.place(&entry.key_span), text, said);
            }
        }
        Content::List(items) if !items.is_empty() && items.iter().all(is_mapping) => {
            let mut labels: Vec<&str> = Vec::new();
            for item in items {
                let label = first_value(item).unwrap_or_default();
                labels.push(label);
                let before = labels.iter().filter(|other| **other == label).count();
                let number = if before > 1 { format!("#{before}") } else { String::new() };
                add(item, format!("{key}.{label}{number}"), &text.place(&item.span), text, said);
            }
        }
        _ => said.push(Said { key, value: written(node), place: place.clone() }),
    }
}

fn is_mapping(node: &Node) -> bool {
    matches!(node.content, Content::Mapping(_))
}

fn first_value(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar { text, .. } => Some(text),
        Content::List(items) => items.iter().find_map(first_value),
        Content::Mapping(entries) => entries.iter().find_map(|entry| first_value(&entry.value)),
        Content::Refused => None,
    }
}

/// As it could stand in a file, on one line.
fn written(node: &Node) -> String {
    match &node.content {
        Content::Scalar { text, .. } => text.clone(),
        Content::List(items) => {
            let items: Vec<String> = items.iter().map(item).collect();
            format!("[{}]", listed(items.iter().map(String::as_str)))
        }
        Content::Mapping(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|entry| format!("{}: {}", entry.key, item(&entry.value))).collect();
            format!("{{ {} }}", listed(entries.iter().map(String::as_str)))
        }
        Content::Refused => String::new(),
    }
}

/// In quotes where it could be taken for more than one.
fn item(node: &Node) -> String {
    match &node.content {
        Content::Scalar { text, .. } if text.is_empty() || text.contains([',', '[', ']', '{', '}', '"', '\n']) => {
            format!("{text:?}")
        }
        _ => written(node),
    }
}
