//! A disk image as a virtual machine has it: a real Debian root in an ext4 file system with free space.
//!
//! The packages are whatever the mirror has on the day, so two machines have slightly different images; ratios between candidates
//! do not care. The identifiers of the file system are fixed, so that the same packages give the same layout.

use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// The block in which disk images change, and in which `change` changes this one.
pub const BLOCK_BYTES: u64 = 1 << 20;
/// The list of what is in the image, beside it: the one file to restore.
pub(super) const LIST: &str = "packages.txt";

const IMAGE: &str = "disk.img";
const IMAGE_BYTES: u64 = 4 << 30;
const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
/// What a small server of a developer has, beyond the minimal base.
const PACKAGES: &str = "build-essential,ca-certificates,curl,git,less,locales,man-db,openssh-server,perl,python3,vim";
const FILE_SYSTEM_ID: &str = "5f0e3c5c-6a7b-4c8d-9e0f-112233445566";

pub(super) fn build(folder: &Path) -> Result<()> {
    let root = folder.join("root");
    super::run(
        Command::new("debootstrap")
            .args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE])
            .arg(&root)
            .arg(MIRROR),
    )?;
    list_packages(&root, &folder.join(LIST))?;
    let image = folder.join(IMAGE);
    File::create(&image)?.set_len(IMAGE_BYTES)?;
    let hash_seed = format!("hash_seed={FILE_SYSTEM_ID}");
    super::run(
        Command::new("mkfs.ext4")
            .args(["-q", "-F", "-U", FILE_SYSTEM_ID, "-E", &hash_seed, "-d"])
            .args([&root, &image]),
    )?;
    fs::remove_dir_all(&root).context("removing the unpacked root")
}

fn list_packages(root: &Path, list: &Path) -> Result<()> {
    let mut admin = std::ffi::OsString::from("--admindir=");
    admin.push(root.join("var/lib/dpkg"));
    let listed = Command::new("dpkg-query").arg(admin).arg("-W").output()?;
    fs::write(list, listed.stdout).context("writing the list of packages")
}
