//! Where one candidate works during one round: its program, its folders, and what it backs up.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The password of every repository; what it is does not matter, that there is one does.
pub(crate) const PASSWORD: &str = "not a secret";

/// All paths are absolute and lie on one file system.
#[derive(Debug)]
pub(crate) struct Site {
    program: PathBuf,
    home: PathBuf,
    source: PathBuf,
    one_file: PathBuf,
}

impl Site {
    pub(crate) fn new(program: PathBuf, home: PathBuf, source: PathBuf, one_file: PathBuf) -> Self {
        Site { program, home, source, one_file }
    }

    /// The program, started in the source, knowing nothing of the user's own settings and caches.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.source).env_clear().env("LANG", "C.UTF-8").env("HOME", &self.home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("XDG_CACHE_HOME", self.cache()).env("XDG_CONFIG_HOME", self.home.join("config"));
        command.env("STRONGROOM_STATE_DIR", self.home.join("state")).env("STRONGROOM_CACHE_DIR", self.cache());
        command
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    /// The file that the restore of one file asks for, relative to the source.
    pub(crate) fn one_file(&self) -> &Path {
        &self.one_file
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.home.join("repository")
    }

    pub(crate) fn repository_url(&self) -> OsString {
        let mut url = OsString::from("file://");
        url.push(self.repository());
        url
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.home.join("cache")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.home.join("key")
    }

    pub(crate) fn password(&self) -> PathBuf {
        self.home.join("password")
    }

    pub(crate) fn print_password(&self) -> OsString {
        let mut command = OsString::from("cat ");
        command.push(self.password());
        command
    }

    /// The fresh directory of a restore.
    pub(crate) fn target(&self) -> PathBuf {
        self.home.join("target")
    }

    /// Where a tool's standard output goes when it prints the one file.
    pub(crate) fn printed_file(&self) -> PathBuf {
        self.target().join("printed")
    }
}
