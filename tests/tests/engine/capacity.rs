//! Who uses what, when a store is full, and what surely does not fit: compared with what `find` counts, with a growth that is known, and with what the disk holds afterwards.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::Value;
use strongroom_tests::client::restored;
use strongroom_tests::disk::Disk;
use strongroom_tests::program::tool;
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::{Client, Sandbox, compare, skip, tree};

const MIB: usize = 1 << 20;

/// Bytes of all files below a folder, as `find` counts them.
fn counted(folder: &Path) -> Result<u64> {
    let printed = tool(Command::new("find").arg(folder).args(["-type", "f", "-printf", "%s\n"]))?;
    Ok(String::from_utf8(printed)?.lines().map(|line| line.parse::<u64>().unwrap_or_default()).sum())
}

fn figure(value: &Value, name: &str) -> Result<u64> {
    value[name].as_u64().with_context(|| format!("no {name} in {value}"))
}

fn share<'v>(usage: &'v Value, name: &str) -> Result<&'v Value> {
    let shares = usage["shares"].as_array().context("shares")?;
    shares.iter().find(|share| share["name"] == name).with_context(|| format!("no share of {name} in {usage}"))
}

#[test]
fn the_shares_sum_up_to_what_the_disk_holds_and_come_free() -> Result<()> {
    let (sandbox, client) = Sandbox::with_repository("usage")?;
    let mut dice = seeded(44);
    let source = sandbox.folder("source")?;
    let common: Vec<Vec<u8>> = (0..6).map(|_| noise(&mut dice, MIB)).collect();
    for (host, own_mib) in [("web1", 2), ("web2", 5), ("db1", 9)] {
        fs::remove_dir_all(&source)?;
        for (number, content) in common.iter().enumerate().filter(|_| host != "db1") {
            tree::write(&source, &format!("common {number}"), content)?;
        }
        for number in 0..own_mib {
            tree::write(&source, &format!("own {number}"), noise(&mut dice, MIB))?;
        }
        let tenant = format!("tenant={}", if host == "db1" { "north" } else { "south" });
        client.run("backup", ["--host", host, "--tag", &tenant, &source.display().to_string()])?.expect(0)?;
    }
    let usage = |by: &str| client.run_repo("usage", ["--json", "--by", by])?.expect(0)?.json();
    let held = counted(&client.repository)?;
    let by_host = usage("host")?;
    for by in ["host", "tag:tenant", "plan"] {
        let used = usage(by)?;
        let fair = used["shares"].as_array().context("shares")?.iter().map(|share| figure(share, "fair-bytes"));
        let fair: u64 = fair.sum::<Result<u64>>()?;
        let rest = ["unused-bytes", "unreferred-bytes", "overhead-bytes"].map(|name| figure(&used, name));
        let sum = fair + rest.into_iter().sum::<Result<u64>>()?;
        ensure!(sum.abs_diff(held) * 100 <= held, "by {by}: the shares come to {sum}, and find counts {held}");
    }
    for (host, unique_mib, shared_mib) in [("web1", 2, 6), ("web2", 5, 6), ("db1", 9, 0)] {
        let share = share(&by_host, host)?;
        let close = |name: &str, mib: u64| -> Result<bool> {
            let (bytes, expect) = (figure(share, name)?, mib << 20);
            Ok(bytes >= expect && bytes <= expect + expect / 50 + 100_000)
        };
        ensure!(close("unique-bytes", unique_mib)? && close("shared-bytes", shared_mib)?, "{host}: {share}");
    }
    csv_sums_up(&client, held)?;
    // What is unique to somebody comes free when they go.
    let unique = figure(share(&by_host, "db1")?, "unique-bytes")?;
    let listed = client.run("snapshots", ["--json"])?.expect(0)?.json()?;
    let rows = listed.get("snapshots").unwrap_or(&listed).as_array().context("snapshots")?.clone();
    let of_db1 = rows.iter().find(|row| row["host"] == "db1").context("a snapshot of db1")?;
    client.run("forget", ["--json", of_db1["id"].as_str().context("an id")?])?.expect_one_of(&[0, 4])?;
    let left = client.snapshots()?.len();
    if left == 3 {
        // The newest of a source stays: what would come free is what nobody else needs, and nothing came free.
        ensure!(figure(&usage("host")?, "unused-bytes")? == 0);
        return Ok(());
    }
    ensure!(figure(&usage("host")?, "unused-bytes")?.abs_diff(unique) < 100_000, "{}", usage("host")?);
    for _ in 0..2 {
        client.run_repo("prune", ["--max-unused", "0", "--json"])?.expect(0)?;
    }
    let freed = held.saturating_sub(counted(&client.repository)?);
    ensure!(freed >= unique * 99 / 100, "{unique} bytes were unique to db1, and {freed} came free");
    Ok(())
}

