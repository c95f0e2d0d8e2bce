//! Small disks of a test's own, to fill up and to break: loop-mounted file systems and memory file systems. Root only; each is unmounted at its end.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, fallocate};

use crate::program::tool;

/// The number by which XFS knows the counted folder.
const PROJECT: u32 = 7;

/// A mounted file system.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
    image: Option<PathBuf>,
}

impl Disk {
    /// A new ext4 of this many bytes, whose image lies beside the mount point.
    pub fn ext4(at: &Path, bytes: u64) -> Result<Self> {
        // No space for root alone: a full disk is to be full.
        Self::formatted(at, bytes, Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-I", "256"]))
    }

    /// A new XFS, for what ext4 has not in every kernel: project ids.
    pub fn xfs(at: &Path, bytes: u64) -> Result<Self> {
        Self::formatted(at, bytes, Command::new("mkfs.xfs").args(["-q", "-f"]))
    }

    /// A new XFS that counts what lies in one of its folders, which is made.
    pub fn xfs_with_quota(at: &Path, bytes: u64, folder: &str) -> Result<Self> {
        let image = at.with_extension("image");
        File::create(&image)?.set_len(bytes)?;
        tool(Command::new("mkfs.xfs").args(["-q", "-f"]).arg(&image))?;
        fs::create_dir_all(at)?;
        tool(Command::new("mount").args(["-o", "loop,prjquota"]).arg(&image).arg(at))?;
        let disk = Self { at: at.into(), image: Some(image) };
        let folder = at.join(folder);
        fs::create_dir(&folder)?;
        disk.ask_xfs(&format!("project -s -p {} {PROJECT}", folder.display()))?;
        Ok(disk)
    }

    /// Gives the counted folder a limit in bytes.
    pub fn limit_folder(&self, bytes: u64) -> Result<()> {
        self.ask_xfs(&format!("limit -p bhard={bytes} {PROJECT}"))
    }

    fn ask_xfs(&self, command: &str) -> Result<()> {
        tool(Command::new("xfs_quota").args(["-x", "-c", command]).arg(&self.at)).map(|_| ())
    }

    /// A file system in memory that can be resized at any time.
    pub fn memory(at: &Path, bytes: u64) -> Result<Self> {
        fs::create_dir_all(at)?;
        tool(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "strongroom-tests"]).arg(at))?;
        Ok(Self { at: at.into(), image: None })
    }

    /// Mounts an existing image, as its bytes are now.
    ///
    /// A mount namespace that another process made meanwhile (a host of the lab, say) has its own copy of an earlier mount, which outlives ours: the kernel
    /// would give us that file system again, with what it remembers of bytes that have changed since. A copy of the image is new to it.
    pub fn of_image(image: &Path, at: &Path) -> Result<Self> {
        let fresh = image.with_extension("fresh");
        tool(Command::new("cp").arg("--sparse=always").arg(image).arg(&fresh))?;
        fs::rename(&fresh, image)?;
        Self::of_new_image(image, at)
    }

    fn of_new_image(image: &Path, at: &Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        tool(Command::new("mount").args(["-o", "loop"]).arg(image).arg(at))?;
        Ok(Self { at: at.into(), image: Some(image.into()) })
    }

    fn formatted(at: &Path, bytes: u64, format: &mut Command) -> Result<Self> {
        let image = at.with_extension("image");
        // Not the file of an earlier disk in this place: see `of_image`.
        drop(fs::remove_file(&image));
        File::create_new(&image)?.set_len(bytes)?;
        tool(format.arg(&image))?;
        Self::of_new_image(&image, at)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Gives a file system in memory another size.
    pub fn resize(&self, bytes: u64) -> Result<()> {
        tool(Command::new("mount").args(["-o", &format!("remount,size={bytes}")]).arg(&self.at)).map(|_| ())
    }

    /// Gives a file system in memory room for so many files.
    pub fn limit_files(&self, files: u64) -> Result<()> {
        tool(Command::new("mount").args(["-o", &format!("remount,nr_inodes={files}")]).arg(&self.at)).map(|_| ())
    }

    /// Bytes in use and bytes free.
    pub fn space(&self) -> Result<(u64, u64)> {
        let space = rustix::fs::statvfs(&self.at)?;
        Ok(((space.f_blocks - space.f_bfree) * space.f_frsize, space.f_bavail * space.f_frsize))
    }

    /// Fills it up, so that `left` bytes stay free; removing the file that is returned makes room again.
    pub fn fill(&self, left: u64) -> Result<PathBuf> {
        let filler = self.at.join("filler");
        let file = File::create(&filler)?;
        // The file system needs blocks of its own for a long file, so the last of them are found by trial.
        let mut taken = 0;
        let mut step: u64 = 32 << 20;
        while step >= 4096 {
            let fits = self.space()?.1 >= left + step && fallocate(&file, FallocateFlags::empty(), taken, step).is_ok();
            if fits { taken += step } else { step /= 2 }
        }
        Ok(filler)
    }

    /// Unmounts it, and returns its image, which holds everything even while another mount namespace keeps the file system alive.
    pub fn unmount(mut self) -> Result<PathBuf> {
        // A broken disk may refuse; its last bytes are lost either way.
        drop(tool(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.at)));
        tool(Command::new("umount").arg(&self.at))?;
        self.image.take().context("it has an image")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if tool(Command::new("mountpoint").arg("-q").arg(&self.at)).is_ok() {
            // A process that a failed test left behind may still hold it: then it goes when that does.
            drop(tool(Command::new("umount").arg("--lazy").arg(&self.at)));
        }
    }
}

/// Destroys a block of an ext4 image that says where a fragmented file lies: from then on every attempt to read the file fails, and everything else is as
/// it was. The disk must not be mounted. `path` is relative to its top.
pub fn break_file(image: &Path, path: &str) -> Result<()> {
    const BLOCK: u64 = 4096;
    let printed = tool(Command::new("debugfs").args(["-R", &format!("blocks /{path}")]).arg(image))?;
    let blocks = String::from_utf8(printed)?;
    // With more than four extents the first block listed is the one that holds their table.
    let table: u64 = blocks.split_whitespace().next().context("the file has blocks")?.parse()?;
    File::options().write(true).open(image)?.write_all_at(&[0; BLOCK as usize], table * BLOCK)?;
    Ok(())
}

/// A file in so many pieces that `break_file` can break it.
pub fn write_fragmented(path: &Path) -> Result<()> {
    const PIECES: u64 = 16;
    let file = File::create(path)?;
    for piece in 0..PIECES {
        file.write_all_at(&[7; 4096], piece * 8192)?;
    }
    Ok(file.sync_all()?)
}
