//! Files that processes of this host have open for writing. What is replaced under a process it writes on into, and nobody sees it any more.
//!
//! Whoever is not root sees his own processes only. A file that is mapped, and whose descriptor was closed, is not seen.

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::fmt;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use strongroom_repository::text::escape;

use crate::filesystem::Stat;

/// Regular files that were open at one moment, by device and inode.
#[derive(Debug, Default)]
pub(crate) struct OpenFiles(HashMap<(u32, u64), Vec<Descriptor>>);

/// A process's descriptor of a file.
#[derive(Debug, Clone, Copy)]
struct Descriptor {
    process: u32,
    number: u32,
}

/// A process that writes to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writer {
    process: u32,
    program: String,
}

impl OpenFiles {
    /// Those of all other processes that can be looked at. Blocking.
    pub(crate) fn now() -> Self {
        let mut files = Self::default();
        let own = std::process::id();
        numbers(Path::new("/proc")).filter(|process| *process != own).for_each(|process| files.look_at(process));
        files
    }

    /// A process that ends meanwhile, or may not be looked at, has nothing open.
    fn look_at(&mut self, process: u32) {
        let folder = PathBuf::from(format!("/proc/{process}/fd"));
        let Ok(directory) = fs::File::open(&folder) else { return };
        for number in numbers(&folder) {
            let name = CString::new(number.to_string()).unwrap_or_default();
            let file = Stat::behind(directory.as_fd(), &name).ok().filter(Stat::is_file);
            if let Some(stat) = file {
                self.0.entry((stat.device, stat.inode)).or_default().push(Descriptor { process, number });
            }
        }
    }

    /// Who writes to the file with this device and inode.
    pub(crate) fn writer(&self, file: (u32, u64)) -> Option<Writer> {
        self.0.get(&file)?.iter().find(|descriptor| descriptor.writes()).map(Descriptor::process)
    }

    /// The first file below a directory to which somebody writes, and who.
    pub(crate) fn writer_below(&self, directory: &Path) -> Option<(PathBuf, Writer)> {
        let below = |descriptor: &Descriptor| descriptor.path().filter(|path| path.starts_with(directory));
        let mut found = self.0.values().flatten().filter_map(|descriptor| Some((below(descriptor)?, descriptor)));
        found.find(|(_, descriptor)| descriptor.writes()).map(|(path, descriptor)| (path, descriptor.process()))
    }
}

impl Descriptor {
    /// proc_pid_fdinfo(5): the flags of open(2) in octal, of which the last two bits are the access mode.
    fn writes(&self) -> bool {
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{}", self.process, self.number)).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 3 != 0)
    }

    fn path(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/fd/{}", self.process, self.number)).ok()
    }

    fn process(&self) -> Writer {
        let name = fs::read(format!("/proc/{}/comm", self.process)).unwrap_or_default();
        Writer { process: self.process, program: escape(name.trim_ascii_end()) }
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (process {})", self.program, self.process)
    }
}

/// The names in a folder that are numbers.
fn numbers(folder: &Path) -> impl Iterator<Item = u32> {
    let number = |name: &OsStr| std::str::from_utf8(name.as_bytes()).ok()?.parse().ok();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(move |entry| number(&entry.file_name()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::{Command, Stdio};

    use super::*;

    fn identity(path: &Path) -> (u32, u64) {
        let stat = Stat::of(File::open(path).unwrap().as_fd()).unwrap();
        (stat.device, stat.inode)
    }

    #[test]
    fn who_writes_is_told_and_who_reads_is_let_be() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let [written, read, free] = ["written", "read", "free"].map(|name| top.join(name));
        for path in [&read, &free] {
            fs::write(path, "").unwrap();
        }
        let mut sleep = Command::new("sleep");
        sleep.arg("60").stdout(File::create(&written).unwrap()).stdin(Stdio::from(File::open(&read).unwrap()));
        let mut child = sleep.spawn().unwrap();
        let files = OpenFiles::now();
        let writer = files.writer(identity(&written));
        let below = (files.writer_below(&top), files.writer_below(&top.join("writ")));
        let others = [&read, &free].map(|path| files.writer(identity(path)));
        child.kill().unwrap();
        child.wait().unwrap();
        let expect = Writer { process: child.id(), program: "sleep".into() };
        assert_eq!(writer.as_ref(), Some(&expect));
        assert_eq!(below, (Some((written, expect)), None));
        assert_eq!(others, [None, None]);
    }
}
