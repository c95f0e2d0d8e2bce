//! The program as one user on one machine calls it: a repository, a key, and folders for what the program remembers.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::program::{self, Outcome, Running};

/// One user of one repository. Another client of the same repository is another machine.
#[derive(Debug, Clone)]
pub struct Client {
    /// The folder of the repository, or its URL.
    pub repository: PathBuf,
    /// The key file.
    pub key: PathBuf,
    /// What can be lost at any time.
    pub cache: PathBuf,
    /// What it knows of its last runs.
    pub state: PathBuf,
    /// Where it is at home; both of these are below it.
    pub home: PathBuf,
    program: Option<PathBuf>,
    environment: Vec<(&'static str, String)>,
}

impl Client {
    /// A client with its folders below `home`.
    #[must_use]
    pub fn new(home: &Path, repository: &Path, key: &Path) -> Self {
        let (cache, state) = (home.join("cache"), home.join("state"));
        let (repository, key, home) = (repository.into(), key.into(), home.into());
        Self { repository, key, cache, state, home, program: None, environment: Vec::new() }
    }

    /// The same user and machine, with another repository.
    #[must_use]
    pub fn at(&self, repository: &Path) -> Self {
        Self { repository: repository.into(), ..self.clone() }
    }

    /// The same user and machine, with another cache.
    #[must_use]
    pub fn with_cache(&self, cache: &Path) -> Self {
        Self { cache: cache.into(), ..self.clone() }
    }

    /// The same user and machine, with another memory of its last runs.
    #[must_use]
    pub fn with_state(&self, state: &Path) -> Self {
        Self { state: state.into(), ..self.clone() }
    }

    /// The same machine, with another key.
    #[must_use]
    pub fn with_key(&self, key: &Path) -> Self {
        Self { key: key.into(), ..self.clone() }
    }

    /// The same user and machine, with the program at another place.
    #[must_use]
    pub fn with_program(&self, program: &Path) -> Self {
        Self { program: Some(program.into()), ..self.clone() }
    }

    /// The same user and machine, with more in the environment; what is there already is replaced.
    #[must_use]
    pub fn with_environment(&self, more: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let mut environment = self.environment.clone();
        environment.extend(more);
        Self { environment, ..self.clone() }
    }

    /// The bare program in this user's environment.
    pub fn program(&self) -> Result<Command> {
        self.program_through(&[])
    }

    /// The bare program, started by another one (`strace`, `setpriv`) whose command line this is.
    pub fn program_through(&self, starter: &[String]) -> Result<Command> {
        let strongroom = self.program.clone().map_or_else(program::strongroom, Ok)?.into_os_string();
        let mut words = starter.iter().map(|word| word.clone().into()).chain([strongroom]);
        let mut command = Command::new(words.next().context("there is a program")?);
        command.args(words).env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", &self.home).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env("RUST_BACKTRACE", "1");
        command.env("STRONGROOM_CACHE_DIR", &self.cache).env("STRONGROOM_STATE_DIR", &self.state);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// A command that takes `--repo` and `--key`: its name, then its arguments.
    pub fn command<S: AsRef<OsStr>>(&self, name: &str, arguments: impl IntoIterator<Item = S>) -> Result<Command> {
        self.command_through(&[], name, arguments)
    }

    /// The same, started by another program.
    pub fn command_through<S: AsRef<OsStr>>(
        &self,
        starter: &[String],
        name: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Command> {
        let mut command = self.program_through(starter)?;
        command.args(name.split(' ')).arg("--repo").arg(&self.repository).arg("--key").arg(&self.key).args(arguments);
        Ok(command)
    }

    /// Runs such a command to its end. Whatever it prints, it never prints a secret.
    pub fn run<S: AsRef<OsStr>>(&self, name: &str, arguments: impl IntoIterator<Item = S>) -> Result<Outcome> {
        self.keeps_secrets(program::run(&mut self.command(name, arguments)?)?)
    }

    /// Starts such a command.
    pub fn start<S: AsRef<OsStr>>(&self, name: &str, arguments: impl IntoIterator<Item = S>) -> Result<Running> {
        Running::start(&mut self.command(name, arguments)?)
    }

    /// Runs one of the `repo` commands, which take the repository as their argument.
    pub fn run_repo<S: AsRef<OsStr>>(&self, name: &str, arguments: impl IntoIterator<Item = S>) -> Result<Outcome> {
        let mut command = self.program()?;
        command.args(["repo", name]).arg(&self.repository).arg("--key").arg(&self.key).args(arguments);
        self.keeps_secrets(program::run(&mut command)?)
    }

    /// Makes the repository, and its first key.
    pub fn init(&self) -> Result<Outcome> {
        let mut command = self.program()?;
        command.args(["repo", "init"]).arg(&self.repository).arg("--key-file").arg(&self.key);
        self.keeps_secrets(program::run(&mut command)?.expect(0)?)
    }

    /// A backup that reads every file; returns the snapshot's id.
    pub fn backup(&self, source: &Path) -> Result<String> {
        snapshot_of(&self.run("backup", [OsStr::new("--json"), source.as_os_str()])?.expect(0)?)
    }

    /// Restores everything of a snapshot; says how that ended.
    pub fn restore(&self, snapshot: &str, target: &Path) -> Result<Outcome> {
        self.run("restore", [OsStr::new(snapshot), OsStr::new("--target"), target.as_os_str()])
    }

    /// Ids of all snapshots, oldest first.
    pub fn snapshots(&self) -> Result<Vec<String>> {
        let listed = self.run("snapshots", ["--json"])?.expect(0)?;
        snapshots_in(&listed).with_context(|| format!("no list of snapshots from\n{listed}"))
    }

    /// Checks the repository.
    pub fn check(&self) -> Result<Outcome> {
        self.run_repo("check", ["--json"])
    }

    /// Checks every byte of the repository.
    pub fn check_data(&self) -> Result<Outcome> {
        self.run_repo("check", ["--read-data", "--json"])
    }

    /// No output ever holds a secret of the key file that was used.
    fn keeps_secrets(&self, outcome: Outcome) -> Result<Outcome> {
        let text = outcome.text();
        for secret in secrets_of(&self.key) {
            ensure!(!text.contains(&secret), "a secret of {} was printed by\n{outcome}", self.key.display());
        }
        Ok(outcome)
    }
}

/// Where a restore puts a source: below the target, under its whole path.
#[must_use]
pub fn restored(target: &Path, source: &Path) -> PathBuf {
    target.join(source.strip_prefix("/").unwrap_or(source))
}

/// The id of the snapshot that a backup made.
pub fn snapshot_of(backup: &Outcome) -> Result<String> {
    let made = backup.json()?;
    let id = made["snapshot"].as_str().with_context(|| format!("no snapshot named by\n{backup}"))?;
    Ok(id.to_owned())
}

/// The ids in what `snapshots --json` printed.
#[must_use]
pub fn snapshots_in(listed: &Outcome) -> Option<Vec<String>> {
    let document = listed.json().ok()?;
    let rows = document.get("snapshots").unwrap_or(&document).as_array()?;
    rows.iter().map(|row| row["id"].as_str().map(str::to_owned)).collect()
}

/// The secret values of a key file, as far as it is one.
fn secrets_of(key: &Path) -> Vec<String> {
    let file: Option<Value> = fs::read(key).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let secret = |name: &str| file.as_ref()?[name].as_str().map(str::to_owned);
    ["private-key", "writer-secret", "signing-key"].into_iter().filter_map(secret).collect()
}
