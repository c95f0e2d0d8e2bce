//! A place of its own for one test, gone at its end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::Client;
use crate::program;

/// Names the folder below which all sandboxes lie; it must be on a real disk and open to every user.
const FOLDER: &str = "STRONGROOM_TESTS_DIR";

/// One test's folder, with a client that has a cache, a state folder, a home and a key of its own in it.
#[derive(Debug)]
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    /// An empty place.
    pub fn new(name: &str) -> Result<Self> {
        let below = std::env::var_os(FOLDER).map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        let root = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(&below);
        let root = root.with_context(|| format!("make a folder in {}", below.display()))?;
        // Some tests act as another user, who has to get in.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self { root })
    }

    /// A place with a new, empty repository, and its client.
    pub fn with_repository(name: &str) -> Result<(Self, Client)> {
        let sandbox = Self::new(name)?;
        let client = sandbox.client("client");
        client.init()?;
        Ok((sandbox, client))
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A new folder in it.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A client of the repository in this place, with folders of its own: another `name` is another machine.
    #[must_use]
    pub fn client(&self, name: &str) -> Client {
        Client::new(&self.path(name), &self.path("repository"), &self.path("key.json"))
    }
}

/// Copies a tree with everything that `cp -a` keeps.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    program::tool(Command::new("cp").arg("-a").arg("--reflink=auto").arg(from).arg(to)).map(|_| ())
}

/// Removes a tree or a file that may be there.
pub fn remove(path: &Path) -> Result<()> {
    program::tool(Command::new("rm").arg("-rf").arg(path)).map(|_| ())
}
