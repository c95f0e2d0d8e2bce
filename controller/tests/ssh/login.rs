//! Who gets in, and what is said when nobody does.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use strongroom_controller::ssh::{Identity, SshError, SshErrorKind, Target, connect, ensure_key};

use crate::sshd::{Sshd, keygen};

/// An agent of this test.
pub(crate) struct Agent {
    process: Child,
    pub(crate) socket: PathBuf,
}

impl Agent {
    /// That holds these keys of the server's folder.
    pub(crate) fn with(sshd: &Sshd, keys: &[&str]) -> Result<Self> {
        let socket = sshd.path("agent");
        let mut process = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped()).spawn()?;
        // Its first words come when the socket is there.
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("its output")?).read_line(&mut line)?;
        let agent = Self { process, socket };
        for key in keys {
            let added = Command::new("ssh-add").arg(sshd.path(key)).env("SSH_AUTH_SOCK", &agent.socket).output()?;
            ensure!(added.status.success(), "ssh-add: {}", String::from_utf8_lossy(&added.stderr));
        }
        Ok(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) async fn gets_in(target: &Target) -> Result<()> {
    let connection = connect(target).await?;
    let finished = connection.run("id -un", b"").await?;
    ensure!(finished.stdout.trim_ascii() == target.user.as_bytes(), "{finished:?}");
    connection.close().await;
    Ok(())
}

