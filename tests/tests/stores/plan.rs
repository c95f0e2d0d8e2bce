//! A plan that is run by itself, with its repository in a bucket or on another machine: made, backed up to, proven.

use std::fs;

use anyhow::{Context, Result, ensure};
use strongroom_tests::s3::S3Server;
use strongroom_tests::{Client, Sandbox, compare, program, skip, tree};

use crate::program::{client_at, client_on};
use crate::sshd::Sshd;

fn is_run(sandbox: &Sandbox, client: &Client) -> Result<()> {
    let source = sandbox.folder("source")?;
    tree::write(&source, "ledger", "台账")?;
    tree::write(&source, "deep/er/file", vec![7; 300_000])?;
    let plan = sandbox.path("elsewhere.yaml");
    let (files, repository) = (source.display(), client.repository.display());
    let text = format!(
        "kind: backup\nname: elsewhere\nsources: [{{ files: [\"{files}\"] }}]\nrepository: \"{repository}\"\n\
         retain: {{ last: 3 }}\nprove: {{ level: restored }}\n"
    );
    fs::write(&plan, text)?;
    let mut command = client.program()?;
    command.arg("run").arg(&plan).arg("--key").arg(&client.key).arg("--json");
    let ran = program::run(&mut command)?.expect(0)?;
    ensure!(ran.json()?.to_string().contains("\"L3\""), "{ran}");
    let snapshots = client.snapshots()?;
    let snapshot = snapshots.first().context("a snapshot")?;
    let target = sandbox.path("target");
    client.restore(snapshot, &target)?.expect(0)?;
    compare::same(&source, &strongroom_tests::client::restored(&target, &source))
}

#[test]
fn a_plan_stores_in_a_bucket() -> Result<()> {
    let name = "a_plan_stores_in_a_bucket";
    let server = match S3Server::moto() {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    let sandbox = Sandbox::new(name)?;
    is_run(&sandbox, &client_on(server, &sandbox, name))
}

#[test]
fn a_plan_stores_on_another_machine() -> Result<()> {
    let sandbox = Sandbox::new("plan sftp")?;
    let sshd = Sshd::start()?;
    is_run(&sandbox, &client_at(&sshd, &sandbox)?)
}
