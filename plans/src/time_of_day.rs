//! A time on the clock on the wall: `05:00`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Time;
use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::report::quoted;
use crate::values::{Refusal, Written};

/// A time of day, to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(Time);

impl TimeOfDay {
    pub(crate) fn time(self) -> Time {
        self.0
    }

    /// Two digits each, so that 1:30 is not read as half past one by one and as thirteen thirty by another.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2)?;
        Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok().map(Self)
    }
}

impl FromStr for TimeOfDay {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refusal = || {
            Refusal::new(
                format!("{} is no time of day", quoted(text)),
                "write hours and minutes with two digits each, from \"00:00\" to \"23:59\"",
            )
        };
        Self::read(text).ok_or_else(refusal)
    }
}

impl Written for TimeOfDay {
    const WHAT: &'static str = "a time of day such as \"05:00\"";
    const CODE: Code = Code::BadTime;

    fn pattern() -> Option<String> {
        Some("^([01][0-9]|2[0-3]):[0-5][0-9]$".to_owned())
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
