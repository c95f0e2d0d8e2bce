//! What the service manager is told: readiness, the end, and that we live.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::task::JoinHandle;

/// Tells the service manager, if there is one.
pub fn tell(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, state, "the service manager was not told");
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

/// Says that we live, twice in each period that the service manager asks for, for as long as it is kept.
#[derive(Debug)]
pub struct Watchdog(JoinHandle<()>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the watchdog, if the service manager wants one of this process.
pub fn watchdog() -> Option<Watchdog> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let period = number("WATCHDOG_USEC").filter(|_| is_ours).map(Duration::from_micros)?;
    Some(Watchdog(tokio::spawn(async move {
        let mut ticks = tokio::time::interval((period / 2).max(Duration::from_millis(1)));
        loop {
            ticks.tick().await;
            tell("WATCHDOG=1");
        }
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let check = |manager: UnixDatagram, name: &OsStr| {
            send(name, "READY=1").unwrap();
            let mut buffer = [0; 100];
            let count = manager.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"READY=1");
        };
        check(UnixDatagram::bind(&path).unwrap(), path.as_os_str());
        let name = format!("strongroom-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        check(UnixDatagram::bind_addr(&address).unwrap(), OsStr::new(&format!("@{name}")));
    }
}