/// The last column of the lines is what is stored.
fn csv_sums_up(client: &Client, held: u64) -> Result<()> {
    let csv = client.run_repo("usage", ["--csv"])?.expect(0)?.stdout;
    let last = csv.lines().skip(1).filter_map(|line| line.rsplit(',').next()?.trim().parse::<u64>().ok());
    let sum: u64 = last.sum();
    ensure!(sum.abs_diff(held) * 100 <= held, "the lines come to {sum}, and find counts {held}:\n{csv}");
    Ok(())
}

/// Sixty days of a growth that is known, with days on which other things lay on the disk.
#[test]
fn the_day_when_it_is_full_is_foreseen() -> Result<()> {
    let name = "the_day_when_it_is_full_is_foreseen";
    if !skip::is_root() {
        return skip::test(name, "needs root to mount");
    }
    const GROWS_A_DAY: u64 = 256 << 10;
    let sandbox = Sandbox::new("capacity")?;
    let disk = Disk::memory(&sandbox.path("disk"), 64 << 20)?;
    let client = sandbox.client("client").at(&disk.path().join("repository"));
    client.init()?;
    let filler = disk.fill(20 << 20)?;
    let capacity = |more: &[&str]| client.run_repo("capacity", [&["--json"], more].concat());
    let now = capacity(&["--alarm-at", "100"])?.expect(0)?.json()?;
    ensure!(now["walls"][0]["wall"] == "disk" && now["walls"][0]["growth-bytes-a-day"].is_null(), "{now}");
    let (free, total) = (figure(&now, "free-bytes")?, figure(&now, "total-bytes")?);
    let notes = fs::read_dir(client.state.join("places"))?.filter_map(|entry| Some(entry.ok()?.path()));
    let notes = notes.into_iter().find(|path| path.extension().is_some_and(|end| end == "measures"));
    let notes = notes.context("what was measured is noted")?;
    let text = fs::read_to_string(&notes)?;
    let today: Date = text.split(' ').next().context("a day")?.parse()?;
    let mut days = String::new();
    for ago in (1..60u64).rev() {
        let noise = if ago % 7 < 2 { 2 * GROWS_A_DAY } else { 0 };
        let foreign = if ago % 19 == 0 { 8 << 20 } else { 0 };
        let free = free + ago * GROWS_A_DAY - noise - foreign;
        let day = today.checked_sub(i64::try_from(ago)?.days())?;
        days += &format!("{day} stored=1000 free={free} total={total}\n");
    }
    fs::write(&notes, days + &text)?;
    let foreseen = capacity(&["--alarm-at", "100"])?.expect(0)?.json()?;
    let wall = &foreseen["walls"][0];
    let full_on: Date = wall["full-on"].as_str().with_context(|| format!("no day in {foreseen}"))?.parse()?;
    let (days, truth) = (f64::from((full_on - today).get_days()), free as f64 / GROWS_A_DAY as f64);
    ensure!((days / truth - 1.0).abs() < 0.2, "{truth:.0} days are left, foreseen {days}: {foreseen}");
    ensure!(wall["basis"] == "measured" && wall["basis-days"] == 59, "{foreseen}");
    // Levels.
    let used = |percent: u64| total * percent / 100;
    for (percent, level, code) in [(60, None, 0), (76, Some(75), 4), (86, Some(85), 4), (96, Some(95), 4)] {
        fs::remove_file(&filler)?;
        disk.fill(total - used(percent))?;
        let told = capacity(&[])?.expect(code)?.json()?;
        ensure!(told["level"].as_u64() == level, "at {percent} %: {told}");
    }
    Ok(())
}

