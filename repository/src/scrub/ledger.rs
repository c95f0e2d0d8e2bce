//! What was verified, when, by whom, and how it turned out. A cache: losing it only means that more is read again.
//!
//! As text: a line `strongroom-ledger 1 <repository id>`, a line `<name> <seconds since 1970> <good|bad> <by>` for each object, and the BLAKE3 of all before, in hex. An object's
//! name says how it is verified: by its hash, or by its signature.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use jiff::Timestamp;

use crate::ids::RepositoryId;

/// How an object turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What was stored.
    Good,
    /// Something else.
    Bad,
}

/// One verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// When.
    pub at: Timestamp,
    /// How it turned out.
    pub outcome: Outcome,
    /// By whom: a host's name.
    pub by: String,
}

/// The last verification of each object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger(BTreeMap<String, Verified>);

/// The text is not a ledger of this repository, or not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no ledger of this repository, or is damaged")]
pub struct BadLedger;

impl Ledger {
    /// The last verification of an object.
    #[must_use]
    pub fn get(&self, object: &str) -> Option<&Verified> {
        self.0.get(object)
    }

    /// Names of the objects that were bad when they were last verified.
    pub fn bad(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, verified)| verified.outcome == Outcome::Bad).map(|(name, _)| name.as_str())
    }

    /// Takes note of a verification.
    pub fn note(&mut self, object: &str, verified: Verified) {
        self.0.insert(object.to_owned(), verified);
    }

    /// Forgets an object that was made anew, or is gone.
    pub fn forget(&mut self, object: &str) {
        self.0.remove(object);
    }

    /// Forgets what is no longer stored.
    pub(crate) fn forget_all_but(&mut self, stored: &HashSet<&str>) {
        self.0.retain(|name, _| stored.contains(name.as_str()));
    }

    /// As text.
    #[must_use]
    pub fn to_text(&self, repository: &RepositoryId) -> String {
        let mut text = format!("strongroom-ledger 1 {repository}\n");
        for (name, Verified { at, outcome, by }) in &self.0 {
            let outcome = if *outcome == Outcome::Good { "good" } else { "bad" };
            // Writing into a string does not fail.
            let _ = writeln!(text, "{name} {} {outcome} {}", at.as_second(), by.replace(char::is_whitespace, "_"));
        }
        let hash = blake3::hash(text.as_bytes());
        text.push_str(&hash.to_hex());
        text.push('\n');
        text
    }

    /// From text.
    pub fn parse(text: &str, repository: &RepositoryId) -> Result<Self, BadLedger> {
        let body = text.len().checked_sub(65).and_then(|end| text.split_at_checked(end));
        let (body, hash) = body.ok_or(BadLedger)?;
        if blake3::hash(body.as_bytes()).to_hex().as_str() != hash.trim_end() {
            return Err(BadLedger);
        }
        let mut lines = body.lines();
        if lines.next() != Some(&format!("strongroom-ledger 1 {repository}")) {
            return Err(BadLedger);
        }
        lines.map(|line| entry(line).ok_or(BadLedger)).collect::<Result<_, _>>().map(Self)
    }
}

fn entry(line: &str) -> Option<(String, Verified)> {
    let mut words = line.split(' ');
    let (name, at) = (words.next()?, words.next()?.parse().ok()?);
    let outcome = match words.next()? {
        "good" => Outcome::Good,
        "bad" => Outcome::Bad,
        _ => return None,
    };
    let verified = Verified { at: Timestamp::from_second(at).ok()?, outcome, by: words.next()?.to_owned() };
    Some((name.to_owned(), verified))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_comes_back_and_a_damaged_or_foreign_one_does_not() {
        let (ours, other) = (RepositoryId([1; 16]), RepositoryId([2; 16]));
        let mut ledger = Ledger::default();
        for (name, outcome) in [("config", Outcome::Good), ("packs/ab/abc", Outcome::Bad)] {
            let at = Timestamp::from_second(1_700_000_000).unwrap();
            ledger.note(name, Verified { at, outcome, by: "web 1".into() });
        }
        let text = ledger.to_text(&ours);
        let again = Ledger::parse(&text, &ours).unwrap();
        assert_eq!(again.to_text(&ours), text);
        assert_eq!(again.bad().collect::<Vec<_>>(), ["packs/ab/abc"]);
        assert_eq!(again.get("config").map(|verified| verified.by.as_str()), Some("web_1"));
        assert_eq!(Ledger::parse(&text, &other), Err(BadLedger));
        for damaged in
            [text.replace("good", "bad"), text[..text.len() - 1].replace('a', "b"), String::new(), "é".repeat(40)]
        {
            assert_eq!(Ledger::parse(&damaged, &ours), Err(BadLedger), "{damaged}");
        }
    }
}
