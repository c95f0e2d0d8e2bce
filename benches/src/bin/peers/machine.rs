//! The machine and the programs, described for whoever reads the figures.

use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Cores, memory, kernel and the file system of the scratch folder.
pub(crate) fn describe(scratch: &Path) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let listed = said(Command::new("df").arg("--output=fstype").arg(scratch))?;
    let file_system = listed.lines().last().unwrap_or_default();
    let gib = memory.unwrap_or_default() as f64 / f64::from(1 << 20);
    Ok(format!("{cores} cores of {processor}, {gib:.1} GiB of memory, Linux {}, {file_system}.", kernel.trim()))
}

/// What a program says of its version, in one line that begins with its name.
pub(crate) fn version(name: &str, program: &Path, arguments: &[&str]) -> Result<String> {
    let said = said(Command::new(program).args(arguments)).with_context(|| format!("asking {name} for its version"))?;
    let line = said.lines().take(2).collect::<Vec<_>>().join(", ");
    Ok(if line.to_lowercase().starts_with(name) { line } else { format!("{name} ({line})") })
}

/// Where a program of this name lies: in its own installation, or on the search path.
pub(crate) fn locate(name: &str, installation: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(folder) = installation {
        let program = folder.join("bin").join(name);
        ensure!(program.is_file(), "{} is missing: benches/peers installs it", program.display());
        return Ok(program);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("{name} is not on the search path: benches/peers installs it"))
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
