//! Commands, and streams behind a greeting.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use strongroom_controller::ssh::{Connection, Exit, SshError, SshErrorKind, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::sshd::Sshd;

/// No state in these tests takes longer to come about.
const PATIENCE: Duration = Duration::from_secs(60);

async fn fails_to_open(connection: &Connection, command: &str) -> SshError {
    connection.open(command).await.err().expect("nobody greets")
}

#[tokio::test]
async fn commands_get_input_and_give_output_and_a_status() -> Result<()> {
    let sshd = Sshd::start()?;
    let connection = connect(&sshd.target()?).await?;
    let finished = connection.run("cat; echo oh >&2; exit 3", b"hello").await?;
    ensure!(
        finished.exit == Exit::Code(3) && finished.stdout == b"hello" && finished.complaint() == "oh",
        "{finished:?}"
    );
    let finished = connection.run("kill -KILL $$", b"").await?;
    ensure!(finished.exit == Exit::Signal("KILL".to_owned()), "{finished:?}");
    // One that does not want its input, however much there is, ends all the same.
    let finished = timeout(PATIENCE, connection.run("exit 0", &vec![0; 32 << 20])).await??;
    ensure!(finished.success(), "{finished:?}");
    let error = timeout(PATIENCE, connection.run("yes", b"")).await?.err().context("too much")?;
    ensure!(matches!(error, SshError::TooMuchOutput { .. }), "{error:?}");
    // Channels that were left are closed: sshd allows ten at a time.
    for _ in 0..20 {
        ensure!(connection.run("true", b"").await?.success());
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_carries_64_mib_both_ways_at_once() -> Result<()> {
    const BYTES: usize = 64 << 20;
    let sshd = Sshd::start()?;
    let stream = connect(&sshd.target()?).await?.open(&sshd.worker()?).await?;
    let (mut from, mut to) = tokio::io::split(stream);
    // No two pieces are alike, so that a lost, doubled or swapped one shows.
    let sent: Vec<u8> =
        (0..BYTES as u64 / 8).flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    let expected = blake3::hash(&sent);
    let sending = async {
        to.write_all(&sent).await?;
        to.shutdown().await
    };
    let receiving = async {
        let mut received = Vec::with_capacity(BYTES);
        from.read_to_end(&mut received).await.map(|_| received)
    };
    let (sent, received) = tokio::join!(sending, receiving);
    sent?;
    let received = received?;
    ensure!(received.len() == BYTES && blake3::hash(&received) == expected);
    Ok(())
}

#[tokio::test]
async fn streams_that_are_dropped_make_room_for_others() -> Result<()> {
    let sshd = Sshd::start()?;
    let connection = connect(&sshd.target()?).await?;
    let worker = sshd.worker()?;
    for _ in 0..30 {
        let mut stream = connection.open(&worker).await?;
        stream.write_all(b"hello").await?;
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await?;
        ensure!(&hello == b"hello");
    }
    // Ten at a time are what sshd allows; the eleventh may be tried again later.
    let mut streams = Vec::new();
    let error = loop {
        match connection.open(&worker).await {
            Ok(stream) => streams.push(stream),
            Err(error) => break error,
        }
    };
    ensure!(
        streams.len() == 10 && matches!(error, SshError::Busy { .. }) && error.retry(),
        "{}: {error:?}",
        streams.len()
    );
    Ok(())
}

#[tokio::test]
async fn noise_before_the_greeting_is_quoted() -> Result<()> {
    let sshd = Sshd::start()?;
    let connection = connect(&sshd.target()?).await?;
    let noisy = sshd.program("noisy", "echo 'Welcome to web1!'\nprintf 'strongroom-worker 1\\n'\nexec cat\n")?;
    // What comes behind the noise is a greeting, so that there is nothing more to wait for.
    let opening = connection.open_within(&noisy, 10 * PATIENCE);
    let error = timeout(PATIENCE, opening).await?.err().context("noise")?;
    ensure!(error.to_string().contains("answered \"Welcome to web1!\" instead of the worker's greeting"), "{error}");
    ensure!(error.kind() == SshErrorKind::NoWorker && !error.retry());
    // Noise without an end is no reason to wait for one, nor noise that is more than anybody reads.
    let error =
        connection.open_within("echo what; sleep 600", Duration::from_millis(500)).await.err().context("noise")?;
    ensure!(matches!(&error, SshError::NoGreeting { heard, .. } if heard == "what"), "{error:?}");
    let error = timeout(PATIENCE, fails_to_open(&connection, "yes noise")).await?;
    ensure!(matches!(&error, SshError::NoGreeting { heard, .. } if heard.len() <= 4096), "{error:?}");
    let error = fails_to_open(&connection, "printf 'strongroom-worker 2\\n'; sleep 600").await;
    ensure!(matches!(&error, SshError::OtherGreeting { version, .. } if version == "2") && !error.retry(), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_missing_worker_is_told_from_one_that_does_not_serve() -> Result<()> {
    let sshd = Sshd::start()?;
    let connection = connect(&sshd.target()?).await?;
    let error = fails_to_open(&connection, "/usr/local/bin/no-such-worker connect").await;
    ensure!(error.kind() == SshErrorKind::NoWorker && !error.retry(), "{error:?}");
    ensure!(error.to_string().starts_with("no worker is installed on 127.0.0.1:"), "{error}");
    ensure!(error.to_string().contains("no-such-worker"), "the shell's words are in it: {error}");
    let error = fails_to_open(&connection, "echo 'the daemon is not running' >&2; exit 1").await;
    ensure!(matches!(error, SshError::WorkerDown { .. }) && error.retry(), "{error:?}");
    ensure!(error.to_string().contains("the daemon is not running"), "{error}");
    let error = connection.open_within("sleep 600", Duration::from_millis(500)).await.err().context("silence")?;
    ensure!(error.kind() == SshErrorKind::TimedOut && error.retry(), "{error:?}");
    Ok(())
}

/// What a stream says when its server is gone.
async fn lost(sshd: &Sshd, end: impl FnOnce(&Sshd)) -> Result<()> {
    let connection = connect(&sshd.target()?).await?;
    let mut stream = connection.open(&sshd.worker()?).await?;
    stream.write_all(b"hello").await?;
    stream.read_exact(&mut [0; 5]).await?;
    end(sshd);
    let error = timeout(PATIENCE, stream.read(&mut [0; 5])).await?.err().context("an end is no end of data")?;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<SshError>());
    ensure!(inner.is_some_and(SshError::retry), "{error:?}");
    ensure!(connection.is_closed());
    let error = connection.run("true", b"").await.err().context("the link is gone")?;
    ensure!(error.kind() == SshErrorKind::Lost && error.retry(), "{error:?}");
    let error = connection.open("true").await.err().context("the link is gone")?;
    ensure!(error.kind() == SshErrorKind::Lost && error.retry(), "{error:?}");
    // And there is a new one at once.
    ensure!(connect(&sshd.target()?).await?.run("true", b"").await?.success());
    Ok(())
}

#[tokio::test]
async fn a_killed_server_and_a_cut_link_are_losses() -> Result<()> {
    let sshd = Sshd::start()?;
    lost(&sshd, Sshd::kill).await?;
    lost(&sshd, Sshd::cut).await
}

#[tokio::test]
async fn a_command_whose_link_is_lost_did_not_end() -> Result<()> {
    let sshd = Sshd::start()?;
    let connection = connect(&sshd.target()?).await?;
    let begun = sshd.path("begun");
    let command = format!("touch {}; sleep 600", begun.display());
    let running = tokio::spawn({
        let connection = connection.clone();
        async move { connection.run(&command, b"").await }
    });
    timeout(PATIENCE, async {
        while !begun.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await?;
    sshd.kill();
    let error = timeout(PATIENCE, running).await??.err().context("it did not end")?;
    ensure!(error.kind() == SshErrorKind::Lost && error.retry(), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_closed_connection_is_closed_for_every_clone() -> Result<()> {
    let sshd = Sshd::start()?;
    let connection = connect(&sshd.target()?).await?;
    let other = connection.clone();
    ensure!(!other.is_closed());
    connection.close().await;
    timeout(PATIENCE, async {
        while !other.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_connection_that_nobody_holds_ends() -> Result<()> {
    let sshd = Sshd::start()?;
    let mut target = sshd.target()?;
    target.jump = Some(Box::new(sshd.target()?));
    let connection = connect(&target).await?;
    let stream = connection.open(&sshd.worker()?).await?;
    drop(connection);
    // The stream holds it, and it its jump host's.
    ensure!(!stream.connection().is_closed() && sshd.running() == 2);
    drop(stream);
    timeout(PATIENCE, async {
        while sshd.running() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .with_context(|| format!("{} servers still run", sshd.running()))
}
