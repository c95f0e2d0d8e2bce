//! File systems that hold data, and their room.

use std::collections::HashSet;

use serde::Serialize;

use super::text;

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mount {
    /// Where.
    pub path: String,
    /// Such as `ext4`.
    pub kind: String,
    /// What is mounted.
    pub source: String,
    /// Nothing can be written.
    pub is_read_only: bool,
    /// Its size, and what is left for everybody; not asked of servers, which may not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// What is left for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_free: Option<u64>,
}

/// The kernel's own, which hold no data.
const PSEUDO: [&str; 23] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];

pub(super) fn read() -> Option<Vec<Mount>> {
    let mut seen = HashSet::new();
    let mounts = text("/proc/self/mountinfo")?.lines().filter_map(parse).collect::<Vec<Mount>>();
    // The last one at a path is the one that is seen there.
    let mut visible: Vec<Mount> = mounts.into_iter().rev().filter(|mount| seen.insert(mount.path.clone())).collect();
    visible.retain(|mount| !PSEUDO.contains(&&*mount.kind));
    visible.iter_mut().filter(|mount| !is_remote(&mount.kind)).for_each(measure);
    visible.sort_by(|a, b| a.path.cmp(&b.path));
    Some(visible)
}

fn is_remote(kind: &str) -> bool {
    kind.starts_with("nfs")
        || kind.starts_with("fuse")
        || ["cifs", "smb3", "ceph", "9p", "afs", "glusterfs"].contains(&kind)
}

fn measure(mount: &mut Mount) {
    if let Ok(found) = rustix::fs::statvfs(&*mount.path) {
        mount.bytes_total = found.f_blocks.checked_mul(found.f_frsize);
        mount.bytes_free = found.f_bavail.checked_mul(found.f_frsize);
    }
}

/// A line: ids, root, path and options; then, behind a dash, type, source and the options of the file system.
fn parse(line: &str) -> Option<Mount> {
    let (mount, of_system) = line.split_once(" - ")?;
    let mount: Vec<&str> = mount.split(' ').collect();
    let of_system: Vec<&str> = of_system.split(' ').collect();
    let is_read_only = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        path: unescape(mount.get(4)?),
        kind: (*of_system.first()?).to_owned(),
        source: unescape(of_system.get(1)?),
        is_read_only: is_read_only(mount.get(5)?) || is_read_only(of_system.get(2)?),
        bytes_total: None,
        bytes_free: None,
    })
}

/// The kernel writes blanks as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (octal, plain)| text.replace(octal, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernels_table() {
        let line = "36 35 98:0 /mnt1 /mnt/my\\040disk rw,noatime master:1 - ext4 /dev/root rw,errors=continue";
        let expect = Mount {
            path: "/mnt/my disk".into(),
            kind: "ext4".into(),
            source: "/dev/root".into(),
            is_read_only: false,
            bytes_total: None,
            bytes_free: None,
        };
        assert_eq!(parse(line), Some(expect));
        assert!(parse(&line.replace(" rw,noatime", " ro,noatime")).is_some_and(|mount| mount.is_read_only));
        assert_eq!(parse("36 35 - ext4"), None);
        assert_eq!(parse(""), None);
    }
}
