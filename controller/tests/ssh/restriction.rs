//! The proof that a key can do nothing but start the worker: it passes with a restricted key, and is seen to fail with others.

use std::os::unix::net::UnixListener;

use anyhow::{Result, ensure};
use strongroom_controller::install::proof::{Attempt, Outcome, prove};

use crate::sshd::Sshd;

async fn attempts(sshd: &Sshd, options: &str) -> Result<Vec<Attempt>> {
    sshd.authorize(options, "user_key")?;
    let socket = sshd.path("socket");
    let _ = std::fs::remove_file(&socket);
    let _listener = UnixListener::bind(&socket)?;
    let attempts = prove(&sshd.target()?, &[&socket.display().to_string()]).await?;
    for attempt in &attempts {
        if let Outcome::Allowed(how) = &attempt.outcome
            && let Some(left) = how.strip_prefix("the host listened on /")
        {
            std::fs::remove_file(format!("/{left}"))?;
        }
    }
    Ok(attempts)
}

fn not_refused(attempts: &[Attempt]) -> Vec<&'static str> {
    attempts.iter().filter(|attempt| !attempt.outcome.refused()).map(|attempt| attempt.what).collect()
}

#[tokio::test]
async fn a_restricted_key_is_proven() -> Result<()> {
    let sshd = Sshd::start()?;
    let attempts = attempts(&sshd, &format!("restrict,command=\"{}\"", sshd.worker()?)).await?;
    ensure!(attempts.len() == 10 && not_refused(&attempts).is_empty(), "{attempts:#?}");
    Ok(())
}

#[tokio::test]
async fn an_unrestricted_key_is_found_out() -> Result<()> {
    let sshd = Sshd::start()?;
    let attempts = attempts(&sshd, "").await?;
    let allowed: Vec<&str> = attempts
        .iter()
        .filter(|attempt| matches!(attempt.outcome, Outcome::Allowed(_)))
        .map(|attempt| attempt.what)
        .collect();
    // X11 needs a program beside sshd that a test machine need not have.
    let expected = [
        "run a command",
        "open a shell",
        "use SFTP",
        "get a terminal",
        "forward an agent",
        "connect to a port through the host",
        "listen on a port of the host",
        "listen on a socket of the host",
        "connect to a socket of the host",
    ];
    for what in expected {
        ensure!(allowed.contains(&what), "{what} is not among {attempts:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn each_single_right_is_found_out() -> Result<()> {
    let sshd = Sshd::start()?;
    let worker = sshd.worker()?;
    let forwards = [
        "connect to a port through the host",
        "listen on a port of the host",
        "listen on a socket of the host",
        "connect to a socket of the host",
    ];
    let commands = ["run a command", "open a shell", "use SFTP"];
    let rows: [(String, &[&str]); 5] = [
        (format!("restrict,port-forwarding,command=\"{worker}\""), &forwards),
        (format!("restrict,agent-forwarding,command=\"{worker}\""), &["forward an agent"]),
        (format!("restrict,pty,command=\"{worker}\""), &["get a terminal"]),
        ("restrict".to_owned(), &commands),
        // A command that lets through what was asked for.
        ("restrict,command=\"eval \\\"$SSH_ORIGINAL_COMMAND\\\"\"".to_owned(), &commands),
    ];
    for (options, expected) in rows {
        let attempts = attempts(&sshd, &options).await?;
        ensure!(not_refused(&attempts) == expected, "{options}: {attempts:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_told_is_not_proven() -> Result<()> {
    let sshd = Sshd::start()?;
    let attempts = attempts(&sshd, "restrict,command=\"echo what\"").await?;
    let unclear: Vec<&str> = attempts
        .iter()
        .filter(|attempt| matches!(attempt.outcome, Outcome::Unclear(_)))
        .map(|attempt| attempt.what)
        .collect();
    ensure!(unclear == ["run a command", "open a shell", "use SFTP"], "{attempts:#?}");
    // Without a socket to try there is no proof about sockets.
    sshd.authorize(&format!("restrict,command=\"{}\"", sshd.worker()?), "user_key")?;
    let attempts = prove(&sshd.target()?, &[]).await?;
    ensure!(not_refused(&attempts) == ["connect to a socket of the host"], "{attempts:#?}");
    Ok(())
}
