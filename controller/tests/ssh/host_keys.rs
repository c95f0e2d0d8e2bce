//! Which servers are talked to at all.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use strongroom_controller::ssh::{HostKeys, ShownKey, SshError, SshErrorKind, connect, known_hosts, scan};

use crate::sshd::{Sshd, keygen};

/// The error, and that it is a person's turn.
async fn refused(sshd: &Sshd) -> Result<SshError> {
    let error = connect(&sshd.target()?).await.err().expect("nobody is trusted");
    ensure!(error.kind() == SshErrorKind::HostKey && !error.retry(), "{error:?}");
    Ok(error)
}

#[tokio::test]
async fn a_recorded_key_is_trusted_of_whichever_kind() -> Result<()> {
    let sshd = Sshd::start()?;
    for keys in [&["host_ed25519", "host_ecdsa"][..], &["host_ed25519"], &["host_ecdsa"]] {
        sshd.know_hosts(keys)?;
        let finished = connect(&sshd.target()?).await?.run("echo hello", b"").await?;
        ensure!(finished.success() && finished.stdout == b"hello\n", "{finished:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_host_is_shown_with_its_fingerprint() -> Result<()> {
    let sshd = Sshd::start()?;
    fs::remove_file(sshd.path("known_hosts"))?;
    let text = refused(&sshd).await?.to_string();
    let place = format!("127.0.0.1:{}", sshd.port());
    for part in [place.as_str(), "is not known", &sshd.fingerprint("host_ed25519")?, "strongroom host add"] {
        ensure!(text.contains(part), "{part:?} is missing in {text:?}");
    }
    // Another port's key, and one that is negated, are no keys of this host.
    let key = sshd.public_line("host_ed25519")?;
    sshd.know(&format!("127.0.0.1 {key}\n*,![127.0.0.1]:* {key}\nnot a line\n"))?;
    let text = refused(&sshd).await?.to_string();
    ensure!(text.contains("is not known") && text.contains("its line 3 cannot be understood"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_changed_key_is_shown_with_both_fingerprints_and_the_line() -> Result<()> {
    let sshd = Sshd::start()?;
    keygen(&sshd.path("other"), "ed25519", "")?;
    sshd.know(&format!("# a comment\n\n[127.0.0.1]:{} {}\n", sshd.port(), sshd.public_line("other")?))?;
    let error = refused(&sshd).await?;
    ensure!(matches!(error, SshError::ChangedKey { .. }), "{error:?}");
    let text = error.to_string();
    let line = format!("{}:3", sshd.path("known_hosts").display());
    for part in ["has changed", &sshd.fingerprint("host_ed25519")?, &sshd.fingerprint("other")?, &line] {
        ensure!(text.contains(part), "{part:?} is missing in {text:?}");
    }
    // The second of two keys of one kind is as good as the first.
    let known = fs::read_to_string(sshd.path("known_hosts"))?;
    sshd.know(&format!("{known}[127.0.0.1]:{} {}\n", sshd.port(), sshd.public_line("host_ed25519")?))?;
    connect(&sshd.target()?).await?.close().await;
    Ok(())
}

#[tokio::test]
async fn a_revoked_key_is_refused_though_it_is_recorded() -> Result<()> {
    let sshd = Sshd::start()?;
    let key = sshd.public_line("host_ed25519")?;
    sshd.know(&format!("[127.0.0.1]:{} {key}\n@revoked * {key}\n", sshd.port()))?;
    let error = refused(&sshd).await?;
    ensure!(matches!(&error, SshError::RevokedKey { revoked, .. } if revoked.ends_with("known_hosts:2")), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_host_without_a_key_of_a_recorded_kind_is_refused() -> Result<()> {
    let sshd = Sshd::with_options("HostKeyAlgorithms ecdsa-sha2-nistp256")?;
    sshd.know_hosts(&["host_ed25519"])?;
    let error = refused(&sshd).await?;
    ensure!(matches!(error, SshError::NoRecordedKind { .. }), "{error:?}");
    keygen(&sshd.path("rsa"), "rsa", "")?;
    sshd.know_hosts(&["rsa"])?;
    let error = refused(&sshd).await?;
    ensure!(matches!(error, SshError::UncheckedKind { .. }), "{error:?}");
    Ok(())
}

/// A server whose host key is signed by `authority` with these options of ssh-keygen.
fn certified(options: &[&str]) -> Result<Sshd> {
    // The certificate is made once the server's folder is there; sshd reads its configuration anew for each connection.
    let sshd = Sshd::start()?;
    keygen(&sshd.path("authority"), "ed25519", "")?;
    let signed = Command::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(sshd.path("authority"))
        .args(["-I", "test"])
        .args(options)
        .arg(sshd.path("host_ed25519.pub"))
        .status()?;
    ensure!(signed.success(), "ssh-keygen signs");
    let configuration = fs::read_to_string(sshd.path("sshd_config"))?;
    let certificate = sshd.path("host_ed25519-cert.pub");
    fs::write(sshd.path("sshd_config"), format!("{configuration}HostCertificate {}\n", certificate.display()))?;
    sshd.know(&format!("@cert-authority [127.0.0.*]:* {}\n", sshd.public_line("authority")?))?;
    Ok(sshd)
}

#[tokio::test]
async fn a_certificate_of_a_recorded_authority_is_trusted() -> Result<()> {
    let sshd = certified(&["-h", "-n", "web1,127.0.0.1", "-V", "-1h:+1h"])?;
    connect(&sshd.target()?).await?.close().await;
    // Not so one of another authority, or one that is revoked.
    sshd.know(&format!("@cert-authority * {}\n", sshd.public_line("user_key")?))?;
    refused(&sshd).await?;
    let authority = sshd.public_line("authority")?;
    sshd.know(&format!("@cert-authority * {authority}\n@revoked * {authority}\n"))?;
    let error = refused(&sshd).await?;
    ensure!(matches!(error, SshError::RevokedKey { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_certificate_for_something_else_is_refused() -> Result<()> {
    let others =
        [&["-h", "-n", "web1"][..], &["-h"], &["-h", "-n", "127.0.0.1", "-V", "-2h:-1h"], &["-n", "127.0.0.1"]];
    for options in others {
        let sshd = certified(options)?;
        let error = refused(&sshd).await?;
        // sshd does not even show one for users.
        let for_user = !options.contains(&"-h");
        ensure!(for_user || matches!(error, SshError::BadCertificate { .. }), "{options:?}: {error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_scan_shows_every_key_and_records_nothing() -> Result<()> {
    let sshd = Sshd::start()?;
    let keys = scan("127.0.0.1", sshd.port(), None, Duration::from_secs(20)).await?;
    let shown: Vec<String> = keys.iter().map(|key| ShownKey::of(key).fingerprint).collect();
    ensure!(shown == [sshd.fingerprint("host_ed25519")?, sshd.fingerprint("host_ecdsa")?], "{shown:?}");
    // What was confirmed is good for a connection, and can be recorded, by which OpenSSH knows the host too.
    let mut target = sshd.target()?;
    target.known_hosts = HostKeys::Confirmed(keys.clone());
    connect(&target).await?.close().await;
    let file = sshd.path("recorded");
    ensure!(known_hosts::record(&file, "127.0.0.1", sshd.port(), &keys).await?);
    ensure!(
        !known_hosts::record(&file, "127.0.0.1", sshd.port(), &keys).await?,
        "a second time there is nothing to do"
    );
    target.known_hosts = HostKeys::File(file.clone());
    connect(&target).await?.close().await;
    let found = Command::new("ssh-keygen")
        .arg("-F")
        .arg(format!("[127.0.0.1]:{}", sshd.port()))
        .arg("-f")
        .arg(&file)
        .output()?;
    ensure!(String::from_utf8(found.stdout)?.lines().filter(|line| !line.starts_with('#')).count() == 2);
    ensure!(known_hosts::forget(&file, "127.0.0.1", sshd.port()).await?);
    ensure!(fs::read(&file)?.is_empty());
    Ok(())
}
