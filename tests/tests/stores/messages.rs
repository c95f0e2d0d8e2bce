//! What goes wrong with a store is told in one sentence, with what to do, and without a secret.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, ensure};
use strongroom_tests::program::{self, Outcome};
use strongroom_tests::s3::S3Server;
use strongroom_tests::{Client, Sandbox, skip};

use crate::program::{client_at, client_on};
use crate::sshd::Sshd;

/// Runs a command that has to fail, and checks code, reason and advice.
fn check(client: &Client, words: &[&str], code: i32, why: &str, next: &str) -> Result<Outcome> {
    let mut command = client.program()?;
    command.args(words).arg(&client.repository);
    let outcome = program::run(&mut command)?.expect(code)?;
    let line = |start: &str| outcome.stderr.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or("");
    ensure!(line("why:").contains(why) && !line("why:").contains("http status"), "expected '{why}' from\n{outcome}");
    ensure!(format!("{}{}", line("next:"), line("why:")).contains(next), "expected '{next}' from\n{outcome}");
    ensure!(outcome.stderr.lines().count() <= 3, "too many words:\n{outcome}");
    Ok(outcome)
}

const PROBE: [&str; 2] = ["repo", "probe"];

/// Garage checks signatures, moto does not.
#[test]
fn wrong_credentials_are_told() -> Result<()> {
    let name = "wrong_credentials_are_told";
    let server = match S3Server::garage() {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    let sandbox = Sandbox::new(name)?;
    let client = client_on(server, &sandbox, name);
    let wrong_secret = client.with_environment([("AWS_SECRET_ACCESS_KEY", "not-the-secret".into())]);
    for words in [&PROBE[..], &["repo", "init"]] {
        let outcome = check(&wrong_secret, words, 6, "does not accept these credentials", "check the access key")?;
        ensure!(!outcome.text().contains("not-the-secret"), "{outcome}");
    }
    let unknown = client.with_environment([("AWS_ACCESS_KEY_ID", "GK000000000000000000000000".into())]);
    check(&unknown, &PROBE, 6, "credentials", "access key")?;
    Ok(())
}

#[test]
fn a_missing_bucket_is_told() -> Result<()> {
    let name = "a_missing_bucket_is_told";
    for server in [S3Server::moto(), S3Server::garage()] {
        let server = match server {
            Ok(server) => server,
            Err(reason) => return skip::test(name, &reason),
        };
        let sandbox = Sandbox::new(name)?;
        let client = client_on(server, &sandbox, name).at(Path::new("s3://no-such-bucket/main"));
        for words in [&PROBE[..], &["repo", "init"], &["repo", "check"]] {
            check(&client, words, 7, "the bucket does not exist", "make the bucket")?;
        }
    }
    Ok(())
}

#[test]
fn an_endpoint_that_nobody_listens_at_is_told() -> Result<()> {
    let sandbox = Sandbox::new("no endpoint")?;
    let client = sandbox.client("client").at(Path::new("s3://bucket/main")).with_environment([
        ("STRONGROOM_S3_ENDPOINT", "http://127.0.0.1:1".into()),
        ("AWS_ACCESS_KEY_ID", "id".into()),
        ("AWS_SECRET_ACCESS_KEY", "very-secret".into()),
    ]);
    let outcome = check(
        &client,
        &PROBE,
        5,
        "cannot connect to http://127.0.0.1:1: Connection refused",
        "check STRONGROOM_S3_ENDPOINT",
    )?;
    ensure!(!outcome.text().contains("very-secret"), "{outcome}");
    Ok(())
}

#[test]
fn missing_and_careless_credentials_are_told() -> Result<()> {
    let sandbox = Sandbox::new("no credentials")?;
    let client = sandbox.client("client").at(Path::new("s3://bucket/main"));
    check(&client, &PROBE, 6, "there are no credentials for S3", "AWS_ACCESS_KEY_ID")?;
    let file = sandbox.path("credentials");
    std::fs::write(&file, "[default]\naws_access_key_id = id\naws_secret_access_key = very-secret\n")?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
    let careless = client.with_environment([
        ("STRONGROOM_S3_CREDENTIALS_FILE", file.display().to_string()),
        ("STRONGROOM_S3_ENDPOINT", "http://127.0.0.1:1".into()),
    ]);
    let outcome = check(&careless, &PROBE, 6, "its mode is 0644", "chmod 600")?;
    ensure!(!outcome.text().contains("very-secret"), "{outcome}");
    let odd = client.at(Path::new("s3://key:very-secret@bucket/main"));
    let outcome = check(&odd, &PROBE, 2, "credentials do not belong in a location", "take them out")?;
    ensure!(!outcome.text().contains("very-secret"), "{outcome}");
    Ok(())
}

#[test]
fn an_unknown_or_closed_sftp_server_is_told() -> Result<()> {
    let sandbox = Sandbox::new("sftp messages")?;
    let mut sshd = Sshd::start()?;
    let client = client_at(&sshd, &sandbox)?;
    sshd.know("")?;
    let outcome = check(&client, &PROBE, 6, "is not known: it shows", "ssh-keyscan")?;
    ensure!(outcome.stderr.contains("SHA256:"), "{outcome}");
    sshd.know_hosts(&["host_ed25519"])?;
    sshd.authorize("", "host_ecdsa")?;
    check(&client, &PROBE, 6, "lets nobody in as", "authorized_keys")?;
    sshd.stop();
    check(&client, &PROBE, 5, "cannot be reached", "sshd")?;
    Ok(())
}

/// The file and the command are as good as the environment.
#[test]
fn credentials_come_from_a_file_and_from_a_command() -> Result<()> {
    let name = "credentials_come_from_a_file_and_from_a_command";
    let server = match S3Server::garage() {
        Ok(server) => server,
        Err(reason) => return skip::test(name, &reason),
    };
    let sandbox = Sandbox::new(name)?;
    let client = sandbox.client("client").at(Path::new(&server.location(name)));
    let client = client.with_environment(server.environment().into_iter().filter(|(name, _)| !name.contains("KEY")));
    let (id, secret) = (server.access_key, server.secret_key);
    let file = sandbox.path("credentials");
    std::fs::write(&file, format!("[other]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"))?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    let by_file = [("STRONGROOM_S3_CREDENTIALS_FILE", file.display().to_string()), ("AWS_PROFILE", "other".into())];
    let by_command = [("STRONGROOM_S3_CREDENTIALS_COMMAND", format!("cat '{}'", file.display()))];
    for client in [client.with_environment(by_file), client.with_environment(by_command)] {
        let mut command = client.program()?;
        command.args(["repo", "probe"]).arg(&client.repository);
        program::run(&mut command)?.expect(4)?;
    }
    Ok(())
}
