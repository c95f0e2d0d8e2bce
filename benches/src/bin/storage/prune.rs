//! Daily snapshots of a tree that changes by about one per cent a day; every other one is forgotten, then pruned.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use strongroom_benches::change::Change;
use strongroom_benches::corpus::Corpus;

use crate::measure::{Usage, measure as run};
use crate::tool::{Client, Place, Tool};
use crate::{All, disk};

const WHAT: &str = "\
Each day about 1 % of the files are edited, deleted or joined by a new one, and stay so; every tool backs the tree up into a local folder. Then every other \
snapshot is forgotten, beginning with the oldest, and the repository pruned. Each tool lets 5 % of what stays be unneeded (the default of all three) and deletes at once: \
ours condemns packs and sweeps them in one run when no backup is open, and keeps 3 % of parity beside its packs; restic's `prune` locks the repository; rustic gets \
`--instant-delete` (it would wait 23 hours) and `--max-repack unlimited` (it would stop at 10 %). Ours moves sealed frames as they are; the peers decrypt and encrypt \
what they move. Written and deleted is counted in the folder: files that are new after the prune, and files that are gone. The newest \
snapshot is restored afterwards and compared with the tree.
";

/// What pruning took, and did to the repository.
#[derive(Debug)]
struct Row {
    tool: Tool,
    backups_seconds: f64,
    forget: Usage,
    prune: Usage,
    written_bytes: u64,
    deleted_bytes: u64,
    before_bytes: u64,
    after_bytes: u64,
    after_objects: usize,
}

pub(crate) fn measure(order: &All) -> Result<String> {
    let folder = tempfile::tempdir_in(&order.folder)?;
    let source = folder.path().join("source");
    eprintln!("prune: preparing");
    let copied = Command::new("cp").arg("-aT").arg(All::linux()?).arg(&source).status()?;
    ensure!(copied.success(), "copying the tree ended with {copied}");
    let clients: Vec<Client> = order
        .tools
        .iter()
        .map(|tool| Client::new(*tool, order, folder.path().join(tool.name()), &source, Place::Folder))
        .collect::<Result<_>>()?;
    let mut backups = vec![0.0; clients.len()];
    for client in &clients {
        quiet(client, client.create())?;
    }
    for day in 1..=order.days {
        if day > 1 {
            Change::apply(Corpus::Linux, &source, day)?;
        }
        for (client, seconds) in clients.iter().zip(&mut backups) {
            *seconds += quiet(client, client.backup())?.wall.as_secs_f64();
        }
        eprintln!("prune: day {day} of {}", order.days);
    }
    let mut rows = Vec::new();
    for (client, seconds) in clients.iter().zip(backups) {
        match row(client, seconds) {
            Ok(row) => rows.push(row),
            Err(error) => eprintln!("prune: {} is left out: {error:#}", client.tool.name()),
        }
    }
    let mut text = format!(
        "## prune: every other one of {} daily snapshots of the Linux tree\n\n{}\n\n{WHAT}\n{}\n",
        order.days,
        order.circumstances()?,
        table(&rows)?
    );
    for tool in &order.tools {
        let failed = if rows.iter().any(|row| row.tool == *tool) { "" } else { ": NOT MEASURED, for it failed" };
        writeln!(text, "- {}{failed}", tool.version(order)?)?;
    }
    Ok(text)
}

fn quiet(client: &Client, mut command: Command) -> Result<Usage> {
    run(command.stdout(Stdio::null()), &client.home.join("log"))
}

fn row(client: &Client, backups_seconds: f64) -> Result<Row> {
    let ids = client.snapshots()?;
    let going: Vec<String> = ids.iter().step_by(2).take(ids.len() / 2).cloned().collect();
    ensure!(!going.is_empty(), "{}: no snapshots", client.tool.name());
    let before = files(&client.repository())?;
    ensure!(Command::new("sync").status()?.success(), "sync failed");
    let forget = quiet(client, client.forget(&going))?;
    let prune = quiet(client, client.prune())?;
    let after = files(&client.repository())?;
    let left = client.snapshots()?.len();
    ensure!(left == ids.len() - going.len(), "{}: {left} snapshots are left", client.tool.name());
    check(client)?;
    let only_in = |here: &BTreeMap<PathBuf, u64>, there: &BTreeMap<PathBuf, u64>| -> u64 {
        here.iter().filter(|(path, _)| !there.contains_key(*path)).map(|(_, bytes)| bytes).sum()
    };
    let row = Row {
        tool: client.tool,
        backups_seconds,
        forget,
        prune,
        written_bytes: only_in(&after, &before),
        deleted_bytes: only_in(&before, &after),
        before_bytes: before.values().sum(),
        after_bytes: after.values().sum(),
        after_objects: after.len(),
    };
    eprintln!("prune: {row:?}");
    Ok(row)
}

fn check(client: &Client) -> Result<()> {
    let target = client.home.join("target");
    fs::create_dir(&target)?;
    quiet(client, client.restore(&target))?;
    let root =
        disk::restored_root(&target, &client.source, Corpus::Linux.one_file()).context("nothing was restored")?;
    let begun = Instant::now();
    disk::compare(&client.source, &root)
        .with_context(|| format!("{}: the restore is not right", client.tool.name()))?;
    eprintln!("prune: {}: restored and compared in {:.1} s", client.tool.name(), begun.elapsed().as_secs_f64());
    Ok(fs::remove_dir_all(&target)?)
}

/// Every file of the repository, with its size.
fn files(folder: &Path) -> Result<BTreeMap<PathBuf, u64>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            } else {
                found.insert(entry.path(), entry.metadata()?.len());
            }
        }
    }
    Ok(found)
}

/// A line of the table: what it is called, and a candidate's figure.
type Line = (&'static str, fn(&Row) -> f64);

fn table(rows: &[Row]) -> Result<String> {
    let ours = rows.iter().find(|row| row.tool == Tool::Strongroom);
    let mut text = String::from("| |");
    rows.iter().for_each(|row| text.push_str(&format!(" {} |", row.tool.name())));
    text.push_str(&format!("\n|---|{}\n", "---:|".repeat(rows.len())));
    let lines: [Line; 11] = [
        ("all backups, wall s", |row| row.backups_seconds),
        ("forget, wall s", |row| row.forget.wall.as_secs_f64()),
        ("prune, wall s", |row| row.prune.wall.as_secs_f64()),
        ("prune, CPU s", |row| row.prune.cpu.as_secs_f64()),
        ("prune, peak MiB", |row| row.prune.peak_bytes as f64 / f64::from(1 << 20)),
        ("written by the prune, MB", |row| row.written_bytes as f64 / 1e6),
        ("deleted by it, MB", |row| row.deleted_bytes as f64 / 1e6),
        ("freed, MB", |row| row.before_bytes.saturating_sub(row.after_bytes) as f64 / 1e6),
        ("repository before, MB", |row| row.before_bytes as f64 / 1e6),
        ("repository after, MB", |row| row.after_bytes as f64 / 1e6),
        ("its objects", |row| row.after_objects as f64),
    ];
    for (title, value) in lines {
        write!(text, "| {title} |")?;
        for row in rows {
            let ratio = ours.filter(|ours| ours.tool != row.tool).map(|ours| value(row) / value(ours));
            let ratio =
                ratio.filter(|ratio| ratio.is_finite()).map(|ratio| format!(" ({ratio:.2}×)")).unwrap_or_default();
            write!(text, " {:.2}{ratio} |", value(row))?;
        }
        text.push('\n');
    }
    Ok(text)
}
