//! What happens to a source between backups.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::Result;
use rand::RngExt;
use rustix::fs::{XattrFlags, setxattr};
use strongroom_tests::hostile::touch;
use strongroom_tests::random::{noise, one_of, words};
use strongroom_tests::skip;

use super::World;

impl World {
    /// Does one thing to the source.
    pub(super) fn change(&mut self) -> Result<()> {
        let (files, folders) = (files_below(&self.source)?, folders_below(&self.source)?);
        let folder = one_of(&mut self.dice, &folders).clone();
        let file = (!files.is_empty()).then(|| one_of(&mut self.dice, &files).clone());
        match (self.dice.random_range(0..16), file) {
            (0..3, _) | (_, None) => self.new_file(&folder),
            (3, _) => self.new_folder(&folder),
            (4, Some(file)) => self.overwrite_in_place(&file),
            (5, Some(file)) => self.overwrite_secretly(&file),
            (6, Some(file)) => self.grow_or_cut(&file),
            (7, Some(file)) => self.remove(&file),
            (8, Some(file)) => self.rename(&file, &folder),
            (9, Some(file)) => self.link(&file, &folder),
            (10, Some(file)) => self.set_mode_and_owner(&file),
            (11, Some(file)) => self.set_attribute(&file),
            (12, Some(file)) => self.turn_into_folder(&file),
            (13, _) => self.new_sparse_file(&folder),
            (14, _) => self.new_symlink(&folder),
            (_, _) => self.rename_folder(&folder),
        }
    }

    fn fresh_name(&mut self, folder: &Path) -> PathBuf {
        self.names += 1;
        let ending = one_of(&mut self.dice, &["", ".tmp", ".log", " 账"]);
        folder.join(format!("{:03}{ending}", self.names))
    }

    fn content(&mut self) -> Vec<u8> {
        let length = match self.dice.random_range(0..10) {
            0 => 0,
            1..7 => self.dice.random_range(1..9000),
            7..9 => self.dice.random_range(9000..400_000),
            _ => self.dice.random_range(1_000_000..5_000_000),
        };
        if self.dice.random() { noise(&mut self.dice, length) } else { words(&mut self.dice, length) }
    }

    fn new_file(&mut self, folder: &Path) -> Result<()> {
        let (path, content) = (self.fresh_name(folder), self.content());
        self.did(format!("write {} of {}", path.display(), content.len()));
        Ok(fs::write(path, content)?)
    }

    fn new_folder(&mut self, folder: &Path) -> Result<()> {
        let path = self.fresh_name(folder);
        self.did(format!("mkdir {}", path.display()));
        Ok(fs::create_dir(path)?)
    }

    fn new_sparse_file(&mut self, folder: &Path) -> Result<()> {
        let (path, at) = (self.fresh_name(folder), self.dice.random_range(0..6 << 20));
        self.did(format!("write one byte at {at} of {}", path.display()));
        let file = File::create(path)?;
        file.set_len(6 << 20)?;
        Ok(file.write_all_at(b"!", at)?)
    }

    fn new_symlink(&mut self, folder: &Path) -> Result<()> {
        let path = self.fresh_name(folder);
        self.did(format!("ln -s {}", path.display()));
        Ok(symlink("some/where", path)?)
    }

    /// Same length, but the clock tells.
    fn overwrite_in_place(&mut self, file: &Path) -> Result<()> {
        let length = usize::try_from(file.metadata()?.len())?;
        self.did(format!("overwrite {}", file.display()));
        Ok(File::options().write(true).open(file)?.write_all_at(&noise(&mut self.dice, length.min(5000)), 0)?)
    }

    /// Same length, and the time of modification is put back: only the time of change tells.
    fn overwrite_secretly(&mut self, file: &Path) -> Result<()> {
        let stat = rustix::fs::stat(file)?;
        self.overwrite_in_place(file)?;
        self.did("  and put its time back");
        touch(file, stat.st_mtime, i64::try_from(stat.st_mtime_nsec)?)
    }

    fn grow_or_cut(&mut self, file: &Path) -> Result<()> {
        let length = self.dice.random_range(0..file.metadata()?.len() * 2 + 10);
        self.did(format!("truncate {} to {length}", file.display()));
        Ok(File::options().write(true).open(file)?.set_len(length)?)
    }

    fn remove(&mut self, file: &Path) -> Result<()> {
        self.did(format!("rm {}", file.display()));
        Ok(fs::remove_file(file)?)
    }

    fn rename(&mut self, file: &Path, folder: &Path) -> Result<()> {
        let to = self.fresh_name(folder);
        self.did(format!("mv {} {}", file.display(), to.display()));
        Ok(fs::rename(file, to)?)
    }

    fn rename_folder(&mut self, folder: &Path) -> Result<()> {
        if folder == self.source {
            return Ok(());
        }
        let source = self.source.clone();
        self.rename(folder, &source)
    }

    fn link(&mut self, file: &Path, folder: &Path) -> Result<()> {
        let to = self.fresh_name(folder);
        self.did(format!("ln {} {}", file.display(), to.display()));
        Ok(fs::hard_link(file, to)?)
    }

    fn set_mode_and_owner(&mut self, file: &Path) -> Result<()> {
        let mode = *one_of(&mut self.dice, &[0o600, 0o644, 0o4755, 0o400]);
        self.did(format!("chmod {mode:o} {}", file.display()));
        if skip::is_root() {
            chown(file, Some(self.dice.random_range(0..5000)), Some(self.dice.random_range(0..5000)))?;
        }
        Ok(fs::set_permissions(file, Permissions::from_mode(mode))?)
    }

    fn set_attribute(&mut self, file: &Path) -> Result<()> {
        // Short enough to lie in the inode: a block of attributes counts as one of the file's, and the product tells by their number whether to look
        // for holes in a small file.
        let length = self.dice.random_range(0..60);
        self.did(format!("setfattr {} of {length}", file.display()));
        Ok(setxattr(file, "user.model", &noise(&mut self.dice, length), XattrFlags::empty())?)
    }

    fn turn_into_folder(&mut self, file: &Path) -> Result<()> {
        self.did(format!("turn {} into a folder", file.display()));
        fs::remove_file(file)?;
        fs::create_dir(file)?;
        Ok(fs::write(file.join("inside"), "was a file")?)
    }
}

/// Regular files below a folder.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = below(folder)?;
    found.retain(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()));
    Ok(found)
}

fn folders_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = below(folder)?;
    found.retain(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()));
    found.push(folder.to_owned());
    Ok(found)
}

/// Everything below a folder, sorted, so that a seed means the same everywhere.
fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry?;
            found.push(entry.path());
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
