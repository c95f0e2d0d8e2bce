//! The program through every store: what was backed up comes back, and what it says of the store is true.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use strongroom_tests::client::{restored, snapshot_of};
use strongroom_tests::program::{self, Running};
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::s3::S3Server;
use strongroom_tests::{Client, Sandbox, compare, hostile, skip, tree, wait};

use crate::sshd::Sshd;

/// A client of a repository on a server, which is still to be made.
pub(crate) fn client_on(server: &S3Server, sandbox: &Sandbox, test: &str) -> Client {
    let client = sandbox.client("client").at(Path::new(&server.location(test)));
    client.with_environment(server.environment())
}

/// Makes a repository, backs up twice, checks every byte, restores both and compares.
pub(crate) fn round_trip(sandbox: &Sandbox, client: &Client) -> Result<()> {
    let source = sandbox.folder("source")?;
    tree::ordinary(&source, &mut seeded(41), 60)?;
    let old = sandbox.path("as it was");
    strongroom_tests::sandbox::copy(&source, &old)?;
    let first = client.backup(&source)?;
    tree::write(&source, "etc/new", "something new")?;
    if skip::is_root() {
        let hostile = sandbox.folder("source/hostile")?;
        hostile::plant(&hostile)?;
        // No backup keeps them, and they would be all that differs.
        hostile::SOCKETS.iter().try_for_each(|name| fs::remove_file(hostile.join(OsStr::from_bytes(name))))?;
    }
    let second = client.backup(&source)?;
    client.check_data()?.expect(0)?;
    for (snapshot, expected) in [(&first, &old), (&second, &source)] {
        // From another machine, which knows nothing yet.
        let other = client.with_cache(&sandbox.path(&format!("cache for {snapshot}")));
        let target = sandbox.path(&format!("target {snapshot}"));
        other.restore(snapshot, &target)?.expect(0)?;
        compare::same(expected, &restored(&target, &source))?;
    }
    ensure!(client.snapshots()? == [first.clone(), second.clone()]);
    forgets_and_prunes(sandbox, client, [&first, &second], &source)?;
    if skip::is_root() {
        hostile::unlock(&source)?;
    }
    Ok(())
}

/// The first snapshot is forgotten, what only it needed goes, and what is left hashes as it should and comes back.
fn forgets_and_prunes(sandbox: &Sandbox, client: &Client, [first, second]: [&String; 2], source: &Path) -> Result<()> {
    client.run("forget", [first])?.expect(0)?;
    let pruned = client.run_repo("prune", ["--max-unused", "0", "--json"])?.expect(0)?.json()?;
    ensure!(pruned["report"]["swept"].as_u64() > Some(0), "nothing was swept: {pruned}");
    // What the first one took out of use, the second one deletes.
    client.run_repo("prune", ["--json"])?.expect(0)?;
    client.run_repo("scrub", ["--json"])?.expect(0)?;
    client.check_data()?.expect(0)?;
    let other = client.with_cache(&sandbox.path("cache after the prune"));
    let target = sandbox.path("target after the prune");
    other.restore(second, &target)?.expect(0)?;
    compare::same(source, &restored(&target, source))
}

