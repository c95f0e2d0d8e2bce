//! Files to a host.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result, ensure};
use strongroom_controller::ssh::{SshError, SshErrorKind, connect};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::sshd::Sshd;

/// A source that fails at its end.
struct Failing;

impl AsyncRead for Failing {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("the disk is bad")))
    }
}

/// Both ways do the same.
async fn uploads(sshd: &Sshd) -> Result<()> {
    let connection = connect(&sshd.target()?).await?;
    let folder = sshd.path("a folder");
    fs::create_dir(&folder)?;
    let path = folder.join("it's $a file");
    let name = path.to_str().context("text")?;
    let content: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    ensure!(connection.upload(&content[..], name, 0o750).await? == content.len() as u64);
    ensure!(fs::read(&path)? == content);
    ensure!(fs::metadata(&path)?.permissions().mode() & 0o7777 == 0o750);

    // Another takes its place, and an empty one.
    ensure!(connection.upload(&b"shorter"[..], name, 0o600).await? == 7);
    ensure!(fs::read(&path)? == b"shorter" && fs::metadata(&path)?.permissions().mode() & 0o7777 == 0o600);
    ensure!(connection.upload(&b""[..], name, 0o600).await? == 0);
    ensure!(fs::read(&path)?.is_empty());

    // What does not get there whole leaves what was there.
    let error = connection.upload((&content[..]).chain(Failing), name, 0o600).await.err().context("it fails")?;
    ensure!(matches!(error, SshError::UploadSource { .. }) && error.kind() == SshErrorKind::Local, "{error:?}");
    ensure!(fs::read(&path)?.is_empty());
    let missing = folder.join("missing/file");
    let error =
        connection.upload(&b"x"[..], missing.to_str().context("text")?, 0o600).await.err().context("it fails")?;
    ensure!(matches!(error, SshError::Upload { .. }) && !error.retry(), "{error:?}");
    let full = connection.upload(&content[..], "/dev/full/x", 0o600).await.err().context("it fails")?;
    ensure!(full.kind() == SshErrorKind::Host, "{full:?}");
    let left: Vec<_> = fs::read_dir(&folder)?.collect();
    ensure!(left.len() == 1, "{left:?}");
    Ok(())
}

#[tokio::test]
async fn by_sftp() -> Result<()> {
    let sshd = Sshd::start()?;
    uploads(&sshd).await?;
    ensure!(sshd.log().contains("Starting session: subsystem 'sftp'"), "it was SFTP");
    Ok(())
}

#[tokio::test]
async fn by_cat_where_sftp_is_off() -> Result<()> {
    uploads(&Sshd::with_options("Subsystem sftp /nonexistent/sftp-server")?).await
}

#[tokio::test]
async fn by_cat_where_a_shell_is_noisy_on_sftp() -> Result<()> {
    let noisy = Sshd::start()?;
    let program = noisy.program("noisy", "echo Welcome\nexec /usr/lib/openssh/sftp-server\n")?;
    uploads(&Sshd::with_options(&format!("Subsystem sftp {program}"))?).await
}
