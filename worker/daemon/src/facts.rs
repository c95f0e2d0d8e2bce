//! What the host is and has: for the record, and so that the controller can say what no plan covers.
//!
//! Every reader looks at one place of the system. What is missing there is missing in the answer, and nothing else: facts never fail, and never wait long.

mod clock;
mod databases;
pub mod host;
mod listening;
mod mounts;
mod packages;
mod processes;
mod units;

use jiff::Timestamp;
use serde::Serialize;

/// The facts.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Facts {
    /// When they were gathered, by the host's clock.
    pub gathered: Timestamp,
    /// The program that gathered them.
    pub worker: &'static str,
    /// Its name, as the kernel has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Changes with each boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<host::Os>,
    /// The kernel's release and the processor's architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<host::Kernel>,
    /// Memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Processors that may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processors: Option<usize>,
    /// Whether the clock is kept right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<clock::Clock>,
    /// Installed packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<Vec<packages::Package>>,
    /// Services that are active or have failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<Vec<units::Unit>>,
    /// Sockets that wait for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listening: Option<Vec<listening::Listening>>,
    /// File systems that hold data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<mounts::Mount>>,
    /// Databases that run now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub databases: Option<Vec<databases::Database>>,
}

/// Looks everywhere. It reads files and may run one command, so not for async threads.
#[must_use]
pub fn gather(now: Timestamp) -> Facts {
    let processes = processes::read();
    let listening = listening::read(processes.as_deref().unwrap_or_default());
    let databases = processes.as_deref().map(|all| databases::read(all, listening.as_deref().unwrap_or_default()));
    Facts {
        gathered: now,
        worker: crate::PROGRAM,
        hostname: host::name(),
        boot_id: host::boot_id(),
        os: host::os(),
        kernel: host::kernel(),
        memory_bytes: host::memory_bytes(),
        processors: std::thread::available_parallelism().ok().map(Into::into),
        clock: clock::read(),
        packages: packages::read(),
        units: units::read(),
        listening,
        mounts: mounts::read(),
        databases,
    }
}

impl Facts {
    /// One JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        // BUG if it fails: strings, numbers and lists serialise.
        serde_json::to_string_pretty(self).expect("facts serialise")
    }
}

/// A file's text; bytes that are no text are replaced.
fn text(path: &str) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_facts() {
        let facts = gather(Timestamp::UNIX_EPOCH);
        let json: serde_json::Value = serde_json::from_str(&facts.to_json()).unwrap();
        assert!(json["hostname"].is_string() && json["kernel"]["release"].is_string(), "{json}");
        assert!(json["mounts"].as_array().is_some_and(|mounts| !mounts.is_empty()), "{json}");
    }

    #[test]
    fn a_socket_that_listens_is_found_with_its_process() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let facts = gather(Timestamp::UNIX_EPOCH);
        let found = facts.listening.unwrap().into_iter().find(|found| found.port == port).unwrap();
        assert_eq!((found.protocol, &*found.address), ("tcp", "127.0.0.1"));
        assert_eq!(found.pid, Some(std::process::id()));
    }
}
