//! Name, boot, distribution, kernel, memory.

use serde::Serialize;

use super::text;

/// The distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Os {
    /// Such as `debian`.
    pub id: String,
    /// Such as `12`.
    pub version: Option<String>,
    /// For people.
    pub name: Option<String>,
}

/// The kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kernel {
    /// Such as `6.1.0-18-amd64`.
    pub release: String,
    /// Such as `x86_64`.
    pub machine: String,
}

/// The host's name, as the kernel has it.
#[must_use]
pub fn name() -> Option<String> {
    let name = text("/proc/sys/kernel/hostname")?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// An id that changes with each boot.
#[must_use]
pub fn boot_id() -> Option<String> {
    let id = text("/proc/sys/kernel/random/boot_id")?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

pub(super) fn os() -> Option<Os> {
    let release = text("/etc/os-release").or_else(|| text("/usr/lib/os-release"))?;
    parse_os(&release)
}

fn parse_os(release: &str) -> Option<Os> {
    let field = |name: &str| {
        let found = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        let found = found.trim();
        let quoted = |mark| found.strip_prefix(mark)?.strip_suffix(mark);
        Some(quoted('"').or_else(|| quoted('\'')).unwrap_or(found).to_owned())
    };
    Some(Os { id: field("ID")?, version: field("VERSION_ID"), name: field("PRETTY_NAME") })
}

pub(super) fn kernel() -> Option<Kernel> {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    Some(Kernel { release: text(name.release()), machine: text(name.machine()) })
}

pub(super) fn memory_bytes() -> Option<u64> {
    let info = text("/proc/meminfo")?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_say_who_they_are() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\nID_LIKE=x\n";
        let expect =
            Os { id: "debian".into(), version: Some("12".into()), name: Some("Debian GNU/Linux 12 (bookworm)".into()) };
        assert_eq!(parse_os(debian), Some(expect));
        assert_eq!(parse_os("ID='arch'\n"), Some(Os { id: "arch".into(), version: None, name: None }));
        assert_eq!(parse_os("NAME=none\n"), None);
    }
}
