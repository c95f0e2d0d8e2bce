//! The processes that run now, with the sockets that they hold.

use std::fs;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// The name of its program, as the kernel keeps it: at most fifteen bytes.
    pub(super) name: String,
    /// Inodes of its sockets; none of those that we may not look at.
    pub(super) sockets: Vec<u64>,
}

pub(super) fn read() -> Option<Vec<Process>> {
    let entries = fs::read_dir("/proc").ok()?.flatten();
    Some(entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect())
}

/// None if it has ended meanwhile.
fn process(pid: u32) -> Option<Process> {
    let name = super::text(&format!("/proc/{pid}/comm"))?.trim_end().to_owned();
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let sockets = links.filter_map(|link| socket(fs::read_link(link.path()).ok()?.to_str()?)).collect();
    Some(Process { pid, name, sockets })
}

fn socket(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}
