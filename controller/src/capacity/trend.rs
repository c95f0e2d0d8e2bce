//! The slope of what was measured, by Theil and Sen.

/// How fast something grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Negative where it shrinks.
    pub bytes_a_day: f64,
    /// From the first to the last day.
    pub days: f64,
}

/// The median slope between all pairs of days; nothing for a single day. Up to a third of the points may be anything.
#[must_use]
pub fn trend(points: &[(f64, f64)]) -> Option<Trend> {
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (number, (day, bytes)) in points.iter().enumerate() {
        let later = points[number + 1..].iter().filter(|(later, _)| later > day);
        slopes.extend(later.map(|(later, more)| (more - bytes) / (later - day)));
    }
    let days = points.iter().map(|(day, _)| *day);
    let first = days.clone().fold(f64::INFINITY, f64::min);
    let last = days.fold(f64::NEG_INFINITY, f64::max);
    median(&mut slopes).map(|bytes_a_day| Trend { bytes_a_day, days: last - first })
}

fn median(numbers: &mut [f64]) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    Some(if numbers.len().is_multiple_of(2) { f64::midpoint(numbers[middle - 1], upper) } else { upper })
}
