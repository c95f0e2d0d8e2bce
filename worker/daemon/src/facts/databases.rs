//! Databases that run now, told by their processes. A copy of their files under their feet is no backup; so the controller asks which plan covers them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::listening::Listening;
use super::processes::Process;

/// A database server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Database {
    /// What it is: `postgresql`, `mysql`, `mariadb`, `redis`, `mongodb`.
    pub engine: &'static str,
    /// Its first process.
    pub pid: u32,
    /// The TCP ports that it listens at; none if only by a Unix socket, or if that could not be seen.
    pub ports: Vec<u16>,
    /// Where its data are, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_directory: Option<String>,
}

/// The names of server programs, as the kernel keeps them.
const SERVERS: [(&str, &str); 8] = [
    ("postgres", "postgresql"),
    ("postmaster", "postgresql"),
    ("mysqld", "mysql"),
    ("mariadbd", "mariadb"),
    ("redis-server", "redis"),
    ("valkey-server", "redis"),
    ("mongod", "mongodb"),
    ("keydb-server", "redis"),
];

/// Servers that make the directory of their data the one that they work in, as their manuals say.
const WORK_IN_THEIR_DATA: [&str; 4] = ["postgresql", "mysql", "mariadb", "redis"];

/// MongoDB works in `/`, and holds this file open in its `dbPath` as long as it runs.
const MONGOD_LOCK: &str = "mongod.lock";

/// The databases, with the directories of their data.
pub(super) fn read(processes: &[Process], listening: &[Listening]) -> Vec<Database> {
    let mut found = find(processes, listening);
    for database in &mut found {
        let directory = match database.engine {
            engine if WORK_IN_THEIR_DATA.contains(&engine) => {
                fs::read_link(format!("/proc/{}/cwd", database.pid)).ok().filter(|path| path != Path::new("/"))
            }
            _ => directory_of_open(database.pid, MONGOD_LOCK),
        };
        database.data_directory = directory.and_then(|path| path.to_str().map(str::to_owned));
    }
    found
}

/// Where a process holds a file of this name open.
fn directory_of_open(pid: u32, name: &str) -> Option<PathBuf> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let mut paths = open.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    Some(paths.find(|path| path.file_name().is_some_and(|found| found == name))?.parent()?.to_owned())
}

/// One for each group of ports: a server's helpers, which hold no port of their own, are not further servers if there is one that does.
fn find(processes: &[Process], listening: &[Listening]) -> Vec<Database> {
    let mut found: Vec<Database> = Vec::new();
    let mut processes: Vec<&Process> = processes.iter().collect();
    processes.sort_by_key(|process| process.pid);
    for process in processes {
        let Some((_, engine)) = SERVERS.iter().find(|(name, _)| *name == process.name) else { continue };
        let mine = |socket: &&Listening| socket.protocol == "tcp" && socket.pid == Some(process.pid);
        let mut ports: Vec<u16> = listening.iter().filter(mine).map(|socket| socket.port).collect();
        ports.sort_unstable();
        ports.dedup();
        if !ports.is_empty() || !found.iter().any(|known| known.engine == *engine) {
            found.push(Database { engine, pid: process.pid, ports, data_directory: None });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, name: &str) -> Process {
        Process { pid, name: name.into(), sockets: vec![] }
    }

    fn listening(pid: u32, port: u16, address: &str) -> Listening {
        Listening { protocol: "tcp", address: address.into(), port, pid: Some(pid), process: None }
    }

    #[test]
    fn a_server_is_where_it_holds_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let lock = fs::File::create(folder.path().join(MONGOD_LOCK)).unwrap();
        assert_eq!(directory_of_open(std::process::id(), MONGOD_LOCK), Some(folder.path().to_owned()));
        drop(lock);
        assert_eq!(directory_of_open(std::process::id(), MONGOD_LOCK), None);
    }

    #[test]
    fn servers_are_found_once_with_their_ports() {
        let processes = [
            process(30, "postgres"),
            process(20, "postgres"),
            process(40, "postgres"),
            process(50, "mariadbd"),
            process(60, "bash"),
        ];
        let sockets = [
            listening(20, 5432, "0.0.0.0"),
            listening(20, 5432, "::"),
            listening(40, 5433, "::"),
            listening(60, 80, "::"),
        ];
        let found = find(&processes, &sockets);
        let database = |engine, pid, ports: &[u16]| Database { engine, pid, ports: ports.into(), data_directory: None };
        assert_eq!(
            found,
            [database("postgresql", 20, &[5432]), database("postgresql", 40, &[5433]), database("mariadb", 50, &[])]
        );
    }
}
