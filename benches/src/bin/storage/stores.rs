//! Backup and restore through S3 and SFTP, near and far: every tool through the same line, which counts what passes.

mod proxy;
mod raw;
mod sshd;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use strongroom_benches::dice::Dice;
use strongroom_tests::s3::{BUCKET, S3Server};
use tokio::runtime::Handle;

use crate::measure::{Usage, measure as run};
use crate::tool::{Bucket, Client, Place, Tool};
use crate::{All, disk};
use proxy::{Passed, Proxy};
use sshd::Sshd;

const WHAT: &str = "\
S3 is a Garage of two nodes that both keep everything, SFTP is OpenSSH's `sshd`; both run on this machine and share its cores with the tools, and write to the same disk. All bytes pass \
a proxy that delays each direction by half of the round trip, and the first bytes of a connection by one more, and limits nothing else. One round; a restore finds the caches that the \
backup left. Requests are counted at the proxy: `PUT+GET+HEAD+…`; those of SFTP are encrypted. The CPU time is the tool's own (with `ssh`, where it starts one), not the server's.
";

const RATIO: &str = "\
Ours beside plain GETs: one file of noise, backed up and restored through S3. Plain means that each byte of its packs is got once, by the same client with as \
many requests under way, and let go; the restore also opens, hashes, writes, flushes, reads back and compares.
";

const ROUND_TRIPS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(20)];
/// Large enough that beginning and end do not count for much.
const NOISE_BYTES: usize = 2 << 30;

/// One command through the line.
struct Step {
    usage: Usage,
    passed: Passed,
}

/// One tool at one store.
struct Case {
    store: &'static str,
    round_trip: Duration,
    tool: Tool,
    outcome: Result<(Step, Step)>,
}

/// Everything that a case takes from those before it.
struct Course<'a> {
    order: &'a All,
    runtime: Handle,
    folder: PathBuf,
    source: PathBuf,
    garage: &'a S3Server,
    sshd: Sshd,
}

pub(crate) fn measure(order: &All) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = tempfile::tempdir_in(&order.folder)?;
    let source = match &order.tree {
        Some(tree) => tree.canonicalize()?,
        None => All::linux()?,
    };
    disk::warm(&source)?;
    let course = Course {
        order,
        runtime: runtime.handle().clone(),
        folder: folder.path().to_owned(),
        source,
        garage: S3Server::garage().map_err(anyhow::Error::msg)?,
        sshd: Sshd::start(folder.path())?,
    };
    let extent = disk::extent(&course.source)?;
    let mut cases = Vec::new();
    for store in ["S3", "SFTP"] {
        for round_trip in ROUND_TRIPS {
            for tool in &order.tools {
                cases.push(course.case(store, round_trip, *tool));
            }
        }
    }
    let mut text = format!(
        "## stores: backup and restore through S3 and SFTP\n\n{}\n\n{} files, {:.0} MB.\n{WHAT}\n{}\n{RATIO}\n{}\n",
        order.circumstances()?,
        extent.files,
        extent.bytes as f64 / 1e6,
        table(&cases)?,
        course.ratios()?
    );
    for tool in &order.tools {
        writeln!(text, "- {}", tool.version(order)?)?;
    }
    for case in &cases {
        if case.outcome.is_err() {
            writeln!(text, "- NOT MEASURED, for it failed: {} through {}", case.tool.name(), case.store)?;
        }
    }
    Ok(text)
}

