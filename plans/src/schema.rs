//! JSON Schemas of the files, for editors: draft 2020-12.
//!
//! Made by the readers themselves: they read a file that has every key they know, each with the example of its table,
//! and what they take is noted (`observer`). Keys that exclude each other are read one by one as well. So a schema is
//! never stricter than the readers; it is looser where a fault depends on more than one value.

mod probe;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::fields::Shape;
use crate::name::NAME_PATTERN;
use crate::observer::{Observer, Takes, TakesText};
use crate::tree::{Content, Node};
use crate::words::Meaning;
use probe::Probe;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOf {
    /// A plan that is run by itself.
    Plan,
    /// A plan of a site that backs up.
    SitePlan,
    /// A plan of a site that restores.
    RestorePlan,
    /// A file of a site that says how several plans are drilled.
    Drill,
    /// `site.yaml`.
    Site,
    /// `hosts.yaml`.
    Hosts,
}

/// A value with a variable in it can be anything.
const VARIABLE: &str = r"\$\{";

impl SchemaOf {
    /// The schema as JSON.
    pub fn json(self) -> Value {
        let mut rows = Rows {
            has_variables: matches!(self, Self::SitePlan | Self::RestorePlan | Self::Drill | Self::Site),
            of_shapes: Vec::new(),
        };
        let mut whole = Probe::new(self);
        rows.collect(&whole.root, &whole.observer);
        let keys: Vec<(&Shape, &str)> =
            rows.of_shapes.iter().flat_map(|row| row.shape.keys.iter().map(|(key, _)| (row.shape, *key))).collect();
        for (shape, key) in keys {
            let mut alone = Probe::new(self);
            alone.leave_only(shape, key);
            rows.collect(&alone.root, &alone.observer);
        }
        rows.guess(&mut whole.root);
        let Some(Takes::Keys(root)) = whole.observer.takes(&whole.root.span) else { return Value::Bool(true) };
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": root.title,
            "$ref": rows.reference(root),
            "$defs": rows.definitions(),
        })
    }
}

fn children(node: &Node) -> Box<dyn Iterator<Item = &Node> + '_> {
    match &node.content {
        Content::Mapping(entries) => Box::new(entries.iter().map(|entry| &entry.value)),
        Content::List(items) => Box::new(items.iter()),
        Content::Scalar { .. } | Content::Refused => Box::new(std::iter::empty()),
    }
}

/// What is known of the mappings so far.
struct Rows {
    has_variables: bool,
    of_shapes: Vec<Row>,
}

struct Row {
    shape: &'static Shape,
    /// Keys without which no reading was content.
    required: BTreeSet<&'static str>,
    values: BTreeMap<&'static str, Value>,
}

impl Rows {
    fn row(&mut self, shape: &'static Shape, required: BTreeSet<&'static str>) -> usize {
        match self.of_shapes.iter().position(|row| std::ptr::eq(row.shape, shape)) {
            Some(index) => {
                self.of_shapes[index].required.retain(|key| required.contains(key));
                index
            }
            None => {
                self.of_shapes.push(Row { shape, required, values: BTreeMap::new() });
                self.of_shapes.len() - 1
            }
        }
    }

    /// Notes what was observed; a key's first value counts.
    fn collect(&mut self, node: &Node, observer: &Observer) {
        children(node).for_each(|child| self.collect(child, observer));
        let (Content::Mapping(entries), Some(Takes::Keys(shape))) = (&node.content, observer.takes(&node.span)) else {
            return;
        };
        let row = self.row(shape, observer.required(&node.span));
        for entry in entries {
            let Some((key, _)) = shape.keys.iter().find(|(key, _)| *key == entry.key) else { continue };
            if let Some(value) = self.value(&entry.value, observer) {
                self.of_shapes[row].values.entry(key).or_insert(value);
            }
        }
    }

    /// For keys that no reader looks at, because they are acted on before: as their example is built.
    fn guess(&mut self, root: &mut Node) {
        let Content::Mapping(entries) = &root.content else { return };
        let Some(row) = self.of_shapes.iter().position(|row| entries.iter().all(|entry| row.knows(&entry.key))) else {
            return;
        };
        for entry in entries {
            let Some((key, _)) = self.of_shapes[row].shape.keys.iter().find(|(key, _)| *key == entry.key) else {
                continue;
            };
            let guessed = guessed(&entry.value);
            self.of_shapes[row].values.entry(key).or_insert(guessed);
        }
    }

