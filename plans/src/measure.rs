//! A whole number with a unit, as sizes and lengths of time are written.

use crate::report::{listed, quoted};
use crate::values::Refusal;

/// How one kind of quantity is written. Units stand from the largest down.
pub(crate) struct Quantity {
    pub(crate) what: &'static str,
    pub(crate) units: &'static [(&'static str, u64)],
    pub(crate) example: &'static str,
}

impl Quantity {
    /// Whole numbers only: they say exactly what they mean, and a smaller unit is always at hand.
    pub(crate) fn read(&self, text: &str) -> Result<u64, Refusal> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start_matches(' ');
        if number.is_empty() || unit.starts_with(['.', ',']) {
            return Err(self.refusal(text, "does not start with a whole number"));
        }
        let Some((_, factor)) = self.units.iter().find(|(name, _)| *name == unit) else {
            let why = if unit.is_empty() { "has no unit" } else { "has a unit that is not known" };
            return Err(self.refusal(text, why));
        };
        match number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor)) {
            Some(0) => Err(self.refusal(text, "is zero")),
            Some(amount) => Ok(amount),
            None => Err(self.refusal(text, "is too large")),
        }
    }

    fn refusal(&self, text: &str, why: &str) -> Refusal {
        let units = listed(self.units.iter().rev().map(|(name, _)| *name));
        let reason = format!("the {} {} {why}", self.what, quoted(text));
        Refusal::new(
            reason,
            format!("write a whole number from 1 up and a unit, such as {}; units are {units}", self.example),
        )
    }
}

/// The amount in the unit that makes the smallest whole number of it.
pub(crate) fn largest_unit(amount: u64, units: &'static [(&'static str, u64)]) -> (u64, &'static str) {
    let whole = units.iter().filter(|(_, factor)| amount.is_multiple_of(*factor));
    let counts = whole.map(|(unit, factor)| (amount / factor, *unit));
    counts.min_by_key(|(count, _)| *count).unwrap_or((amount, ""))
}

/// As a regular expression of JSON Schema.
pub(crate) fn pattern(units: &'static [(&'static str, u64)]) -> String {
    let units: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
    format!("^[0-9]+ *({})$", units.join("|"))
}
