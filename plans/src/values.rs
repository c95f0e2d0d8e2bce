//! Reading single values and lists: every fault is noted and reading goes on.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::fault::Code;
use crate::findings::Findings;
use crate::name::Name;
use crate::observer::{Takes, TakesText};
use crate::report::quoted;
use crate::tree::{Content, Entry, Node, Quotes};

/// A value that is written as one piece of text.
pub(crate) trait Written: FromStr<Err = Refusal> {
    /// As it stands in a sentence: "a size such as 1 GiB".
    const WHAT: &'static str;
    const CODE: Code;

    /// A regular expression of JSON Schema that every such text matches, for editors; more may match it.
    fn pattern() -> Option<String> {
        None
    }
}

/// Why a piece of text is not the value that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    reason: String,
    remedy: String,
}

impl Refusal {
    pub(crate) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }

    /// What to write instead.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

/// Reads a list with at least one item. Every item is read, also after a faulty one.
pub(crate) fn list<'n, 't, T>(
    node: &'n Node,
    item: &str,
    findings: &mut Findings<'t>,
    read: impl FnMut(&'n Node, &mut Findings<'t>) -> Option<T>,
) -> Option<Vec<T>> {
    items(node, item, findings, read)?.into_iter().collect()
}

/// Like [`list`], but leaves faulty items out, so that the others can be checked against each other. No plan comes
/// of such a list: the faults are reported.
pub(crate) fn faultless_items<'n, 't, T>(
    node: &'n Node,
    item: &str,
    findings: &mut Findings<'t>,
    read: impl FnMut(&'n Node, &mut Findings<'t>) -> Option<T>,
) -> Option<Vec<T>> {
    let items: Vec<T> = items(node, item, findings, read)?.into_iter().flatten().collect();
    (!items.is_empty()).then_some(items)
}

fn items<'n, 't, T>(
    node: &'n Node,
    item: &str,
    findings: &mut Findings<'t>,
    mut read: impl FnMut(&'n Node, &mut Findings<'t>) -> Option<T>,
) -> Option<Vec<Option<T>>> {
    findings.observe(&node.span, || Takes::Items);
    let Content::List(nodes) = &node.content else {
        let remedy = match &node.content {
            Content::Scalar { text, .. } if !node.is_nothing() => {
                format!("put it into square brackets: [{}]", quoted(text).trim_matches('`'))
            }
            _ => "write the items in square brackets, or each after a dash".to_owned(),
        };
        wrong_type(node, &format!("a list, each item {item}"), &remedy, findings);
        return None;
    };
    if nodes.is_empty() {
        let remedy = format!("leave the key out if you need none, or add {item}");
        findings.report(Code::EmptyCollection, &node.span, "the list is empty", remedy);
    }
    Some(nodes.iter().map(|node| read(node, findings)).collect())
}

/// Reads a value that is written as one piece of text, with or without quotes.
pub(crate) fn written<T: Written>(node: &Node, findings: &mut Findings<'_>) -> Option<T> {
    findings.observe(&node.span, || {
        let takes = |text: &str| text.parse::<T>().is_ok();
        let (what, pattern) = (T::WHAT.to_owned(), T::pattern());
        Takes::Text(TakesText { what, pattern, may_be_number: takes("1"), may_be_flag: takes("true") })
    });
    let text = text(node, T::WHAT, findings)?;
    text.parse().map_err(|refusal| findings.refuse(T::CODE, &node.span, &refusal)).ok()
}

/// The text of a scalar, whatever YAML would make of it: `on` is the text "on".
pub(crate) fn text<'n>(node: &'n Node, what: &str, findings: &mut Findings<'_>) -> Option<&'n str> {
    findings.observe(&node.span, || {
        Takes::Text(TakesText { what: what.to_owned(), pattern: None, may_be_number: true, may_be_flag: true })
    });
    match &node.content {
        Content::Scalar { text, .. } if !node.is_nothing() => Some(text),
        _ => {
            let remedy = if node.is_nothing() {
                "write a value; quote it if it is meant to be ~, null or empty"
            } else {
                "write one value, without brackets, dashes or keys of its own"
            };
            wrong_type(node, what, remedy, findings);
            None
        }
    }
}

