//! Logins by a certificate that an authority of the host has signed.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use strongroom_controller::ssh::{Identity, SshError, SshErrorKind, Target, connect};

use crate::login::{Agent, gets_in};
use crate::sshd::{Sshd, keygen, user};

/// A server that lets in whomever `authority` has signed, and no plain key.
fn trusting() -> Result<(Sshd, Target)> {
    let sshd = Sshd::start()?;
    keygen(&sshd.path("authority"), "ed25519", "")?;
    keygen(&sshd.path("signed"), "ed25519", "")?;
    let configuration = fs::read_to_string(sshd.path("sshd_config"))?;
    let trusted = format!("TrustedUserCAKeys {}\n", sshd.path("authority.pub").display());
    fs::write(sshd.path("sshd_config"), configuration + &trusted)?;
    fs::write(sshd.path("authorized_keys"), "")?;
    let target = Target { identities: vec![Identity::from_file(&sshd.path("signed"), None)?], ..sshd.target()? };
    Ok((sshd, target))
}

/// Puts the certificate beside the key.
fn sign(sshd: &Sshd, key: &str, principal: &str, options: &[&str]) -> Result<()> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-I", "controller of test", "-n", principal, "-s"]).arg(sshd.path("authority"));
    ensure!(command.args(options).arg(sshd.path(&format!("{key}.pub"))).status()?.success(), "ssh-keygen signs");
    Ok(())
}

#[tokio::test]
async fn a_certificate_beside_the_key_gets_in() -> Result<()> {
    let (sshd, target) = trusting()?;
    let error = connect(&target).await.err().context("there is none yet")?;
    ensure!(error.kind() == SshErrorKind::Refused, "{error:?}");
    // It counts from the moment that it is there, and no longer than it is good for.
    sign(&sshd, "signed", &user()?, &["-V", "-1h:+1h"])?;
    gets_in(&target).await?;
    for (principal, validity) in [("nobody-of-that-name", "-1h:+1h"), (user()?.as_str(), "-2h:-1h")] {
        sign(&sshd, "signed", principal, &["-V", validity])?;
        let error = connect(&target).await.err().context("it is not good")?;
        let said = error.to_string();
        ensure!(error.kind() == SshErrorKind::Refused && said.contains("controller of test"), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_agents_certificate_gets_in() -> Result<()> {
    let (sshd, mut target) = trusting()?;
    keygen(&sshd.path("rsa"), "rsa", "")?;
    for key in ["signed", "rsa"] {
        sign(&sshd, key, &user()?, &["-V", "-1h:+1h"])?;
        // ssh-add takes the certificate along.
        let agent = Agent::with(&sshd, &[key])?;
        target.identities = vec![Identity::Agent(agent.socket.clone())];
        gets_in(&target).await.with_context(|| key)?;
        drop(agent);
        fs::remove_file(sshd.path("agent"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_let_in_restricted_gets_no_more_by_its_certificate() -> Result<()> {
    let (sshd, target) = trusting()?;
    sign(&sshd, "signed", &user()?, &["-V", "-1h:+1h"])?;
    sshd.authorize("restrict,command=\"echo only this\"", "signed")?;
    let finished = connect(&target).await?.run("id -un", b"").await?;
    ensure!(finished.stdout == b"only this\n", "{finished:?}");
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_no_certificate_of_the_key_is_named() -> Result<()> {
    let (sshd, target) = trusting()?;
    let path = sshd.path("signed-cert.pub");
    fs::write(&path, "no certificate\n")?;
    let error = connect(&target).await.err().context("it cannot be read")?;
    ensure!(error.kind() == SshErrorKind::Local && error.to_string().contains("signed-cert.pub"), "{error:?}");
    sign(&sshd, "signed", &user()?, &[])?;
    fs::copy(&path, sshd.path("user_key-cert.pub"))?;
    let other = Target { identities: vec![Identity::from_file(&sshd.path("user_key"), None)?], ..target };
    let error = connect(&other).await.err().context("it is another key's")?;
    ensure!(matches!(error, SshError::OtherCertificate { .. }) && !error.retry(), "{error:?}");
    Ok(())
}
