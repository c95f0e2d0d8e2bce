//! Samples to Markdown: pure.
//!
//! A ratio is the median over rounds of the ratios within a round, because the machine changes between rounds and not so much within one.

use crate::rounds::Sample;
use crate::tools::{Operation, Role, TOOLS, Tool};
use std::collections::BTreeMap;

/// One figure of a sample.
type Figure = fn(&Sample) -> Option<f64>;

struct Row {
    title: String,
    operation: Operation,
    figure: Figure,
}

/// The table of one corpus. Columns are the tools that have a sample.
pub(crate) fn table(samples: &[Sample]) -> String {
    let tools: Vec<&Tool> = TOOLS.iter().filter(|tool| samples.iter().any(|sample| sample.tool == tool.name)).collect();
    let ours = tools.iter().any(|tool| tool.role == Role::Ours);
    let mut heads: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
    if ours {
        heads.extend(["ours / best peer", "ours / floor"]);
    }
    let mut text = format!("| | {} |\n|---|{}\n", heads.join(" | "), "---:|".repeat(heads.len()));
    for row in rows() {
        let mut cells: Vec<String> = tools.iter().map(|tool| cell(samples, &row, tool)).collect();
        if ours {
            cells.push(ratio_cell(
                &series_of_role(samples, &row, Role::Ours),
                &series_of_role(samples, &row, Role::Peer),
            ));
            cells.push(ratio_cell(
                &series_of_role(samples, &row, Role::Ours),
                &series_of_role(samples, &row, Role::Floor),
            ));
        }
        text.push_str(&format!("| {} | {} |\n", row.title, cells.join(" | ")));
    }
    text
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for operation in Operation::ALL {
        let mut row = |unit: &str, figure: Figure| {
            rows.push(Row { title: format!("{}, {unit}", operation.title()), operation, figure })
        };
        row("wall s", |sample| Some(sample.wall_seconds));
        row("CPU s", |sample| Some(sample.cpu_seconds));
        row("peak MiB", |sample| Some(sample.peak_bytes as f64 / f64::from(1 << 20)));
    }
    let mut row = |title: &str, operation, figure| rows.push(Row { title: title.to_owned(), operation, figure });
    row("repository after first backup, MB", Operation::FirstBackup, |sample| {
        Some(sample.repository_bytes? as f64 / 1e6)
    });
    row("its objects", Operation::FirstBackup, |sample| Some(sample.repository_objects? as f64));
    row("added by 1 % changed run, MB", Operation::Changed, |sample| Some(sample.added_bytes? as f64 / 1e6));
    rows
}

/// The median, and in brackets how many times ours it is.
fn cell(samples: &[Sample], row: &Row, tool: &Tool) -> String {
    let own = series(samples, row, tool.name);
    let Some(middle) = median(own.values().copied().collect()) else {
        return "-".to_owned();
    };
    let ours = series_of_role(samples, row, Role::Ours);
    match ratio(&own, &ours) {
        Some(times) if tool.role != Role::Ours => format!("{} ({times:.2}×)", number(middle)),
        _ => number(middle),
    }
}

fn ratio_cell(left: &BTreeMap<u64, f64>, right: &BTreeMap<u64, f64>) -> String {
    ratio(left, right).map_or_else(|| "-".to_owned(), |times| format!("{times:.2}"))
}

/// The figure of a tool by round.
fn series(samples: &[Sample], row: &Row, tool: &str) -> BTreeMap<u64, f64> {
    let of_row = samples.iter().filter(|sample| sample.tool == tool && sample.operation == row.operation);
    of_row.filter_map(|sample| Some((sample.round, (row.figure)(sample)?))).collect()
}

/// The least figure among the tools of a role, round by round.
fn series_of_role(samples: &[Sample], row: &Row, role: Role) -> BTreeMap<u64, f64> {
    let mut least = BTreeMap::new();
    for tool in TOOLS.iter().filter(|tool| tool.role == role) {
        for (round, value) in series(samples, row, tool.name) {
            let entry = least.entry(round).or_insert(value);
            *entry = value.min(*entry);
        }
    }
    least
}

fn ratio(left: &BTreeMap<u64, f64>, right: &BTreeMap<u64, f64>) -> Option<f64> {
    let pairs = left.iter().filter_map(|(round, value)| Some((*value, *right.get(round)?)));
    median(pairs.filter(|(_, below)| *below > 0.0).map(|(above, below)| above / below).collect())
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (last, middle) = (values.len().checked_sub(1)?, values.len() / 2);
    Some((values[last - middle] + values[middle]) / 2.0)
}

/// Three figures that mean something.
fn number(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(tool: &'static str, round: u64, wall_seconds: f64) -> Sample {
        Sample {
            corpus: "linux",
            round,
            tool,
            operation: Operation::FirstBackup,
            wall_seconds,
            cpu_seconds: 2.0 * wall_seconds,
            peak_bytes: 50 << 20,
            repository_bytes: Some(200_000_000),
            repository_objects: Some(7),
            added_bytes: None,
        }
    }

    #[test]
    fn medians() {
        let check = |values: &[f64], expect| assert_eq!(median(values.to_vec()), expect);
        check(&[], None);
        check(&[3.0], Some(3.0));
        check(&[9.0, 1.0], Some(5.0));
        check(&[9.0, 1.0, 2.0], Some(2.0));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine is ten times slower in round 2: the ratio stays 2, the ratio of medians would too, but not that of round 3.
        let rounds = [("restic", [2.0, 20.0, 9.0]), ("strongroom", [1.0, 10.0, 1.0])];
        let samples: Vec<Sample> = rounds
            .iter()
            .flat_map(|(tool, walls)| (1..).zip(walls).map(|(round, wall)| sample(tool, round, *wall)))
            .collect();
        let text = table(&samples);
        assert!(text.contains("| first backup, wall s | 1.00 | 9.00 (2.00×) | 0.50 | - |"), "{text}");
        assert!(text.contains("| its objects | 7.00 | 7.00 (1.00×) | 1.00 | - |"), "{text}");
        assert!(text.contains("| unchanged run, wall s | - | - | - | - |"), "{text}");
    }

    #[test]
    fn the_best_peer_may_be_another_one_each_round_and_the_floor_is_no_peer() {
        let samples = [
            sample("strongroom", 1, 1.0),
            sample("restic", 1, 4.0),
            sample("borg", 1, 8.0),
            sample("floor", 1, 0.5),
            sample("strongroom", 2, 1.0),
            sample("restic", 2, 8.0),
            sample("borg", 2, 2.0),
            sample("floor", 2, 0.5),
        ];
        let text = table(&samples);
        assert!(text.contains("| 0.38 | 2.00 |"), "{text}");
    }

    #[test]
    fn without_ours_there_are_no_ratios() {
        let text = table(&[sample("restic", 1, 4.0)]);
        assert!(text.starts_with("| | restic |\n|---|---:|\n| first backup, wall s | 4.00 |\n"), "{text}");
    }
}
