//! What becomes of a run that could not begin when it was due, because its host or the controller was away.
//!
//! | written | |
//! |---|---|
//! | `missed: run once within 18h` | of all that are due and not older than that, the newest runs, late; the others are superseded by it |
//! | `missed: skip` | a run begins on time, or at least within its window, or it is missed |
//! | nothing | a run may begin late, until its window closes or the next run is due; then it is missed |

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::report::quoted;
use crate::time_span::TimeSpan;
use crate::values::{Refusal, Written};

/// A rule for runs that could not begin when they were due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissedRule {
    /// They are made up for, but not after so much time.
    RunOnceWithin(TimeSpan),
    /// They are not made up for.
    Skip,
}

const REMEDY: &str = "write `run once within 18h`, with a time of your own, or `skip`";

impl FromStr for MissedRule {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        match words[..] {
            ["skip"] => Ok(Self::Skip),
            ["run", "once", "within", ref span @ ..] if !span.is_empty() => {
                let span = span.concat().parse::<TimeSpan>();
                span.map(Self::RunOnceWithin).map_err(|refusal| Refusal::new(refusal.to_string(), REMEDY))
            }
            _ => Err(Refusal::new(format!("{} is no rule for missed runs", quoted(text)), REMEDY)),
        }
    }
}

impl Written for MissedRule {
    const WHAT: &'static str = "a rule such as `run once within 18h`";
    const CODE: Code = Code::BadMissedRule;

    fn pattern() -> Option<String> {
        Some(r"^\s*(skip|run\s+once\s+within\s+.+)\s*$".to_owned())
    }
}

impl fmt::Display for MissedRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunOnceWithin(span) => write!(out, "run once within {span}"),
            Self::Skip => out.write_str("skip"),
        }
    }
}

impl Serialize for MissedRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_shown() {
        for text in ["skip", "run once within 18h", "run once within 2d"] {
            assert_eq!(text.parse::<MissedRule>().unwrap().to_string(), text);
        }
        for text in ["", "run", "run once", "run once within", "run twice within 18h", "run once within 18", "never"] {
            assert!(text.parse::<MissedRule>().is_err(), "{text}");
        }
    }
}
