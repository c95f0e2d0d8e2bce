//! One per cent of a corpus changed, the same per cent every time, and put back afterwards.
//!
//! In a tree each regular file draws its own lot by seed and path: of those chosen, one tenth is deleted, one tenth gets a new neighbour, the
//! rest is overwritten in place for up to 64 bytes. In a disk image whole blocks of 1 MiB are overwritten, in use or free.

use crate::corpus::{BLOCK_BYTES, Corpus};
use crate::dice::Dice;
use crate::text::{Genre, compose};
use crate::vocabulary::Vocabulary;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One file, or one block, in this many.
const ONE_IN: usize = 100;
const EDIT_BYTES_MAX: usize = 64;
const NEW_FILE_BYTES_MAX: usize = 8 << 10;
/// Below the shortest limit on a command line (128 KiB an argument list is the historical one) for paths of some 100 bytes.
const PATHS_PER_COMMAND: usize = 500;

/// What was changed, so that it can be put back.
#[derive(Debug)]
pub struct Change {
    paths: Vec<PathBuf>,
}

impl Change {
    /// Changes one per cent of a working copy of `corpus`.
    pub fn apply(corpus: Corpus, working: &Path, seed: u64) -> Result<Self> {
        let mut changing = Changing { working, seed, vocabulary: Vocabulary::seeded(seed), paths: Vec::new() };
        match corpus {
            Corpus::Linux | Corpus::Small => changing.folder(Path::new(""))?,
            Corpus::Image => changing.image(Path::new("disk.img"))?,
        }
        Ok(Change { paths: changing.paths })
    }

    /// How many files were edited, added or deleted.
    pub fn files(&self) -> usize {
        self.paths.len()
    }

    /// Makes the working copy equal to the pristine corpus again; only the times of directories stay new.
    pub fn revert(&self, pristine: &Path, working: &Path) -> Result<()> {
        for path in &self.paths {
            if working.join(path).exists() {
                fs::remove_file(working.join(path))?;
            }
        }
        let known: Vec<&PathBuf> = self.paths.iter().filter(|path| pristine.join(path).exists()).collect();
        for some in known.chunks(PATHS_PER_COMMAND) {
            let status = Command::new("cp")
                .args(["-a", "--parents", "-t"])
                .arg(working)
                .arg("--")
                .args(some)
                .current_dir(pristine)
                .status()?;
            if !status.success() {
                bail!("putting changed files back: cp ended with {status}");
            }
        }
        Ok(())
    }
}

struct Changing<'a> {
    working: &'a Path,
    seed: u64,
    vocabulary: Vocabulary,
    paths: Vec<PathBuf>,
}

impl Changing<'_> {
    fn folder(&mut self, relative: &Path) -> Result<()> {
        // The whole listing first: new files must not be met again.
        let listing = fs::read_dir(self.working.join(relative)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        for entry in listing.with_context(|| format!("listing {}", relative.display()))? {
            let (path, kind) = (relative.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() {
                self.folder(&path)?;
            } else if kind.is_file() {
                self.draw(path).context("changing a file")?;
            }
        }
        Ok(())
    }

    fn draw(&mut self, path: PathBuf) -> Result<()> {
        let mut dice = Dice::named(self.seed, path.as_os_str().as_bytes());
        if !dice.once_in(ONE_IN) {
            return Ok(());
        }
        let changed = match dice.below(10) {
            0 => {
                fs::remove_file(self.working.join(&path))?;
                path
            }
            1 => self.add_neighbour(path, &mut dice)?,
            _ => self.edit(path, &mut dice)?,
        };
        self.paths.push(changed);
        Ok(())
    }

    fn add_neighbour(&self, path: PathBuf, dice: &mut Dice) -> Result<PathBuf> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let (neighbour, length) = (path.with_file_name(name), dice.below(NEW_FILE_BYTES_MAX));
        fs::write(self.working.join(&neighbour), compose(Genre::Source, &self.vocabulary, dice, length))?;
        Ok(neighbour)
    }

    fn edit(&self, path: PathBuf, dice: &mut Dice) -> Result<PathBuf> {
        let file = File::options().write(true).open(self.working.join(&path))?;
        let length = file.metadata()?.len();
        let offset = dice.below(length as usize) as u64;
        let bytes = 1 + dice.below(EDIT_BYTES_MAX);
        file.write_all_at(compose(Genre::Prose, &self.vocabulary, dice, bytes).as_bytes(), offset)?;
        Ok(path)
    }

    fn image(&mut self, path: &Path) -> Result<()> {
        let file = File::options().write(true).open(self.working.join(path))?;
        for block in 0..file.metadata()?.len() / BLOCK_BYTES {
            let mut dice = Dice::seeded(&[self.seed, block]);
            if dice.once_in(ONE_IN) {
                let genre = Genre::ALL[dice.below(Genre::ALL.len())];
                let text = compose(genre, &self.vocabulary, &mut dice, BLOCK_BYTES as usize);
                file.write_all_at(text.as_bytes(), block * BLOCK_BYTES)?;
            }
        }
        self.paths.push(path.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..files {
            let inner = folder.path().join(format!("d{}", number % 7));
            fs::create_dir_all(&inner).unwrap();
            fs::write(inner.join(format!("f{number}")), format!("{number}").repeat(40)).unwrap();
        }
        folder
    }

    fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        for inner in fs::read_dir(folder).unwrap() {
            for file in fs::read_dir(inner.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                files.push((path.strip_prefix(folder).unwrap().to_owned(), bytes));
            }
        }
        files.sort();
        files
    }

    #[test]
    fn about_one_per_cent_changes_and_comes_back() {
        let (pristine, working) = (tree(3000), tree(3000));
        let change = Change::apply(Corpus::Small, working.path(), 7).unwrap();
        assert!((15..60).contains(&change.files()), "{} of 3000 files changed", change.files());
        let (before, after) = (content(pristine.path()), content(working.path()));
        let same = after.iter().filter(|file| before.contains(file)).count();
        assert!(same < before.len() && same >= before.len() - change.files());
        assert!(after.iter().any(|(path, _)| path.to_string_lossy().ends_with(".new")));
        change.revert(pristine.path(), working.path()).unwrap();
        assert_eq!(content(working.path()), before);
    }

    #[test]
    fn the_same_seed_makes_the_same_change() {
        let trees = [tree(1000), tree(1000), tree(1000)];
        for (folder, seed) in trees.iter().zip([7, 7, 8]) {
            Change::apply(Corpus::Small, folder.path(), seed).unwrap();
        }
        let [first, second, third] = trees.each_ref().map(|folder| content(folder.path()));
        assert_eq!(first, second);
        assert_ne!(first, third);
    }
}
