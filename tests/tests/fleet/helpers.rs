//! What operators do in every test: add a host, start the controller.

use std::time::Duration;

use anyhow::{Result, ensure};
use strongroom_tests::Lab;
use strongroom_tests::lab::Host;
use strongroom_tests::operator::{Controller, Operator};

const SOON: Duration = Duration::from_secs(60);

/// A controller that answers.
pub(crate) fn serve(operator: &Operator) -> Result<Controller> {
    let mut controller = operator.serve()?;
    controller.wait_until("the controller answers", SOON, || {
        let status = operator.run(["status"])?;
        ensure!(status.code == Some(0) || status.code == Some(4), "{status}");
        Ok(())
    })?;
    Ok(controller)
}

/// The fingerprint that the host itself shows at its console.
pub(crate) fn fingerprint(host: &Host) -> Result<String> {
    host.ask("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2")
}

/// Makes a host part of the operator's site.
pub(crate) fn add_host(operator: &Operator, lab: &Lab, name: &str) -> Result<()> {
    let (fingerprint, address, admin) = (fingerprint(lab.host(name))?, lab.host(name).address().to_string(), lab.key());
    let mut command = operator.command(["host", "add", name, &address, "--fingerprint", &fingerprint, "--site"])?;
    command.arg(&operator.site).arg("--identity").arg(admin);
    strongroom_tests::program::run(&mut command)?.expect(0).map(drop)
}
