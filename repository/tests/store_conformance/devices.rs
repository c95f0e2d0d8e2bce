//! Small file systems of their own, for tests that fill, break or cut them. They need root.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system; unmounted when dropped.
pub(crate) struct Mount {
    at: TempDir,
}

impl Mount {
    pub(crate) fn path(&self) -> &Path {
        self.at.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let at = self.at.path().display().to_string();
        // Lazily where a failed test still holds a file open.
        if run("umount", &[&at]).is_err() {
            run("umount", &["--lazy", &at]).expect("unmount");
        }
    }
}

/// Whether file systems can be mounted here. Where not, the caller's test is skipped, and says so
/// past the test harness, which would swallow it: a skipped check is not a passed one.
pub(crate) fn can_mount() -> bool {
    match tmpfs("1m") {
        Ok(_) => true,
        Err(reason) => {
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            writeln!(io::stderr(), "{test} skipped, because nothing can be mounted here: {reason}").expect("stderr");
            false
        }
    }
}

/// A file system in memory.
pub(crate) fn tmpfs(size: &str) -> Result<Mount, String> {
    mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
}

/// One that does less.
pub(crate) fn ramfs() -> Result<Mount, String> {
    mount(&["-t", "ramfs", "ramfs"])
}

/// An empty ext4 image; its space is taken only when it is written to.
pub(crate) fn ext4_image(folder: &Path, size: u64) -> PathBuf {
    let image = folder.join("image");
    File::create(&image).and_then(|file| file.set_len(size)).expect("image");
    run("mkfs.ext4", &["-q", "-F", "-E", "nodiscard,lazy_itable_init=0", &image.display().to_string()]).expect("mkfs");
    image
}

/// An ext4 image through a loop device.
pub(crate) fn mounted(image: &Path) -> Result<Mount, String> {
    mount(&["-o", "loop", &image.display().to_string()])
}

/// Makes every further access to an ext4 fail with EIO, and loses what was not flushed: the call
/// that file system tests use (EXT4_IOC_SHUTDOWN, without a last flush of the journal).
pub(crate) fn shut_down(mount: &Mount) -> Result<(), String> {
    let script = "import fcntl, os, struct, sys\n\
        fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
    run("python3", &["-c", script, &mount.path().display().to_string()])
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn mount(arguments: &[&str]) -> Result<Mount, String> {
    let at = tempfile::tempdir().expect("folder");
    let target = at.path().display().to_string();
    run("mount", &[arguments, &[&target]].concat())?;
    fs::metadata(at.path()).expect("mounted");
    Ok(Mount { at })
}