/// Reads `true` or `false`.
pub(crate) fn flag(node: &Node, findings: &mut Findings<'_>) -> Option<bool> {
    findings.observe(&node.span, || Takes::Flag);
    match &node.content {
        Content::Scalar { text, quotes: Quotes::Absent } if text == "true" => Some(true),
        Content::Scalar { text, quotes: Quotes::Absent } if text == "false" => Some(false),
        _ => {
            wrong_type(node, "true or false", "write `true` or `false`, without quotes", findings);
            None
        }
    }
}

/// Reads a whole number from one up.
pub(crate) fn count(node: &Node, findings: &mut Findings<'_>) -> Option<NonZeroU32> {
    findings.observe(&node.span, || Takes::Count(u32::MAX));
    let remedy = "write a whole number from 1 up, such as 14, without quotes; leave the key out for none";
    let digits = match &node.content {
        Content::Scalar { text, quotes: Quotes::Absent } => {
            text.strip_prefix(['-', '+']).unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
        }
        _ => None,
    };
    let Some(digits) = digits.filter(|digits| !digits.is_empty()) else {
        wrong_type(node, "a whole number", remedy, findings);
        return None;
    };
    let number = digits.parse().ok();
    if number.is_none() {
        let reason = format!("{} is not between 1 and {}", quoted(digits), u32::MAX);
        findings.report(Code::BadNumber, &node.span, reason, remedy);
    }
    number
}

/// Like [`count`], with a highest number.
pub(crate) fn count_up_to(node: &Node, max: u32, findings: &mut Findings<'_>) -> Option<NonZeroU32> {
    findings.observe(&node.span, || Takes::Count(max));
    let number = count(node, findings)?;
    if number.get() > max {
        let reason = format!("{number} is not between 1 and {max}");
        findings.report(Code::BadNumber, &node.span, reason, format!("write a whole number from 1 to {max}"));
        return None;
    }
    Some(number)
}

/// Reads a mapping from names that its writer gives to values of one kind; at least one.
///
/// A name whose value is faulty is in it too, so that whoever names it is not told that it is not there.
pub(crate) fn named<'n, 't, T>(
    node: &'n Node,
    example: &str,
    findings: &mut Findings<'t>,
    mut read: impl FnMut(&Name, &'n Node, &mut Findings<'t>) -> Option<T>,
) -> Option<BTreeMap<String, Option<T>>> {
    findings.observe(&node.span, || Takes::Names);
    let Content::Mapping(entries) = &node.content else {
        wrong_type(node, "names and what they stand for", &format!("write one such as {example}"), findings);
        return None;
    };
    if entries.is_empty() {
        let remedy = format!("leave the key out if you need none, or add one such as {example}");
        findings.report(Code::EmptyCollection, &node.span, "there is nothing in it", remedy);
    }
    let read = |entry: &'n Entry| {
        let name: Result<Name, Refusal> = entry.key.parse();
        let value = match name {
            Ok(name) => read(&name, &entry.value, findings),
            Err(refusal) => {
                findings.refuse(Code::BadName, &entry.key_span, &refusal);
                None
            }
        };
        (entry.key.clone(), value)
    };
    Some(entries.iter().map(read).collect())
}

/// Silent about a node whose fault is reported already.
pub(crate) fn wrong_type(node: &Node, expected: &str, remedy: &str, findings: &mut Findings<'_>) {
    if matches!(node.content, Content::Refused) {
        return;
    }
    let found = match &node.content {
        Content::Scalar { text, .. } if !node.is_nothing() => quoted(text),
        _ => node.kind().to_owned(),
    };
    findings.report(Code::WrongType, &node.span, format!("expected {expected}, found {found}"), remedy);
}
