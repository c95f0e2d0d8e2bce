//! What was measured of a repository, one line for each day: `2026-11-22 stored=1000 free=200 total=5000`, with `-` for what cannot be known.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::civil::Date;
use serde::Serialize;

/// More than two years; older days say nothing about what comes.
const DAYS_MAX: usize = 800;

/// One day's measure, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measure {
    /// What the repository holds.
    pub stored_bytes: Option<u64>,
    /// What is free where it lies.
    pub free_bytes: Option<u64>,
    /// How large that is.
    pub total_bytes: Option<u64>,
}

/// The measures of one repository at one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measures(BTreeMap<Date, Measure>);

impl Measures {
    /// Reads them. A line that is not understood counts for nothing: what is lost is one day of a trend.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(parse_line).collect())
    }

    /// As they are kept.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let shown = |bytes: Option<u64>| bytes.map_or_else(|| "-".into(), |bytes| bytes.to_string());
        for (day, measure) in &self.0 {
            let [stored, free, total] = [measure.stored_bytes, measure.free_bytes, measure.total_bytes].map(shown);
            // BUG if it fails: a text takes everything.
            let _ = writeln!(text, "{day} stored={stored} free={free} total={total}");
        }
        text
    }

    /// Notes a day's measure. The last one of a day stays; what it could not know stays as it was known that day.
    pub fn note(&mut self, day: Date, measure: Measure) {
        let of_day = self.0.entry(day).or_default();
        of_day.stored_bytes = measure.stored_bytes.or(of_day.stored_bytes);
        of_day.free_bytes = measure.free_bytes.or(of_day.free_bytes);
        of_day.total_bytes = measure.total_bytes.or(of_day.total_bytes);
        while self.0.len() > DAYS_MAX {
            self.0.pop_first();
        }
    }

    /// The newest day's measure.
    #[must_use]
    pub fn newest(&self) -> Option<Measure> {
        self.0.last_key_value().map(|(_, measure)| *measure)
    }

    /// What the repository held when that was last known, in bytes.
    #[must_use]
    pub fn stored_last(&self) -> Option<u64> {
        self.0.values().rev().find_map(|measure| measure.stored_bytes)
    }

    /// Every day's, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (Date, Measure)> + '_ {
        self.0.iter().map(|(day, measure)| (*day, *measure))
    }
}

fn parse_line(line: &str) -> Option<(Date, Measure)> {
    let mut words = line.split_whitespace();
    let day = words.next()?.parse().ok()?;
    let mut figure = |name: &str| {
        let value = words.next()?.strip_prefix(name)?.strip_prefix('=')?;
        if value == "-" { Some(None) } else { value.parse().ok().map(Some) }
    };
    let measure =
        Measure { stored_bytes: figure("stored")?, free_bytes: figure("free")?, total_bytes: figure("total")? };
    Some((day, measure))
}
