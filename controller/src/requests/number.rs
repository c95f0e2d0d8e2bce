//! Numbers of requests: `HF-2026-000001` (恢复), counted in each year of the site's zone without a gap.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestNumber {
    year: i16,
    count: u32,
}

impl RequestNumber {
    /// The first of a year has the count 1.
    #[must_use]
    pub fn new(year: i16, count: u32) -> Self {
        Self { year, count }
    }

    /// The year in which it was given.
    #[must_use]
    pub fn year(self) -> i16 {
        self.year
    }

    /// The how many of that year it is.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// The beginning of the names of its jobs on hosts.
    #[must_use]
    pub fn job_prefix(self) -> String {
        format!("restore-{}-", self.to_string().to_lowercase())
    }
}

impl fmt::Display for RequestNumber {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "HF-{:04}-{:06}", self.year, self.count)
    }
}

impl FromStr for RequestNumber {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (year, count) = text.strip_prefix("HF-")?.split_once('-')?;
            let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let fits = year.len() == 4 && count.len() >= 6 && is_number(year) && is_number(count);
            fits.then_some(Self { year: year.parse().ok()?, count: count.parse().ok()? })
        };
        read().ok_or("a request is numbered like HF-2026-000001")
    }
}

impl TryFrom<String> for RequestNumber {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RequestNumber> for String {
    fn from(number: RequestNumber) -> Self {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for text in ["HF-2026-000001", "HF-2026-999999", "HF-2027-1000000"] {
            assert_eq!(text.parse::<RequestNumber>().unwrap().to_string(), text);
        }
        for text in
            ["", "HF-2026-1", "hf-2026-000001", "HF-26-000001", "HF-2026-+00001", "HF-2026-000001 ", "HF--026-000001"]
        {
            assert!(text.parse::<RequestNumber>().is_err(), "{text}");
        }
    }
}
