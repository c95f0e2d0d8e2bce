//! Trees that hold everything a file system may hold, and hosts that do not let everything be read.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use serde_json::Value;
use strongroom_tests::client::restored;
use strongroom_tests::disk::{self, Disk};
use strongroom_tests::{Client, Outcome, Sandbox, compare, hostile, program, skip, tree};

/// A file whose list of blocks is destroyed on the disk.
const UNREADABLE: &str = "unreadable";
const GROWING: &str = "growing";

/// The issue's own sentence: a hostile tree is restored elsewhere, and nothing differs except what the run itself reported.
#[test]
fn a_hostile_tree_comes_back() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_hostile_tree_comes_back", "needs root");
    }
    let (sandbox, client) = Sandbox::with_repository("hostile")?;
    let source = hostile_source(&sandbox)?;
    let target = Disk::ext4(&sandbox.path("target"), 1 << 30)?;

    let backup = while_growing(&source.path().join(GROWING), || {
        client.run("backup", ["--json".as_ref(), source.path().as_os_str()])
    })?
    .expect(3)?;
    reports_only(&backup, &source.path().join(UNREADABLE))?;
    ensure!(backup.json()?["torn"] == 1, "the growing file, and only that, is torn:\n{backup}");

    client.restore("latest", target.path())?.expect(0)?;
    same_but_what_was_reported(source.path(), target.path())?;
    a_second_run_is_as_good(&sandbox, &client, source.path())
}

/// Nothing changed but the growing file's end: what the second run takes over from the first must be as complete as what it would read.
fn a_second_run_is_as_good(sandbox: &Sandbox, client: &Client, source: &Path) -> Result<()> {
    let again = client.run("backup", ["--json".as_ref(), source.as_os_str()])?.expect(3)?;
    reports_only(&again, &source.join(UNREADABLE))?;
    let read = again.json()?["totals"]["bytes-read"].as_u64().context("a number of bytes")?;
    ensure!(read <= 2 * GROWN_MAX, "an unchanged tree was read again: {read} bytes");
    let target = Disk::ext4(&sandbox.path("target of the second"), 1 << 30)?;
    client.restore("latest", target.path())?.expect(0)?;
    same_but_what_was_reported(source, target.path())
}

fn same_but_what_was_reported(source: &Path, target: &Path) -> Result<()> {
    let [socket, chinese_socket] = hostile::SOCKETS;
    let but = [socket, chinese_socket, UNREADABLE.as_bytes(), GROWING.as_bytes()];
    let restored = restored(target, source);
    compare::same_but(source, &restored, &but)?;
    ensure!(!restored.join(UNREADABLE).exists(), "what could not be read cannot have been restored");
    ensure!(restored.join(GROWING).metadata()?.len() <= GROWN_MAX, "the growing file is not longer than it ever was");
    // Nothing unfinished is left beside it.
    let beside: Vec<PathBuf> = fs::read_dir(target)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let top = source.components().nth(1).context("a path")?;
    ensure!(beside.iter().all(|path| path.ends_with(top) || path.ends_with("lost+found")), "left behind: {beside:?}");
    Ok(())
}

/// The tree on a disk of its own, with one file that the disk cannot read any more.
fn hostile_source(sandbox: &Sandbox) -> Result<Disk> {
    let disk = Disk::ext4(&sandbox.path("source"), 1 << 30)?;
    let at = disk.path().to_owned();
    fs::remove_dir(at.join("lost+found"))?;
    disk::write_fragmented(&at.join(UNREADABLE))?;
    hostile::plant(&at)?;
    let image = disk.unmount()?;
    disk::break_file(&image, UNREADABLE)?;
    let disk = Disk::of_image(&image, &at)?;
    ensure!(fs::read(at.join(UNREADABLE)).is_err(), "the disk still reads the file that was to be unreadable");
    Ok(disk)
}

const GROWN_MAX: u64 = 32 << 20;

/// Does something while a file grows, and then changes in place, without a pause. It was long and growing when this began, so that nobody reads it between
/// two changes.
fn while_growing<T>(path: &Path, act: impl FnOnce() -> Result<T>) -> Result<T> {
    const PIECE: u64 = 64 * 1024;
    let file = File::create(path)?;
    let write = |piece: u64| file.write_all_at(&vec![piece as u8; PIECE as usize], piece * PIECE % GROWN_MAX);
    let half = GROWN_MAX / PIECE / 2;
    (0..half).try_for_each(write)?;
    let (stop, (began, wait)) = (AtomicBool::new(false), std::sync::mpsc::channel());
    let grow = || -> Result<()> {
        for piece in half.. {
            write(piece)?;
            // The first one tells that it has begun; nobody listens to the others.
            let _ = began.send(());
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let growing = scope.spawn(grow);
        wait.recv()?;
        let done = act();
        stop.store(true, Ordering::Relaxed);
        growing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        done
    })
}

/// Exactly one path is in the report, and its error is the source's.
fn reports_only(backup: &Outcome, path: &Path) -> Result<()> {
    let report = backup.json()?;
    let problems: Vec<&Value> = report["problems"].as_array().context("a list of problems")?.iter().collect();
    ensure!(problems.len() == 1, "expected one problem:\n{backup}");
    let named = problems[0]["path"].as_str().context("a path")?;
    ensure!(Path::new("/").join(named) == path, "{named} instead of {}", path.display());
    ensure!(report["outcome"] == "partial", "the run calls itself complete:\n{backup}");
    Ok(())
}

