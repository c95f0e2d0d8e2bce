//! A site whose repository lies in a bucket: hosts store there through the controller, and hold no credential of it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use strongroom_tests::operator::Operator;
use strongroom_tests::program;
use strongroom_tests::s3::S3Server;
use strongroom_tests::{Lab, Sandbox, compare, lab, skip};

use crate::helpers::{add_host, serve};

#[test]
fn a_host_stores_in_a_bucket_through_the_controller() -> Result<()> {
    let name = "a_host_stores_in_a_bucket_through_the_controller";
    let server = match (lab::obstacle(), S3Server::moto()) {
        (Some(obstacle), _) | (None, Err(obstacle)) => return skip::test(name, &obstacle),
        (None, Ok(server)) => server,
    };
    let lab = Lab::start(&["web1"])?;
    let host = lab.host("web1");
    host.ask("mkdir -p /home/ops && head -c 90M /dev/urandom > /home/ops/ledger && ln -s ledger /home/ops/link")?;
    let sandbox = Sandbox::new("bucket")?;
    let operator = Operator::new(&sandbox.folder("operator")?)?;
    let location = server.location(name);
    let in_environment = |arguments: &[&str]| -> Result<program::Outcome> {
        let mut command: Command = operator.command(arguments)?;
        program::run(command.envs(server.environment()))
    };
    fs::remove_dir(&operator.site)?;
    let site = operator.site.to_str().context("a path")?.to_owned();
    operator.run(["site", "new", &site, "--repository", &location])?.expect(0)?;
    in_environment(&["repo", "init", &location])?.expect(0)?;

    // The controller's environment says nothing of the store: the site does, and names a file for the secret.
    let credentials = sandbox.path("credentials");
    let (id, secret) = (server.access_key, server.secret_key);
    fs::write(&credentials, format!("[own]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"))?;
    fs::set_permissions(&credentials, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let file = operator.site.join("site.yaml");
    let reach = format!(
        "    endpoint: {}\n    region: {}\n    credentials-file: {}\n    profile: own\n",
        server.endpoint,
        server.region,
        credentials.display()
    );
    fs::write(&file, fs::read_to_string(&file)? + &reach)?;
    add_host(&operator, &lab, "web1")?;
    operator.run(["plan", "check", "--site", &site])?.expect(0)?;

    let controller = serve(&operator)?;
    let run = operator.run(["run", "nightly", "--host", "web1", "--watch", "--json"])?.expect(0)?;
    let runs = run.json()?;
    let ended = &runs[0]["ended"];
    ensure!(ended["ending"] == "done" && ended["proof"] == "L3", "{run}");

    let snapshot = ended["snapshots"][0].as_str().context("a snapshot")?;
    let target = sandbox.path("restored");
    let target_text = target.to_str().context("a path")?;
    in_environment(&["restore", "--repo", &location, snapshot, "--target", target_text])?.expect(0)?;
    for folder in ["home", "root"] {
        compare::same(&host.file(&format!("/{folder}")), &target.join(folder))?;
    }
    in_environment(&["repo", "check", &location, "--read-data"])?.expect(0)?;
    let held = host.ask("grep -rl -e moto-does-not -e AKIDSTRONGROOM /var/lib/strongroom /etc/strongroom || true")?;
    ensure!(held.is_empty(), "the host holds credentials: {held}");
    ensure!(controller.stop()?.success());
    Ok(())
}