impl Course<'_> {
    fn case(&self, store: &'static str, round_trip: Duration, tool: Tool) -> Case {
        let name = format!("{}-{}-{}", tool.name(), store.to_lowercase(), round_trip.as_millis());
        let home = self.folder.join(&name);
        let outcome = self.lines(store, round_trip, &name).and_then(|(line, place)| {
            let client = Client::new(tool, self.order, home.clone(), &self.source, place)?;
            self.steps(&client, &line)
        });
        match &outcome {
            Ok((backup, restore)) => eprintln!(
                "stores: {name}: backup {:.2} s {:?}, restore {:.2} s {:?}",
                backup.usage.wall.as_secs_f64(),
                backup.passed,
                restore.usage.wall.as_secs_f64(),
                restore.passed
            ),
            Err(error) => eprintln!("stores: {name}: {error:#}"),
        }
        Case { store, round_trip, tool, outcome }
    }

    /// A line to the store, and the place at its end.
    fn lines(&self, store: &str, round_trip: Duration, name: &str) -> Result<(Proxy, Place)> {
        if store == "S3" {
            let (line, bucket) = self.bucket(round_trip)?;
            return Ok((line, Place::S3(bucket, name.to_owned())));
        }
        let line = Proxy::start(&self.runtime, self.sshd.address, round_trip)?;
        let login = self.sshd.login(line.port)?;
        Ok((line, Place::Sftp(login)))
    }

    fn bucket(&self, round_trip: Duration) -> Result<(Proxy, Bucket)> {
        let server = self.garage.endpoint.trim_start_matches("http://").parse().context("the server's address")?;
        let line = Proxy::start(&self.runtime, server, round_trip)?;
        let bucket = Bucket {
            endpoint: format!("http://127.0.0.1:{}", line.port),
            region: self.garage.region.to_owned(),
            name: BUCKET.to_owned(),
            access_key: self.garage.access_key.to_owned(),
            secret_key: self.garage.secret_key.to_owned(),
        };
        Ok((line, bucket))
    }

    fn steps(&self, client: &Client, line: &Proxy) -> Result<(Step, Step)> {
        step(client, client.create(), line)?;
        let backup = step(client, client.backup(), line)?;
        let target = client.home.join("target");
        fs::create_dir(&target)?;
        let restore = step(client, client.restore(&target), line)?;
        let one_file = first_file(&self.source)?;
        let root = disk::restored_root(&target, &self.source, &one_file).context("nothing was restored")?;
        disk::compare(&self.source, &root).context("the restore is not right")?;
        // Nothing is removed before the end: for minutes after many deletions ext4 looks at each inode before it takes it again.
        Ok((backup, restore))
    }

    /// What a restore of noise takes of the time that plain GETs of its packs take.
    fn ratios(&self) -> Result<String> {
        let mut text = String::from(
            "| round trip | plain GETs, MB/s | restore, MB/s | of it | restore, CPU s |\n|---|---:|---:|---:|---:|\n",
        );
        let source = self.folder.join("noise");
        fs::create_dir(&source)?;
        write_noise(&source.join("noise.bin"))?;
        for round_trip in ROUND_TRIPS {
            let prefix = format!("noise-{}", round_trip.as_millis());
            let (line, bucket) = self.bucket(round_trip)?;
            let place = Place::S3(bucket.clone(), prefix.clone());
            let client = Client::new(Tool::Strongroom, self.order, self.folder.join(&prefix), &source, place)?;
            step(&client, client.create(), &line)?;
            step(&client, client.backup(), &line)?;
            // Twice, and the better one counts: the first finds the server's files outside of memory.
            raw::get_packs(&self.runtime, &bucket, &prefix)?;
            let (bytes, plain) = raw::get_packs(&self.runtime, &bucket, &prefix)?;
            let target = client.home.join("target");
            fs::create_dir(&target)?;
            let restore = step(&client, client.restore(&target), &line)?;
            let megabytes = bytes as f64 / 1e6;
            let (plain, restored) = (megabytes / plain.as_secs_f64(), megabytes / restore.usage.wall.as_secs_f64());
            writeln!(
                text,
                "| {} ms | {plain:.0} | {restored:.0} | {:.2} | {:.2} |",
                round_trip.as_millis(),
                restored / plain,
                restore.usage.cpu.as_secs_f64()
            )?;
            fs::remove_dir_all(&client.home)?;
        }
        Ok(text)
    }
}

/// A command, and what passed the line meanwhile.
fn step(client: &Client, mut command: Command, line: &Proxy) -> Result<Step> {
    ensure!(Command::new("sync").status()?.success(), "sync failed");
    line.passed();
    let usage = run(command.stdout(Stdio::null()), &client.home.join("log"))?;
    Ok(Step { usage, passed: line.passed() })
}

/// Some file of the tree, by which the restored tree is found.
fn first_file(source: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(source)?.filter_map(|entry| entry.ok());
    let file = files.find(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    Ok(PathBuf::from(file.context("the tree has no file at its top")?.file_name()))
}

fn write_noise(path: &Path) -> Result<()> {
    let (mut file, mut dice) = (std::io::BufWriter::new(File::create(path)?), Dice::seeded(&[4]));
    for _ in 0..NOISE_BYTES / 8 {
        file.write_all(&dice.roll().to_le_bytes())?;
    }
    Ok(file.flush()?)
}

fn table(cases: &[Case]) -> Result<String> {
    let mut text = String::from(
        "| store | round trip | tool | backup, wall s | CPU s | requests | MB | restore, wall s | CPU s | requests | MB |\n\
         |---|---:|---|---:|---:|---|---:|---:|---:|---|---:|\n",
    );
    for case in cases {
        write!(text, "| {} | {} ms | {} |", case.store, case.round_trip.as_millis(), case.tool.name())?;
        let Ok((backup, restore)) = &case.outcome else {
            text.push_str(" - | - | - | - | - | - | - | - |\n");
            continue;
        };
        let ours = cases.iter().find(|other| {
            (other.store, other.round_trip, other.tool) == (case.store, case.round_trip, Tool::Strongroom)
        });
        let ours = ours.filter(|_| case.tool != Tool::Strongroom).and_then(|ours| ours.outcome.as_ref().ok());
        for (step, ours) in [(backup, ours.map(|ours| &ours.0)), (restore, ours.map(|ours| &ours.1))] {
            let wall = |step: &Step| step.usage.wall.as_secs_f64();
            let ratio = ours.map(|ours| format!(" ({:.2}×)", wall(step) / wall(ours))).unwrap_or_default();
            write!(text, " {:.2}{ratio} | {:.2} |", wall(step), step.usage.cpu.as_secs_f64())?;
            write!(text, " {} | {:.0} |", requests(&step.passed), step.passed.bytes as f64 / 1e6)?;
        }
        text.push('\n');
    }
    Ok(text)
}

fn requests(passed: &Passed) -> String {
    if passed.requests.is_empty() {
        return "-".into();
    }
    let each: Vec<String> = passed.requests.iter().map(|(method, count)| format!("{count} {method}")).collect();
    format!("{}: {}", passed.requests.values().sum::<u64>(), each.join(", "))
}
