//! A bridge with a range of addresses for the hosts of one lab, and each host's link to it.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rand::RngExt;
use serde_json::Value;

use crate::program::tool;

/// The range for benchmarks of network devices (RFC 2544), 198.18.0.0/15: nobody's address in any real network. A lab takes one of its 512 parts of 256.
const PARTS: u32 = 512;
const PREFIX: u32 = 24;

/// The network of one lab.
#[derive(Debug)]
pub(super) struct Network {
    lab: String,
    range: u32,
}

impl Network {
    /// Makes the bridge. Two at the same time could take the same range: the caller does one at a time.
    pub(super) fn create(lab: &str) -> Result<Self> {
        let network = Self { lab: lab.to_owned(), range: free_range(&routes()?)? };
        let (bridge, address) = (network.bridge(), network.address());
        ip(&format!("link add {bridge} type bridge"))?;
        ip(&format!("address add {address}/{PREFIX} dev {bridge}"))?;
        ip(&format!("link set {bridge} up"))?;
        Ok(network)
    }

    /// The machine's own address.
    pub(super) fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.range + 1)
    }

    /// The address of a host; they are counted from 1.
    pub(super) fn address_of(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.range + 1 + u32::from(number))
    }

    /// Makes a network namespace, and in it `eth0` with an address.
    pub(super) fn link(&self, number: u8, namespace: &str) -> Result<Link> {
        let link = Link { namespace: namespace.to_owned(), port: format!("{}-{number}", self.bridge()) };
        let (port, bridge, gateway) = (&link.port, self.bridge(), self.address());
        ip(&format!("netns add {namespace}"))?;
        ip(&format!("link add {port} type veth peer name eth0 netns {namespace}"))?;
        ip(&format!("link set {port} master {bridge} up"))?;
        ip(&format!("-n {namespace} link set lo up"))?;
        ip(&format!("-n {namespace} address add {}/{PREFIX} dev eth0", self.address_of(number)))?;
        ip(&format!("-n {namespace} link set eth0 up"))?;
        ip(&format!("-n {namespace} route add default via {gateway}"))?;
        Ok(link)
    }

    fn bridge(&self) -> String {
        format!("srl{}", self.lab)
    }
}

/// A host's cable.
#[derive(Debug)]
pub(super) struct Link {
    namespace: String,
    port: String,
}

impl Link {
    /// Pulls it out: whatever is sent on either side is lost, and open connections hear nothing.
    pub(super) fn cut(&self) -> Result<()> {
        ip(&format!("link set {} down", self.port))
    }

    /// Plugs it in again.
    pub(super) fn join(&self) -> Result<()> {
        ip(&format!("link set {} up", self.port))
    }

    /// Lets only so many bits a second through, each way; None takes the limit away.
    pub(super) fn limit(&self, bits_per_second: Option<u64>) -> Result<()> {
        // A link's own end delays what it sends: the port what goes to the host, `eth0` what comes from it.
        for end in [format!("qdisc replace dev {}", self.port), format!("-n {} qdisc replace dev eth0", self.namespace)]
        {
            let discipline = bits_per_second.map_or("noqueue".to_owned(), bucket);
            tc(&format!("{end} root {discipline}"))?;
        }
        Ok(())
    }
}

/// A token bucket: 64 KiB, the largest packet that the kernel hands on in one piece, or 10 ms at higher rates; packets wait 50 ms at most.
fn bucket(bits_per_second: u64) -> String {
    let burst_bytes = (bits_per_second / 8 / 100).max(64 << 10);
    format!("tbf rate {bits_per_second}bit burst {burst_bytes} latency 50ms")
}

/// Where this machine already sends packets to: networks in the form 198.18.7.0/24.
fn routes() -> Result<Vec<String>> {
    let listed: Value =
        serde_json::from_slice(&tool(Command::new("ip").args(["-json", "-4", "route", "show", "table", "all"]))?)?;
    let rows = listed.as_array().context("a list of routes")?;
    Ok(rows.iter().filter_map(|row| row["dst"].as_str()).map(str::to_owned).collect())
}

/// A part of the range that no route has anything of, begun at random. The default route has all of it and does not count.
fn free_range(routes: &[String]) -> Result<u32> {
    let first = Ipv4Addr::new(198, 18, 0, 0).to_bits();
    let begin = rand::rng().random_range(0..PARTS);
    for part in (0..PARTS).map(|step| (begin + step) % PARTS) {
        let range = first + (part << (32 - PREFIX));
        if !routes.iter().any(|route| overlaps(range, route)) {
            return Ok(range);
        }
    }
    bail!("no part of 198.18.0.0/15 is free on this machine")
}

fn overlaps(range: u32, route: &str) -> bool {
    let (address, length) = route.split_once('/').unwrap_or((route, "32"));
    let (Ok(address), Ok(length)) = (address.parse::<Ipv4Addr>(), length.parse::<u32>()) else { return false };
    let shift = 32 - length.min(PREFIX);
    length > 0 && u64::from(address.to_bits()) >> shift == u64::from(range) >> shift
}

fn ip(words: &str) -> Result<()> {
    tool(Command::new("ip").args(words.split(' '))).map(|_| ())
}

fn tc(words: &str) -> Result<()> {
    tool(Command::new("tc").args(words.split(' '))).map(|_| ())
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    #[test]
    fn a_range_overlaps_what_holds_it_and_what_it_holds() {
        let range = Ipv4Addr::new(198, 18, 7, 0).to_bits();
        let rows = [
            ("198.18.7.0/24", true),
            ("198.18.7.9", true),
            ("198.18.7.128/25", true),
            ("198.18.0.0/15", true),
            ("198.0.0.0/8", true),
            ("198.18.8.0/24", false),
            ("198.18.6.255", false),
            ("10.0.0.0/8", false),
            ("0.0.0.0/0", false),
            ("default", false),
        ];
        for (route, expect) in rows {
            assert_eq!(overlaps(range, route), expect, "{route}");
        }
    }

    #[test]
    fn the_last_free_range_is_found() -> Result<()> {
        let mut routes: Vec<String> = (0..256).map(|part| format!("198.18.{part}.0/24")).collect();
        routes.extend((0..255).map(|part| format!("198.19.{part}.0/24")));
        ensure!(free_range(&routes)? == Ipv4Addr::new(198, 19, 255, 0).to_bits());
        routes.push("198.19.255.1".into());
        ensure!(free_range(&routes).is_err());
        Ok(())
    }
}
