//! Tables of words: the keys of a mapping, the values of an enumeration.

use crate::fault::Code;
use crate::findings::Findings;
use crate::observer::Takes;
use crate::report::{listed, quoted};
use crate::tree::Node;
use crate::values::text;

/// Whether this release acts on a key or a word.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meaning<T> {
    Now(T),
    /// Known, and refused, because a plan that promises what does not happen is worse than none. Says what to do.
    Later(&'static str),
    /// Known, but only in a plan of a site. Says what to do.
    InSite(&'static str),
}

/// A row of a table.
pub(crate) type Word<T> = (&'static str, Meaning<T>);

/// Reads one word of a table.
pub(crate) fn word<T: Copy>(
    node: &Node,
    what: &str,
    words: &'static [Word<T>],
    findings: &mut Findings<'_>,
) -> Option<T> {
    findings.observe(&node.span, || Takes::Words(today(words).collect()));
    let text = text(node, &format!("{what}: one of {}", known(words)), findings)?;
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, Meaning::Now(value))) => Some(*value),
        Some((_, Meaning::Later(remedy))) => {
            let reason = format!("this release does not act on {} yet", quoted(text));
            findings.report(Code::NotYet, &node.span, reason, *remedy);
            None
        }
        Some((_, Meaning::InSite(remedy))) => {
            let reason = format!("{} means something only in a plan of a site", quoted(text));
            findings.report(Code::OnlyInSite, &node.span, reason, *remedy);
            None
        }
        None => {
            let reason = format!("{} is no {what}", quoted(text));
            let remedy = suggestion(nearest(text, words), words);
            findings.report(Code::UnknownWord, &node.span, reason, remedy);
            None
        }
    }
}

pub(crate) fn suggestion<T>(near: Option<&str>, table: &[Word<T>]) -> String {
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("what can stand here: {}", known(table)),
    }
}

/// The words that may be used today.
pub(crate) fn known<T>(table: &[Word<T>]) -> String {
    listed(today(table))
}

fn today<T>(table: &[Word<T>]) -> impl Iterator<Item = &'static str> {
    table.iter().filter(|(_, meaning)| matches!(meaning, Meaning::Now(_))).map(|(name, _)| *name)
}

/// The word that differs least, if a third of its letters or fewer differ.
pub(crate) fn nearest<T>(word: &str, table: &[Word<T>]) -> Option<&'static str> {
    nearest_of(word, table.iter().map(|(name, _)| *name))
}

/// Like [`nearest`], among names that somebody gave.
pub(crate) fn nearest_of<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distances = names.into_iter().map(|name| (strsim::damerau_levenshtein(&name.to_lowercase(), &word), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 3).max(1)).then_some(name)
}
