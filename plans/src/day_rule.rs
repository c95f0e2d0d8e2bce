//! Which day of a month: `1`, `31`, `last`, `first sun`, `last fri`.

use jiff::civil::{Date, Weekday};

/// A day of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DayRule {
    /// That number; in a shorter month its last day, so that no month goes without.
    Number(i8),
    /// The last day.
    Last,
    /// The first to fourth of a weekday.
    Nth(i8, Weekday),
    /// The last of a weekday.
    LastOf(Weekday),
}

/// Weekdays as they are written.
pub(crate) const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

const RANKS: [(&str, i8); 4] = [("first", 1), ("second", 2), ("third", 3), ("fourth", 4)];

impl DayRule {
    /// Reads one or two words.
    pub(crate) fn of(words: &[&str]) -> Option<Self> {
        match words {
            ["last"] => Some(Self::Last),
            ["last", day] => weekday(day).map(Self::LastOf),
            [rank, day] => {
                let (_, rank) = RANKS.iter().find(|(name, _)| name == rank)?;
                weekday(day).map(|day| Self::Nth(*rank, day))
            }
            [number] => number.parse().ok().filter(|number| (1..=31).contains(number)).map(Self::Number),
            _ => None,
        }
    }

    /// Whether a date is that day of its month.
    pub(crate) fn is(self, date: Date) -> bool {
        let last = date.days_in_month();
        match self {
            Self::Number(number) => date.day() == number.min(last),
            Self::Last => date.day() == last,
            Self::Nth(rank, day) => date.weekday() == day && (date.day() - 1) / 7 + 1 == rank,
            Self::LastOf(day) => date.weekday() == day && date.day() > last - 7,
        }
    }
}

/// A weekday by its three letters.
pub(crate) fn weekday(text: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(name, _)| *name == text).map(|(_, day)| *day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn days(words: &[&str], year: i16, month: i8) -> Vec<i8> {
        let rule = DayRule::of(words).unwrap();
        let days = 1..=date(year, month, 1).days_in_month();
        days.filter(|day| rule.is(date(year, month, *day))).collect()
    }

    #[test]
    fn each_month_has_exactly_one() {
        for (words, month, expect) in [
            (&["1"][..], 2, 1),
            (&["31"], 2, 28),
            (&["31"], 4, 30),
            (&["29"], 2, 28),
            (&["last"], 12, 31),
            (&["first", "sun"], 11, 1),
            (&["fourth", "sat"], 11, 28),
            (&["last", "fri"], 2, 27),
        ] {
            assert_eq!(days(words, 2026, month), [expect], "{words:?} in month {month}");
        }
        assert_eq!(days(&["29"], 2028, 2), [29]);
        assert_eq!(days(&["31"], 2028, 2), [29]);
    }

    #[test]
    fn other_words_are_no_days() {
        for words in [&["0"][..], &["32"], &["first"], &["fifth", "sun"], &["last", "sunday"], &["1", "2"], &[]] {
            assert_eq!(DayRule::of(words), None, "{words:?}");
        }
    }
}
