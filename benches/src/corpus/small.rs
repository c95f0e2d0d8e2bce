//! Half a million small files: the tree of a busy file server or of a mail store, where the cost is per file, not per byte.
//!
//! Sizes are skewed as real ones are: up to 16 KiB times the cube of a uniform number, so half of the files are below 2 KiB, the mean is
//! 4 KiB and a few come near 16 KiB; one in two hundred is empty. Every directory has one or two genres, as real directories do.

use crate::dice::Dice;
use crate::text::{Genre, compose};
use crate::vocabulary::Vocabulary;
use anyhow::{Result, anyhow};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// 50 areas of 50 directories of 200 files.
const AREAS: usize = 50;
const DIRECTORIES_PER_AREA: usize = 50;
const FILES_PER_DIRECTORY: usize = 200;
/// The shortest text that is not empty, and the longest.
const FILE_BYTES: [f64; 2] = [24.0, 16_384.0];
const SEED: u64 = 0x0500_0000;

/// A file of some kilobytes in a directory in the middle; its extension is fixed by the seed, which a test pins.
pub(super) const ONE_FILE: &str = "area-25/store-25/item-005.log";

pub(super) fn generate(folder: &Path) -> Result<()> {
    let vocabulary = Vocabulary::seeded(SEED);
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let vocabulary = &vocabulary;
                let areas = (worker..AREAS).step_by(workers);
                scope.spawn(move || areas.into_iter().try_for_each(|area| write_area(folder, vocabulary, area)))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a generator thread panicked"))?)
    })
}

fn write_area(folder: &Path, vocabulary: &Vocabulary, area: usize) -> Result<()> {
    (0..DIRECTORIES_PER_AREA).try_for_each(|directory| write_directory(folder, vocabulary, area, directory))
}

fn write_directory(folder: &Path, vocabulary: &Vocabulary, area: usize, directory: usize) -> Result<()> {
    let path = folder.join(format!("area-{area:02}/store-{directory:02}"));
    fs::create_dir_all(&path)?;
    let mut dice = Dice::seeded(&[SEED, area as u64, directory as u64]);
    let genres = [Genre::ALL[dice.below(5)], Genre::ALL[dice.below(5)]];
    for file in 0..FILES_PER_DIRECTORY {
        let (name, text) = one_file(vocabulary, genres, &mut dice, file);
        fs::write(path.join(name), text)?;
    }
    Ok(())
}

fn one_file(vocabulary: &Vocabulary, genres: [Genre; 2], dice: &mut Dice, file: usize) -> (PathBuf, String) {
    let genre = genres[usize::from(dice.once_in(4))];
    let [shortest, longest] = FILE_BYTES;
    let length = if dice.once_in(200) { 0.0 } else { shortest + (longest - shortest) * dice.unit().powi(3) };
    let name = PathBuf::from(format!("item-{file:03}.{}", genre.extension()));
    (name, compose(genre, vocabulary, dice, length as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_the_same_every_time_and_holds_the_one_file() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let vocabulary = Vocabulary::seeded(SEED);
        for folder in [&first, &second] {
            write_directory(folder.path(), &vocabulary, 25, 25).unwrap();
        }
        let one = fs::read(first.path().join(ONE_FILE)).unwrap();
        assert_eq!(one, fs::read(second.path().join(ONE_FILE)).unwrap());
        // The length in the corpora that exist: another one means another corpus, and then another version in its name.
        assert_eq!(one.len(), 14_621);
        assert_eq!(fs::read_dir(first.path().join("area-25/store-25")).unwrap().count(), FILES_PER_DIRECTORY);
    }
}