/// A user who may not read everything backs up what he may, and is told what is missing.
#[test]
fn a_plain_user_is_told_what_he_could_not_read() -> Result<()> {
    if !skip::is_root() {
        return skip::test("a_plain_user_is_told_what_he_could_not_read", "needs root, to become somebody else");
    }
    let sandbox = Sandbox::new("nobody")?;
    let source = sandbox.folder("source")?;
    for name in ["readable", "forbidden file", "forbidden folder/inside", "folder without search/inside"] {
        tree::write(&source, name, name)?;
    }
    for (name, mode) in [("forbidden file", 0o600), ("forbidden folder", 0o700), ("folder without search", 0o744)] {
        fs::set_permissions(source.join(name), Permissions::from_mode(mode))?;
    }
    let (client, nobody) = nobody(&sandbox)?;
    program::run(
        client
            .program_through(&nobody)?
            .args(["repo", "init"])
            .arg(&client.repository)
            .arg("--key-file")
            .arg(&client.key),
    )?
    .expect(0)?;
    let backup =
        program::run(&mut client.command_through(&nobody, "backup", ["--json".as_ref(), source.as_os_str()])?)?
            .expect(3)?;

    let report = backup.json()?;
    let problems = report["problems"].as_array().context("a list")?;
    let named: BTreeSet<PathBuf> =
        problems.iter().filter_map(|row| row["path"].as_str()).map(|path| Path::new("/").join(path)).collect();
    let expected = ["forbidden file", "forbidden folder", "folder without search/inside"].map(|name| source.join(name));
    ensure!(named == expected.into(), "{named:?}");

    let target = sandbox.folder("target")?;
    chown(&target, Some(NOBODY), Some(NOBODY))?;
    // Owners cannot be set by nobody: the content is there, and the deviation is told.
    let arguments = ["latest".as_ref(), "--target".as_ref(), target.as_os_str()];
    program::run(&mut client.command_through(&nobody, "restore", arguments)?)?.expect_one_of(&[0, 3])?;
    let restored = restored(&target, &source);
    ensure!(fs::read_to_string(restored.join("readable"))? == "readable", "what could be read comes back");
    ensure!(!restored.join("forbidden file").exists(), "what could not be read does not");
    Ok(())
}

const NOBODY: u32 = 65534;

/// A client whose folders belong to nobody, with a program that nobody can start, and how to become nobody.
fn nobody(sandbox: &Sandbox) -> Result<(Client, Vec<String>)> {
    let home = sandbox.folder("home")?;
    chown(&home, Some(NOBODY), Some(NOBODY))?;
    let client = Client::new(&home, &home.join("repository"), &home.join("key.json"));
    let become_nobody = format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups");
    let starter = become_nobody.split(' ').map(str::to_owned).collect();
    // The build may lie where nobody may look.
    let program = sandbox.path("strongroom");
    fs::copy(program::strongroom()?, &program)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    Ok((client.with_program(&program), starter))
}

/// Folders within folders until no path names the innermost one any more.
#[test]
fn a_tree_deeper_than_any_path_comes_back() -> Result<()> {
    let (sandbox, client) = Sandbox::with_repository("deep")?;
    let source = sandbox.folder("source")?;
    dig(&source, 40)?;
    client.backup(&source)?;
    let target = sandbox.path("target");
    client.restore("latest", &target)?.expect(0)?;
    compare::same_by_record(&source, &restored(&target, &source))
}

/// 200 bytes a level: beyond the 4096 of a path from the 20th on.
fn dig(top: &Path, levels: usize) -> Result<()> {
    let mut folder = openat(CWD, top, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for level in 0..levels {
        let name = format!("{level:03}{}", "deep".repeat(49));
        mkdirat(&folder, &name, Mode::from_raw_mode(0o755))?;
        folder = openat(&folder, &name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let file =
            openat(&folder, "file", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o640))?;
        rustix::io::write(&file, name.as_bytes())?;
    }
    Ok(())
}

/// Project ids, which ext4 has in some kernels only.
#[test]
fn project_ids_come_back() -> Result<()> {
    let name = "project_ids_come_back";
    if !skip::is_root() || !program::has_tool("mkfs.xfs") {
        return skip::test(name, "needs root and xfsprogs");
    }
    let (sandbox, client) = Sandbox::with_repository("project")?;
    let Ok(disk) = Disk::xfs(&sandbox.path("source"), 512 << 20) else {
        return skip::test(name, "this kernel mounts no XFS");
    };
    let folder = disk.path().join("folder");
    tree::write(&folder, "file", "of project 77")?;
    program::tool(Command::new("chattr").args(["-p", "77", "+P"]).arg(&folder))?;
    program::tool(Command::new("chattr").args(["-p", "78"]).arg(folder.join("file")))?;
    client.backup(&folder)?;
    let target = disk.path().join("restored");
    client.restore("latest", &target)?.expect(0)?;
    let project = |path: &Path| {
        program::tool(Command::new("lsattr").args(["-d", "-p"]).arg(path)).map(|line| {
            String::from_utf8_lossy(&line).trim().chars().take_while(|letter| *letter != '/').collect::<String>()
        })
    };
    for name in ["", "file"] {
        let (was, is) = (project(&folder.join(name))?, project(&restored(&target, &folder).join(name))?);
        ensure!(
            was == is && was.trim_start().starts_with("7"),
            "'{name}': project and flags were '{was}' and are '{is}'"
        );
    }
    Ok(())
}