    /// None where nothing was observed.
    fn value(&self, node: &Node, observer: &Observer) -> Option<Value> {
        let inner = children(node).find_map(|child| self.value(child, observer));
        let value = match observer.takes(&node.span) {
            Some(Takes::Keys(shape)) => json!({ "$ref": self.reference(shape) }),
            Some(Takes::Names) => json!({
                "type": "object",
                "propertyNames": { "pattern": NAME_PATTERN },
                "additionalProperties": inner.unwrap_or(Value::Bool(true)),
            }),
            Some(Takes::Items) => {
                let items = self.any_of(node, observer).unwrap_or(Value::Bool(true));
                json!({ "type": "array", "minItems": 1, "items": items })
            }
            Some(Takes::Words(words)) if self.has_variables => {
                json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": VARIABLE }] })
            }
            Some(Takes::Words(words)) => json!({ "enum": words }),
            Some(Takes::Flag) => self.or_variable(json!({}), "boolean"),
            Some(Takes::Count(max)) => self.or_variable(json!({ "minimum": 1, "maximum": max }), "integer"),
            Some(Takes::Text(text)) => self.text(text),
            None => match &node.content {
                Content::Mapping(_) => json!({ "type": "object", "additionalProperties": inner? }),
                Content::List(_) => json!({ "type": "array", "items": inner? }),
                Content::Scalar { .. } | Content::Refused => return None,
            },
        };
        Some(match observer.word_beside(&node.span) {
            // To an editor that goes by YAML 1.1, `no` is false.
            Some(word) => json!({ "anyOf": [value, { "enum": [word, false] }] }),
            None => value,
        })
    }

    /// What items can be: several kinds where the example has several.
    fn any_of(&self, node: &Node, observer: &Observer) -> Option<Value> {
        let mut kinds: Vec<Value> = Vec::new();
        for kind in children(node).filter_map(|child| self.value(child, observer)) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if kinds.len() > 1 { Some(json!({ "anyOf": kinds })) } else { kinds.pop() }
    }

    fn or_variable(&self, mut value: Value, kind: &str) -> Value {
        if self.has_variables {
            value["type"] = json!([kind, "string"]);
            value["pattern"] = VARIABLE.into();
        } else {
            value["type"] = kind.into();
        }
        value
    }

    fn text(&self, TakesText { what, pattern, may_be_number, may_be_flag }: &TakesText) -> Value {
        let kinds = [("string", true), ("number", *may_be_number), ("boolean", *may_be_flag)];
        let kinds: Vec<&str> = kinds.into_iter().filter_map(|(kind, may_be)| may_be.then_some(kind)).collect();
        let mut value = json!({ "type": kinds, "description": what });
        if let Some(pattern) = pattern {
            let or_variable = if self.has_variables { format!("|{VARIABLE}") } else { String::new() };
            value["pattern"] = format!("{pattern}{or_variable}").into();
        }
        value
    }

    fn reference(&self, shape: &'static Shape) -> String {
        format!("#/$defs/{}", self.slug(shape))
    }

    /// Titles without articles; a number where two mappings have the same.
    fn slug(&self, shape: &'static Shape) -> String {
        let plain = |shape: &Shape| {
            let title = shape.title.trim_start_matches("a ").trim_start_matches("the ").replace('`', "");
            title.replace(' ', "-")
        };
        let before = self.of_shapes.iter().take_while(|row| !std::ptr::eq(row.shape, shape));
        match before.filter(|row| plain(row.shape) == plain(shape)).count() {
            0 => plain(shape),
            number => format!("{}-{}", plain(shape), number + 1),
        }
    }

    fn definitions(&self) -> Map<String, Value> {
        self.of_shapes.iter().map(|row| (self.slug(row.shape), row.definition())).collect()
    }
}

impl Row {
    fn knows(&self, key: &str) -> bool {
        self.shape.keys.iter().any(|(known, _)| *known == key)
    }

    fn definition(&self) -> Value {
        let properties: Map<String, Value> = self.shape.keys.iter().filter_map(|row| self.property(row)).collect();
        json!({
            "type": "object",
            "title": self.shape.title,
            "properties": properties,
            "required": self.required,
            "additionalProperties": false,
        })
    }

    fn property(&self, (key, meaning): &(&'static str, Meaning<&'static str>)) -> Option<(String, Value)> {
        let Meaning::Now(example) = meaning else { return None };
        let mut value = self.values.get(key).cloned().unwrap_or_else(|| json!({}));
        let what = value["description"].as_str().map(|what| format!("{what}; ")).unwrap_or_default();
        value["description"] = format!("{what}for example `{key}: {example}`").into();
        Some(((*key).to_owned(), value))
    }
}

fn guessed(node: &Node) -> Value {
    let inner = children(node).next().map(guessed);
    match &node.content {
        Content::Mapping(_) => json!({ "type": "object", "additionalProperties": inner }),
        Content::List(_) => json!({ "type": "array", "minItems": 1, "items": inner }),
        Content::Scalar { .. } | Content::Refused => json!({ "type": ["string", "number", "boolean"] }),
    }
}

#[cfg(test)]
mod tests;
