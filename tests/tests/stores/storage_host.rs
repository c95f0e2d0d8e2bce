//! A storage host whose worker serves a folder, through sshd and with the key's forced command, as its operator sets it up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use strongroom_tests::client::restored;
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::{Client, Sandbox, compare, program, tree};

use crate::program::{client_by, round_trip};
use crate::sshd::{Sshd, user};

/// From now on the key leads to the worker, with these options, and to nothing else.
fn force(sshd: &Sshd, sandbox: &Sandbox, options: &str) -> Result<()> {
    let (worker, folder) = (program::worker()?, sandbox.folder("repository")?);
    let command = format!("restrict,command=\"'{}' store {options} '{}'\"", worker.display(), folder.display());
    sshd.authorize(&command, "user_key")
}

fn objects(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => waiting.push(path),
                false => found.push((path.clone(), fs::read(&path)?)),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What OpenSSH's own client achieves with the key; it answers every line.
fn try_with_sftp(sshd: &Sshd, sandbox: &Sandbox, lines: &str) -> Result<String> {
    let batch = sandbox.path("batch");
    fs::write(&batch, lines)?;
    let mut sftp = Command::new("sftp");
    sftp.arg("-F").arg("none").arg("-P").arg(sshd.port().to_string()).arg("-i").arg(sshd.path("user_key"));
    sftp.arg("-o").arg(format!("UserKnownHostsFile={}", sshd.path("known_hosts").display()));
    let output = sftp.arg("-b").arg(&batch).arg(format!("{}@127.0.0.1", user()?)).output()?;
    Ok([output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat())
}

fn two_backups(sandbox: &Sandbox, client: &Client) -> Result<[String; 2]> {
    let source = sandbox.folder("source")?;
    tree::write(&source, "old", noise(&mut seeded(51), 3 << 20))?;
    let first = client.backup(&source)?;
    fs::remove_file(source.join("old"))?;
    tree::write(&source, "new", noise(&mut seeded(52), 3 << 20))?;
    Ok([first, client.backup(&source)?])
}

#[test]
fn a_backup_to_a_storage_host_comes_back() -> Result<()> {
    let sandbox = Sandbox::new("storage host")?;
    let sshd = Sshd::start()?;
    force(&sshd, &sandbox, "--may-delete")?;
    let client = client_by("gateway", &sshd, &sandbox)?;
    let made = client.init()?;
    ensure!(made.stdout.contains("keeps all of its 8 promises"), "{made}");
    round_trip(&sandbox, &client)
}

/// Whoever has the key of the controller can add, and cannot take away a byte.
#[test]
fn a_key_that_only_adds_takes_nothing_away() -> Result<()> {
    let sandbox = Sandbox::new("storage host adds")?;
    let sshd = Sshd::start()?;
    force(&sshd, &sandbox, "")?;
    let client = client_by("gateway", &sshd, &sandbox)?;
    client.init()?;
    let [first, second] = two_backups(&sandbox, &client)?;
    client.run("forget", [&first])?.expect(0)?;
    let folder = sandbox.path("repository");
    let before = objects(&folder)?;

    let pruned = client.run_repo("prune", ["--max-unused", "0"])?;
    ensure!(pruned.text().contains("this key only adds"), "{pruned}");
    let name = |kind: &str| {
        let found = before.iter().find(|(path, _)| path.starts_with(folder.join(kind)));
        found.map(|(path, _)| path.display().to_string()).unwrap_or_default()
    };
    let (pack, commit, local) = (name("packs"), name("commits"), sandbox.path("batch").display().to_string());
    let attack = format!(
        "-rm {pack}\n-rm {commit}\n-rename {pack} {pack}x\n-put {local} {pack}\n-put {local} {folder}/packs/new\n-chmod 000 {pack}\n-symlink /etc {folder}/etc\n-rmdir {folder}/packs\n-get /etc/hostname {local}.got\n-ls /\n",
        folder = folder.display()
    );
    let said = try_with_sftp(&sshd, &sandbox, &attack)?;
    ensure!(said.contains("this key only adds") || said.contains("Permission denied"), "{said}");
    let after = objects(&folder)?;
    for object in before.iter().filter(|(path, _)| !path.ends_with("hint")) {
        ensure!(after.contains(object), "{} is gone or another: {said}", object.0.display());
    }
    ensure!(!folder.join("packs/new").exists() && !folder.join("etc").exists(), "{said}");
    ensure!(!sandbox.path("batch.got").exists(), "it reads outside of its folder: {said}");

    // A shell, or another program, is not to be had either.
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg("none").arg("-p").arg(sshd.port().to_string()).arg("-i").arg(sshd.path("user_key"));
    ssh.arg("-o").arg(format!("UserKnownHostsFile={}", sshd.path("known_hosts").display()));
    let told = ssh.arg(format!("{}@127.0.0.1", user()?)).arg("id").stdin(std::process::Stdio::null()).output()?;
    ensure!(told.stdout.is_empty(), "{told:?}");

    let source = sandbox.path("source");
    let target = sandbox.path("target");
    client.restore(&second, &target)?.expect(0)?;
    compare::same(&source, &restored(&target, &source))?;

    // With the other key the same prune goes on where it was refused.
    force(&sshd, &sandbox, "--may-delete")?;
    client.run_repo("prune", ["--max-unused", "0", "--fence-after", "0"])?.expect(0)?;
    ensure!(
        objects(&folder)?.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
            < before.iter().map(|(_, bytes)| bytes.len()).sum()
    );
    client.check_data()?.expect(0)?;
    Ok(())
}

/// A disk that is not mounted is told, and nothing is written where it belongs.
#[test]
fn a_folder_that_is_not_there_is_told() -> Result<()> {
    let sandbox = Sandbox::new("storage host empty")?;
    let sshd = Sshd::start()?;
    force(&sshd, &sandbox, "")?;
    let folder = sandbox.path("repository");
    let place = format!("gateway://{}@127.0.0.1:{}", user()?, sshd.port());
    let url = |folder: &Path| -> Result<String> { Ok(format!("{place}{}", folder.display()).replace(' ', "%20")) };
    fs::remove_dir(&folder)?;
    let client = client_by("gateway", &sshd, &sandbox)?;
    let probe = |url: &str| program::run(client.program()?.args(["repo", "probe", url]));
    let refused = probe(&url(&folder)?)?;
    ensure!(refused.code != Some(0), "{refused}");
    ensure!(!folder.exists(), "{refused}");
    // Another folder than the key's is not served in its place.
    let other = sandbox.folder("other")?;
    fs::create_dir(&folder)?;
    let refused = probe(&url(&other)?)?;
    ensure!(refused.text().contains("this key leads to"), "{refused}");
    ensure!(fs::read_dir(&other)?.next().is_none());
    Ok(())
}