fn s3_round_trip(name: &str, server: Result<&'static S3Server, String>, expect: &str) -> Result<()> {
    let server = match server {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    let sandbox = Sandbox::new(name)?;
    let client = client_on(server, &sandbox, name);
    let made = client.init()?;
    ensure!(made.stdout.contains(expect), "{made}");
    round_trip(&sandbox, &client)
}

#[test]
fn a_backup_through_moto_comes_back() -> Result<()> {
    s3_round_trip("a_backup_through_moto_comes_back", S3Server::moto(), "keeps all of its 8 promises")
}

#[test]
fn a_backup_through_garage_comes_back() -> Result<()> {
    s3_round_trip("a_backup_through_garage_comes_back", S3Server::garage(), "does not refuse to overwrite")
}

/// Through sshd, with its own keys and nothing of this machine's.
#[test]
fn a_backup_over_sftp_comes_back() -> Result<()> {
    let sandbox = Sandbox::new("sftp")?;
    let sshd = Sshd::start()?;
    let client = client_at(&sshd, &sandbox)?;
    let made = client.init()?;
    ensure!(made.stdout.contains("keeps all of its 8 promises"), "{made}");
    round_trip(&sandbox, &client)
}

/// The line breaks while a backup runs, more than once; it gets through, and what it made is whole.
#[test]
fn a_backup_over_a_breaking_line_gets_through() -> Result<()> {
    let sandbox = Sandbox::new("sftp cut")?;
    let sshd = Sshd::start()?;
    let client = client_at(&sshd, &sandbox)?;
    client.init()?;
    let source = sandbox.folder("source")?;
    tree::write(&source, "noise", noise(&mut seeded(42), 300 << 20))?;
    let running = client.start("backup", ["--json", &source.display().to_string()])?;
    let packs = sandbox.path("repository/packs");
    let stored = || fs::read_dir(&packs).map_or(0, Iterator::count);
    for wanted in [1, 2] {
        wait::until("packs arrive", Duration::from_secs(120), || {
            ensure!(stored() >= wanted);
            Ok(())
        })?;
        sshd.cut();
    }
    let snapshot = snapshot_of(&running.wait()?.expect(0)?)?;
    client.check_data()?.expect(0)?;
    let target = sandbox.path("target");
    client.restore(&snapshot, &target)?.expect(0)?;
    compare::same(&source, &restored(&target, &source))
}

/// A client of a repository in the sandbox, reached over an sshd.
pub(crate) fn client_at(sshd: &Sshd, sandbox: &Sandbox) -> Result<Client> {
    client_by("sftp", sshd, sandbox)
}

/// The same, by this scheme.
pub(crate) fn client_by(scheme: &str, sshd: &Sshd, sandbox: &Sandbox) -> Result<Client> {
    let user = crate::sshd::user()?;
    let folder = sandbox.path("repository").display().to_string().replace(' ', "%20");
    let url = format!("{scheme}://{user}@127.0.0.1:{}{folder}", sshd.port());
    Ok(sandbox.client("client").at(Path::new(&url)).with_environment([
        ("STRONGROOM_SSH_KEY", sshd.path("user_key").display().to_string()),
        ("STRONGROOM_SSH_KNOWN_HOSTS", sshd.path("known_hosts").display().to_string()),
    ]))
}

/// Several machines back up at once, where the store decides races and where it does not; every snapshot is there afterwards.
fn many_writers(name: &str, server: Result<&'static S3Server, String>) -> Result<()> {
    const WRITERS: usize = 4;
    let server = match server {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    let sandbox = Sandbox::new(name)?;
    let client = client_on(server, &sandbox, name);
    client.init()?;
    let source = sandbox.folder("source")?;
    tree::write(&source, "file", "content")?;
    let start = |number: usize| -> Result<Running> {
        let machine = client.with_cache(&sandbox.path(&format!("cache {number}")));
        let machine = machine.with_state(&sandbox.path(&format!("state {number}")));
        let host = format!("host-{number}");
        let source = source.display().to_string();
        Running::start(&mut machine.command("backup", ["--json", "--host", &host, &source])?)
    };
    let running = (0..WRITERS).map(start).collect::<Result<Vec<_>>>()?;
    for run in running {
        run.wait()?.expect(0)?;
    }
    let found = client.with_cache(&sandbox.path("a fresh cache")).snapshots()?;
    ensure!(found.len() == WRITERS, "{found:?}");
    client.check_data()?.expect(0)?;
    Ok(())
}

#[test]
fn writers_race_on_moto_and_none_is_lost() -> Result<()> {
    many_writers("writers_race_on_moto_and_none_is_lost", S3Server::moto())
}

#[test]
fn writers_wait_for_each_other_on_garage_and_none_is_lost() -> Result<()> {
    many_writers("writers_wait_for_each_other_on_garage_and_none_is_lost", S3Server::garage())
}

/// The probe's answer is printed, and is the same each time.
#[test]
fn the_probe_tells_the_servers_apart() -> Result<()> {
    let name = "the_probe_tells_the_servers_apart";
    let cases = [(S3Server::moto(), 0, "race"), (S3Server::garage(), 4, "controller_only")];
    for (server, code, expect) in cases {
        let server = match server {
            Ok(server) => server,
            Err(reason) => return skip::test(name, &reason),
        };
        let sandbox = Sandbox::new(name)?;
        let client = client_on(server, &sandbox, name);
        let mut command: Command = client.program()?;
        command.args(["repo", "probe", "--json"]).arg(&client.repository);
        let probed = program::run(&mut command)?.expect(code)?;
        ensure!(probed.json()?["commits"] == expect, "{probed}");
    }
    Ok(())
}