#[test]
fn a_backup_that_surely_does_not_fit_writes_nothing() -> Result<()> {
    let name = "a_backup_that_surely_does_not_fit_writes_nothing";
    if !skip::is_root() {
        return skip::test(name, "needs root to mount");
    }
    let sandbox = Sandbox::new("no-room")?;
    // The reserve takes 16 MiB of it.
    let disk = Disk::memory(&sandbox.path("disk"), 40 << 20)?;
    let client = sandbox.client("client").at(&disk.path().join("repository"));
    client.init()?;
    let (source, mut dice) = (sandbox.folder("source")?, seeded(45));
    for number in 0..40 {
        tree::write(&source, &format!("noise {number}"), noise(&mut dice, MIB))?;
    }
    let backup = |source: &Path| client.run("backup", ["--json", &source.display().to_string()]);
    let before = listing(&client.repository)?;
    let refused = backup(&source)?.expect(5)?;
    for words in ["no space at", "it needs", "are free", "repo prune", &client.repository.display().to_string()] {
        ensure!(refused.stderr.contains(words), "'{words}' is not told:\n{refused}");
    }
    ensure!(listing(&client.repository)? == before, "something was written");
    // What only looks large fits: zeros, holes, and copies.
    let (zeros, copies) = (sandbox.folder("zeros")?, sandbox.folder("copies")?);
    tree::write(&zeros, "zeros", vec![0; 60 * MIB])?;
    fs::File::create(zeros.join("hole"))?.set_len(1 << 30)?;
    let content = noise(&mut dice, 4 * MIB);
    (0..12).try_for_each(|number| tree::write(&copies, &format!("copy {number}"), &content))?;
    backup(&zeros)?.expect(0)?;
    backup(&copies)?.expect(0)?;
    disk.resize(80 << 20)?;
    backup(&source)?.expect(0)?;
    // A little more fits where the whole would not, and so does a full run, whose bytes are there.
    let (used, _) = disk.space()?;
    disk.resize(used + (3 << 20))?;
    tree::write(&source, "one more", noise(&mut dice, 200_000))?;
    backup(&source)?.expect(0)?;
    client.run("backup", ["--json", "--full", &source.display().to_string()])?.expect(0)?;
    let other = client.with_state(&sandbox.path("another state")).with_cache(&sandbox.path("another cache"));
    other.run("backup", ["--json", &source.display().to_string()])?.expect(0)?;
    client.restore("latest", &sandbox.path("target"))?.expect(0)?;
    compare::same(&source, &restored(&sandbox.path("target"), &source))?;
    // A quota is as good as an end.
    disk.resize(128 << 20)?;
    let url = client.repository.display().to_string();
    let quota = |size: &str| {
        let mut command = client.program()?;
        command.args(["repo", "quota", &url, size, "--json", "--key"]).arg(&client.key);
        strongroom_tests::program::run(&mut command)?.expect(0)
    };
    quota("1 MiB")?;
    tree::write(&source, "beyond", noise(&mut dice, MIB))?;
    let before = listing(&client.repository)?;
    let refused = backup(&source)?.expect(5)?;
    ensure!(refused.stderr.contains("quota of 1.0 MiB"), "{refused}");
    ensure!(listing(&client.repository)? == before, "something was written beyond the quota");
    let told = client.run_repo("capacity", ["--json"])?.expect(4)?.json()?;
    ensure!(told["walls"][0]["wall"] == "quota" && told["level"] == 95, "{told}");
    quota("none")?;
    backup(&source)?.expect(0)?;
    Ok(())
}

/// Names and sizes of all files.
fn listing(folder: &Path) -> Result<String> {
    let printed = tool(Command::new("find").arg(folder).args(["-printf", "%P %s\n"]))?;
    let mut lines: Vec<String> = String::from_utf8(printed)?.lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines.join("\n"))
}
