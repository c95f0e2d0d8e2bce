//! That a lab exists: a file with its name, locked as long as the process that owns the lab lives. The kernel lets go of the lock however that process ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::RngExt;

/// Where the records of all labs of this machine lie; `tests/lab` knows it too.
const FOLDER: &str = "/run/strongroom-lab";

/// The owner's hold on a lab.
#[derive(Debug)]
pub(super) struct Record {
    name: String,
    _locked: File,
}

impl Record {
    /// Takes a name that no lab of this machine has, and does what must not be done for two labs at once.
    pub(super) fn begin<T>(alone: impl FnOnce(&str) -> Result<T>) -> Result<(Self, T)> {
        let folder = Path::new(FOLDER);
        fs::create_dir_all(folder)?;
        let turn = File::create(folder.join("lock"))?;
        // Until this is let go of at the return, nobody else begins a lab or looks for dead ones.
        turn.lock()?;
        let (name, path) = fresh_name(folder);
        let locked = File::create_new(&path).with_context(|| format!("make {}", path.display()))?;
        locked.lock()?;
        let record = Self { name, _locked: locked };
        let done = alone(&record.name)?;
        Ok((record, done))
    }

    /// The lab's name: six letters, short enough for the kernel's names of network interfaces.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

fn fresh_name(folder: &Path) -> (String, PathBuf) {
    let mut dice = rand::rng();
    loop {
        let name: String = (0..6).map(|_| char::from(dice.random_range(b'a'..=b'z'))).collect();
        let path = folder.join(&name);
        if !path.exists() {
            return (name, path);
        }
    }
}