#[tokio::test]
async fn an_agent_and_an_encrypted_key_get_in() -> Result<()> {
    let sshd = Sshd::start()?;
    keygen(&sshd.path("other"), "ed25519", "")?;
    keygen(&sshd.path("rsa"), "rsa", "")?;
    let agent = Agent::with(&sshd, &["other", "user_key", "rsa"])?;
    let mut target = sshd.target()?;
    target.identities = vec![Identity::Agent(agent.socket.clone())];
    gets_in(&target).await?;
    // The agent signs by RSA though this program does not.
    sshd.authorize("", "rsa")?;
    gets_in(&target).await?;

    keygen(&sshd.path("locked"), "ed25519", "open sesame")?;
    sshd.authorize("", "locked")?;
    target.identities = vec![Identity::from_file(&sshd.path("locked"), Some("open sesame"))?];
    gets_in(&target).await?;
    for passphrase in [None, Some("wrong")] {
        let error = Identity::from_file(&sshd.path("locked"), passphrase).expect_err("it is locked");
        ensure!(error.kind() == SshErrorKind::Local && error.to_string().contains("locked"), "{error:?}");
    }
    let error = Identity::from_file(&sshd.path("rsa"), None).expect_err("no RSA");
    ensure!(matches!(error, SshError::RsaKeyFile { .. }) || error.kind() == SshErrorKind::Local, "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_refused_login_names_what_was_tried() -> Result<()> {
    let sshd = Sshd::start()?;
    keygen(&sshd.path("other"), "ed25519", "")?;
    let mut target = sshd.target()?;
    target.identities = vec![Identity::from_file(&sshd.path("other"), None)?];
    let error = connect(&target).await.err().expect("nobody gets in");
    ensure!(error.kind() == SshErrorKind::Refused && !error.retry(), "{error:?}");
    ensure!(error.to_string().contains(&sshd.fingerprint("other")?), "{error}");
    // The right key behind a wrong one is found.
    target.identities.push(Identity::from_file(&sshd.path("user_key"), None)?);
    gets_in(&target).await?;
    target.identities.clear();
    let error = connect(&target).await.err().expect("nobody gets in");
    ensure!(error.kind() == SshErrorKind::Refused, "{error:?}");
    target.identities = vec![Identity::Agent(sshd.path("no-agent"))];
    let error = connect(&target).await.err().expect("nobody gets in");
    ensure!(error.kind() == SshErrorKind::Local, "{error:?}");
    Ok(())
}

#[tokio::test]
async fn more_keys_than_the_host_wants_to_see_are_a_refusal() -> Result<()> {
    let sshd = Sshd::with_options("MaxAuthTries 3")?;
    let mut target = sshd.target()?;
    target.identities.clear();
    for at in 0..6 {
        let name = format!("other{at}");
        keygen(&sshd.path(&name), "ed25519", "")?;
        target.identities.push(Identity::from_file(&sshd.path(&name), None)?);
    }
    let error = connect(&target).await.err().expect("nobody gets in");
    ensure!(error.kind() == SshErrorKind::Refused, "{error:?}");
    Ok(())
}

#[tokio::test]
async fn what_does_not_answer_is_tried_again() -> Result<()> {
    let mut sshd = Sshd::start()?;
    let mut target = sshd.target()?;
    sshd.stop();
    let error = connect(&target).await.err().expect("nobody is there");
    ensure!(error.kind() == SshErrorKind::Unreachable && error.retry(), "{error:?}");
    // Somebody who accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    target.port = silent.local_addr()?.port();
    target.connect_timeout = Duration::from_millis(200);
    let error = connect(&target).await.err().expect("nobody speaks");
    ensure!(error.kind() == SshErrorKind::TimedOut && error.retry(), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_jump_host_leads_further_and_is_as_strict() -> Result<()> {
    let (front, back) = (Sshd::start()?, Sshd::start()?);
    let mut target = back.target()?;
    target.jump = Some(Box::new(front.target()?));
    gets_in(&target).await?;
    ensure!(front.log().contains("direct-tcpip"), "it went through the jump host");
    // Neither host is trusted for the other's sake.
    front.know_hosts(&[])?;
    let error = connect(&target).await.err().context("the jump host is unknown")?;
    let SshError::Jump { source, .. } = &error else { bail!("{error:?}") };
    ensure!(matches!(**source, SshError::UnknownHost { .. }) && error.kind() == SshErrorKind::HostKey, "{error:?}");
    front.know_hosts(&["host_ed25519"])?;
    back.know_hosts(&[])?;
    ensure!(connect(&target).await.err().is_some_and(|error| matches!(&error, SshError::UnknownHost { .. })));
    back.know_hosts(&["host_ed25519"])?;
    // What the jump host cannot reach may come back; what it will not reach does not.
    let port = target.port;
    target.port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let error = connect(&target).await.err().expect("nobody is there");
    ensure!(matches!(error, SshError::UnreachableBehind { .. }) && error.retry(), "{error:?}");
    target.port = port;
    front.authorize("restrict", "user_key")?;
    let error = connect(&target).await.err().expect("it may not");
    ensure!(matches!(error, SshError::RefusedBehind { .. }) && !error.retry(), "{error:?}");
    // As an operator would set it up: this one place, and nothing else.
    let permitting = |port: u16| format!("restrict,port-forwarding,permitopen=\"127.0.0.1:{port}\"");
    front.authorize(&permitting(port), "user_key")?;
    gets_in(&target).await?;
    front.authorize(&permitting(front.port()), "user_key")?;
    let error = connect(&target).await.err().context("it may only go elsewhere")?;
    ensure!(matches!(error, SshError::RefusedBehind { .. }) && !error.retry(), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn the_controllers_key_is_made_once_and_for_its_owner_alone() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let sshd = Sshd::start()?;
    let path = sshd.path("state/controller_key");
    let made = ensure_key(&path).await?;
    let text = std::fs::read(&path)?;
    ensure!(std::fs::metadata(&path)?.permissions().mode() & 0o777 == 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
    let again = ensure_key(&path).await?;
    ensure!(again.public() == made.public() && std::fs::read(&path)? == text);
    ensure!(std::fs::metadata(&path)?.permissions().mode() & 0o777 == 0o600);
    ensure!(std::fs::read_dir(sshd.path("state"))?.count() == 1, "no temporary file is left");
    std::fs::write(sshd.path("made.pub"), made.public_line())?;
    ensure!(made.fingerprint() == sshd.fingerprint("made")?);
    sshd.authorize("", "made")?;
    let mut target = sshd.target()?;
    target.identities = vec![made.identity()];
    gets_in(&target).await
}
