//! Trees to back up: ordinary ones, and ordinary changes to them. The extraordinary one is in [`crate::hostile`].

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use rand::RngExt;

use crate::random::{Dice, noise, words};

/// Writes a file and the folders above it.
pub fn write(root: &Path, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
    let path = root.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, content)?)
}

/// Folders of text files, a few large files (above 1 MiB, so that they are cut), links, and things that are empty.
pub fn ordinary(root: &Path, dice: &mut Dice, files: usize) -> Result<()> {
    for number in 0..files {
        let length = dice.random_range(0..24 * 1024);
        write(root, &format!("etc/part-{}/file-{number}.conf", number % 7), words(dice, length))?;
    }
    write(root, "data/noise.bin", noise(dice, 3 << 20))?;
    write(root, "data/text.log", words(dice, 5 << 20))?;
    write(root, "data/empty", "")?;
    fs::create_dir_all(root.join("data/no files here"))?;
    fs::hard_link(root.join("data/noise.bin"), root.join("data/noise.link"))?;
    symlink("../data/text.log", root.join("etc/log"))?;
    Ok(())
}

/// Changes a little: one file, one new file, one lost file.
pub fn change(root: &Path, dice: &mut Dice, round: usize) -> Result<()> {
    let length = dice.random_range(1..64 * 1024);
    write(root, "etc/part-0/changing.conf", words(dice, length))?;
    write(root, &format!("data/new-{round}.bin"), noise(dice, 300 * 1024))?;
    let lost = root.join(format!("etc/part-{}/file-{round}.conf", round % 7));
    if lost.exists() {
        fs::remove_file(lost)?;
    }
    Ok(())
}
