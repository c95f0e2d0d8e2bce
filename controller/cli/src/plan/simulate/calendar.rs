//! Runs as a picture: a line for each month, a sign for each day.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::civil::Date;
use strongroom_plans::RunKind;

/// Draws the months from the first run to the last.
pub(super) fn write(out: &mut dyn Write, runs: impl Iterator<Item = (Date, RunKind)>) -> io::Result<()> {
    let mut days: BTreeMap<Date, Vec<RunKind>> = BTreeMap::new();
    for (date, kind) in runs {
        days.entry(date).or_default().push(kind);
    }
    let mut months: Vec<Date> = days.keys().map(|date| date.first_of_month()).collect();
    months.dedup();
    writeln!(out, "           1         10        20        30")?;
    for month in months {
        let signs: String = (0..month.days_in_month()).map(|day| sign(days.get(&at(month, day)))).collect();
        writeln!(out, "  {}  {signs}", month.strftime("%Y-%m"))?;
    }
    Ok(())
}

fn at(month: Date, day: i8) -> Date {
    Date::constant(month.year(), month.month(), day + 1)
}

fn sign(runs: Option<&Vec<RunKind>>) -> char {
    match runs.map_or(&[][..], Vec::as_slice) {
        [] => '·',
        [RunKind::Full] => 'F',
        [RunKind::Incremental] => 'i',
        many => u32::try_from(many.len()).ok().and_then(|count| char::from_digit(count, 10)).unwrap_or('+'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_day_is_a_sign() {
        let runs = [(28, RunKind::Full), (29, RunKind::Incremental), (29, RunKind::Full)];
        let mut drawn = Vec::new();
        write(&mut drawn, runs.into_iter().map(|(day, kind)| (date(2028, 2, day), kind))).unwrap();
        let drawn = String::from_utf8(drawn).unwrap();
        assert_eq!(drawn.lines().last().unwrap(), "  2028-02  ···························F2");
    }
}
