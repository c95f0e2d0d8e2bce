//! Lengths of time as people write them: `90s`, `18h`, `8d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::measure::{Quantity, largest_unit, pattern};
use crate::values::{Refusal, Written};

/// A length of time in whole seconds, at least one. A day has 24 hours here and a week seven such days; months and
/// years differ in length and are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(u64);

const UNITS: &[(&str, u64)] = &[("w", 7 * 24 * 60 * 60), ("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60), ("s", 1)];

impl TimeSpan {
    /// So many days, at least one.
    pub(crate) const fn days(count: u64) -> Self {
        Self(count * 24 * 60 * 60)
    }

    /// So many hours, at least one.
    pub(crate) const fn hours(count: u64) -> Self {
        Self(count * 60 * 60)
    }

    /// The number of seconds.
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl From<TimeSpan> for Duration {
    fn from(span: TimeSpan) -> Self {
        Duration::from_secs(span.0)
    }
}

impl FromStr for TimeSpan {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Quantity { what: "length of time", units: UNITS, example: "18h or 8d" }.read(text).map(Self)
    }
}

impl Written for TimeSpan {
    const WHAT: &'static str = "a length of time such as 8d";
    const CODE: Code = Code::BadTimeSpan;

    fn pattern() -> Option<String> {
        Some(pattern(UNITS))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = largest_unit(self.0, UNITS);
        write!(out, "{count}{unit}")
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}
