//! How long a search takes among ten million names.
//!
//! The trees are written straight into a repository, without contents: names, sizes and times as a backup stores them. The searches are those of the program, each in a
//! process of its own, which opens the repository and reads the cache of names.

mod make;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::All;
use crate::measure::{Usage, measure as run};
use crate::tool::Tool;

/// What is looked for: a title, and the arguments.
const SEARCHES: [(&str, &[&str]); 5] = [
    ("a path on one host", &["--path", make::A_PATH, "--host", "host07"]),
    ("the same path on all hosts", &["--path", make::A_PATH]),
    ("a name that one file has", &["--name", make::A_NAME]),
    ("names with a pattern, 1000 of many", &["--name", "*.conf"]),
    ("paths with a pattern", &["--path", "/srv/**/d01234/*.conf"]),
];

/// The best of so many counts.
const ROUNDS: usize = 3;

pub(crate) fn measure(order: &All) -> Result<String> {
    let folder = tempfile::tempdir_in(&order.folder)?;
    let folder = folder.path();
    eprintln!("find: making {} entries", order.names);
    let stored = make::repository(folder, order.names)?;
    let mut table = "| | wall s | CPU s | peak memory MiB |\n|---|---:|---:|---:|\n".to_owned();
    row(&mut table, "the first search of all", search(order, folder, SEARCHES[0].1)?)?;
    for (title, arguments) in SEARCHES {
        eprintln!("measuring: {title}");
        let mut rounds = (0..ROUNDS).map(|_| search(order, folder, arguments)).collect::<Result<Vec<_>>>()?;
        rounds.sort_by_key(|usage| usage.wall);
        row(&mut table, title, rounds[0])?;
    }
    Ok(format!(
        "## find: {} file entries\n\n{}\n\n{} hosts with two snapshots each, between which one name in {} changed; {:.0} MB of metadata in a local folder. Each row is one call \
         of `strongroom find --repo`, from its start to its end, the best of {ROUNDS}, the page cache warm. The first search of all reads all metadata; it leaves {:.0} MB of names in the cache.\n\n{table}",
        order.names,
        order.circumstances()?,
        make::HOSTS,
        make::CHANGED_EVERY,
        stored as f64 / 1e6,
        make::bytes(&folder.join("cache"))? as f64 / 1e6,
    ))
}

fn search(order: &All, folder: &Path, arguments: &[&str]) -> Result<Usage> {
    let mut command = Command::new(Tool::Strongroom.program(order)?);
    command.arg("find").args(arguments).arg("--repo").arg(folder.join("repository"));
    command.arg("--key").arg(folder.join("owner.json"));
    command.env("STRONGROOM_CACHE_DIR", folder.join("cache")).env("STRONGROOM_STATE_DIR", folder.join("state"));
    run(command.stdout(Stdio::null()), &folder.join("log"))
}

fn row(table: &mut String, title: &str, usage: Usage) -> Result<()> {
    let (wall, cpu) = (usage.wall.as_secs_f64(), usage.cpu.as_secs_f64());
    Ok(writeln!(table, "| {title} | {wall:.2} | {cpu:.2} | {} |", usage.peak_bytes >> 20)?)
}
