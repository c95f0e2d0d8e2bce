//! Whether a unit of systemd is active, and whether a port takes connections.

use std::net::{TcpStream, ToSocketAddrs};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use strongroom_plans::PortPlace;

use super::{Finding, one_line};

#[derive(Debug, Args)]
#[group(skip)]
pub struct UnitArgs {
    /// Its name, such as billing.service
    unit: String,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct PortArgs {
    /// PORT of this machine, or HOST:PORT
    port: PortPlace,
}

/// A server in the same house answers sooner.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const THIS_MACHINE: &str = "localhost";
const ACTIVE: &str = "active";

impl UnitArgs {
    pub(super) fn look(&self) -> Finding {
        match Command::new("systemctl").args(["is-active", "--", &self.unit]).output() {
            Err(error) => Finding::of(false, format!("cannot run systemctl: {error}"), ACTIVE),
            Ok(output) => {
                let said = if output.stdout.trim_ascii().is_empty() { &output.stderr } else { &output.stdout };
                let state = one_line(said);
                let agrees = output.status.success() && state == ACTIVE;
                Finding::of(agrees, format!("the unit {} is {state}", self.unit), ACTIVE)
            }
        }
    }
}

impl PortArgs {
    pub(super) fn look(&self) -> Finding {
        let (host, port) = (self.port.host().unwrap_or(THIS_MACHINE), self.port.port());
        let expected = "a connection";
        match connect(host, port) {
            Ok(()) => Finding::of(true, format!("{host} takes connections at port {port}"), expected),
            Err(why) => Finding::of(false, format!("{host} takes none at port {port}: {why}"), expected),
        }
    }
}

/// By any of its addresses; an error is that of the last one.
fn connect(host: &str, port: u16) -> Result<(), String> {
    let addresses = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut why = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_MAX) {
            Ok(_) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}
