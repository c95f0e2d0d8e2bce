//! Retention rules on the command line.

use std::num::NonZeroU32;

use strongroom_plans::{RetentionRules, Rule};

use crate::failure::{Cause, Failure};

/// One `--keep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeepRule {
    rule: Rule,
    count: NonZeroU32,
}

impl KeepRule {
    /// Reads `daily=14`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (word, count) = text.split_once('=').ok_or("write RHYTHM=N, such as daily=14")?;
        let rule = Rule::ALL.into_iter().find(|rule| rule.word() == word).ok_or_else(|| {
            let words: Vec<&str> = Rule::ALL.iter().map(|rule| rule.word()).collect();
            format!("'{word}' is no rhythm: there are {}", words.join(", "))
        })?;
        let count = count.parse().map_err(|_| format!("'{count}' is no number from 1"))?;
        Ok(Self { rule, count })
    }
}

/// The rules that some `--keep` come to.
pub(super) fn of(keep: &[KeepRule], at_least: NonZeroU32) -> Result<RetentionRules, Failure> {
    let counts = keep.iter().map(|keep| (keep.rule, keep.count));
    RetentionRules::new(counts, at_least).ok_or_else(|| {
        let why = Cause::Usage("it was not said what stays".into());
        Failure::new("forget snapshots", why)
            .advise("name the snapshots, or give --plan FILE, or rules such as --keep daily=14 --keep monthly=12")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_or_told_what_is_wrong() {
        let daily = KeepRule { rule: Rule::Daily, count: NonZeroU32::new(14).unwrap() };
        assert_eq!(KeepRule::parse("daily=14"), Ok(daily));
        for (text, part) in
            [("daily", "RHYTHM=N"), ("dayly=3", "no rhythm"), ("daily=0", "no number"), ("daily=", "no number")]
        {
            let told = KeepRule::parse(text).unwrap_err();
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}
