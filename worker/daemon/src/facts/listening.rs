//! Sockets that wait for others, from the kernel's tables.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::processes::Process;
use super::text;

/// A socket that waits for others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listening {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Where it listens; `0.0.0.0` or `::` for everywhere.
    pub address: String,
    /// At which port.
    pub port: u16,
    /// Whose it is, if that can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The name of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// The state of a TCP socket that listens, and of a UDP socket that is not connected, in the tables' words.
const TABLES: [(&str, &str, &str); 4] = [
    ("tcp", "/proc/net/tcp", "0A"),
    ("tcp", "/proc/net/tcp6", "0A"),
    ("udp", "/proc/net/udp", "07"),
    ("udp", "/proc/net/udp6", "07"),
];

pub(super) fn read(processes: &[Process]) -> Option<Vec<Listening>> {
    let owners: HashMap<u64, &Process> =
        processes.iter().flat_map(|process| process.sockets.iter().map(move |socket| (*socket, process))).collect();
    let tables: Vec<_> =
        TABLES.iter().filter_map(|(protocol, path, state)| Some((*protocol, text(path)?, *state))).collect();
    if tables.is_empty() {
        return None;
    }
    let mut found: Vec<Listening> = tables
        .iter()
        .flat_map(|(protocol, table, state)| table.lines().filter_map(|line| row(line, protocol, state)))
        .map(|(socket, inode)| {
            let owner = owners.get(&inode);
            Listening { pid: owner.map(|owner| owner.pid), process: owner.map(|owner| owner.name.clone()), ..socket }
        })
        .collect();
    found.sort_by(|a, b| (a.protocol, a.port, &a.address).cmp(&(b.protocol, b.port, &b.address)));
    found.dedup();
    Some(found)
}

/// A line of a table, with the socket's inode.
fn row(line: &str, protocol: &'static str, state: &str) -> Option<(Listening, u64)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != state {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let (address, port) = (self::address(address)?.to_string(), u16::from_str_radix(port, 16).ok()?);
    let inode = fields.get(9)?.parse().ok()?;
    Some((Listening { protocol, address, port, pid: None, process: None }, inode))
}

/// Words of four bytes in the processor's order, in hex.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn rows_of_the_kernels_tables() {
        let row = |line: &str| row(line, "tcp", "0A").map(|(found, inode)| (found.address, found.port, inode));
        let listening = "   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   108        0 23455 1 0 100 0 0 10 0";
        assert_eq!(row(listening), Some(("127.0.0.1".into(), 5432, 23455)));
        assert_eq!(row(&listening.replace(" 0A ", " 01 ")), None);
        let v6 = listening.replace("0100007F", "00000000000000000000000001000000");
        assert_eq!(row(&v6), Some(("::1".into(), 5432, 23455)));
        for broken in ["", "sl local_address rem_address st", "0: zz:15 0:0 0A", "0: 0100007F 0:0 0A 0 0 0 0 0 1"] {
            assert_eq!(row(broken), None, "{broken}");
        }
    }
}
