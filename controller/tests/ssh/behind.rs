//! A host that is reached through another one gets its worker, and is served, that way alone.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use strongroom_controller::install::{Done, InstallError, RemoveOrder, State, UpgradeOrder, remove, upgrade};
use strongroom_controller::ssh::{PublicKey, ShownKey, SshError, SshErrorKind, Target, connect, scan};

use crate::installing::{Setting, can_run, proven};
use crate::sshd::{Sshd, keygen};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the README tells the operator of a jump host to write.
fn permit(front: &Sshd, place: &str, key: &str) -> Result<()> {
    front.authorize(&format!("restrict,port-forwarding,permitopen=\"{place}\""), key)
}

async fn seen(back: &Sshd, through: &Target) -> Result<Vec<PublicKey>, SshError> {
    scan("127.0.0.1", back.port(), Some(through), PATIENCE).await
}

#[tokio::test]
async fn a_host_behind_another_is_set_up_served_and_left() -> Result<()> {
    if !can_run("a_host_behind_another_is_set_up_served_and_left")? {
        return Ok(());
    }
    let (mut setting, mut front) = (Setting::new().await?, Sshd::start()?);
    std::fs::write(front.path("controller.pub"), setting.key.public_line())?;
    permit(&front, &format!("127.0.0.1:{}", setting.sshd.port()), "controller")?;
    setting.admin.jump = Some(Box::new(Target { identities: vec![setting.key.identity()], ..front.target()? }));
    let passed = |front: &Sshd| front.log().matches("server_request_direct_tcpip").count();

    let done = setting.carry_out(&setting.add_plan().await?).await?;
    ensure!(done[1..5] == [Done::Made, Done::Made, Done::Made, Done::Made] && proven(&done[5]), "{done:#?}");
    // The host keys, the administrator, each attempt of the proof, and the greeting.
    ensure!(passed(&front) >= [1, 1, 10, 1].iter().sum(), "{} connections went through", passed(&front));
    let worker = setting.worker()?;
    drop(connect(&worker).await?.open("anything").await?);

    let order = UpgradeOrder { worker: worker.clone(), program: setting.program.clone() };
    let done = setting.carry_out(&upgrade(&order)).await?;
    ensure!(done.iter().all(|done| *done == Done::AlreadySo), "{done:#?}");

    // The worker's key leads nowhere, so that a host with a worker is a jump host only by another account.
    let onwards = Target { jump: Some(Box::new(worker.clone())), ..front.target()? };
    let error = connect(&onwards).await.err().context("it must not")?;
    ensure!(matches!(error, SshError::RefusedBehind { .. }) && !error.retry(), "{error:?}");

    let plan = remove(&RemoveOrder {
        address: worker.address.clone(),
        port: worker.port,
        known_hosts: setting.sshd.path("controllers_known_hosts"),
        state: State::Purge,
    });
    setting.carry_out(&plan).await?;
    ensure!(connect(&worker).await.is_err(), "its keys are forgotten");

    front.stop();
    let error = setting.carry_out(&plan).await.err().context("there is no other way")?;
    let InstallError::Ssh(SshError::Jump { source, .. }) = &error else { bail!("{error:?}") };
    ensure!(matches!(**source, SshError::Unreachable { .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn the_fingerprint_is_that_of_the_host_behind() -> Result<()> {
    let (front, back) = (Sshd::start()?, Sshd::start()?);
    let shown: Vec<String> =
        seen(&back, &front.target()?).await?.iter().map(|key| ShownKey::of(key).fingerprint).collect();
    ensure!(shown == [back.fingerprint("host_ed25519")?, back.fingerprint("host_ecdsa")?], "{shown:?}");
    ensure!(front.log().contains("server_request_direct_tcpip"), "it went through the jump host");
    Ok(())
}

/// Each says which host it is about, and whose turn it is.
#[tokio::test]
async fn a_jump_host_that_cannot_be_passed_says_why() -> Result<()> {
    let (mut front, mut back) = (Sshd::start()?, Sshd::start()?);
    let (through, there) = (front.target()?, format!("127.0.0.1:{}", back.port()));
    let jump = through.place();

    permit(&front, "127.0.0.1:1", "user_key")?;
    let error = seen(&back, &through).await.err().context("it may only go elsewhere")?;
    ensure!(matches!(error, SshError::RefusedBehind { .. }) && error.kind() == SshErrorKind::Refused, "{error:?}");
    let said = error.to_string();
    ensure!(said.contains(&jump) && said.contains(&there) && said.contains("port-forwarding"), "{said}");

    permit(&front, &there, "user_key")?;
    ensure!(seen(&back, &through).await?.len() == 2, "the one place that it may go to");
    back.stop();
    let error = seen(&back, &through).await.err().context("nobody is behind it")?;
    ensure!(matches!(&error, SshError::UnreachableBehind { .. }) && error.retry(), "{error:?}");

    keygen(&front.path("other"), "ed25519", "")?;
    front.authorize("", "other")?;
    let error = cannot_pass(&seen(&back, &through).await.err().context("it lets nobody in")?)?;
    ensure!(error == (SshErrorKind::Refused, format!("the jump host {jump} cannot be passed")), "{error:?}");

    front.know_hosts(&[])?;
    let error = cannot_pass(&seen(&back, &through).await.err().context("nobody knows it")?)?;
    ensure!(error.0 == SshErrorKind::HostKey, "{error:?}");

    front.stop();
    let error = seen(&back, &through).await.err().context("nobody is there")?;
    ensure!(cannot_pass(&error)?.0 == SshErrorKind::Unreachable && error.retry(), "{error:?}");
    Ok(())
}

fn cannot_pass(error: &SshError) -> Result<(SshErrorKind, String)> {
    ensure!(matches!(error, SshError::Jump { .. }), "{error:?}");
    Ok((error.kind(), error.to_string()))
}
