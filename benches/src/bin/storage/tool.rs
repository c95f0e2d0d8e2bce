//! The tools, and their commands for a repository in any of the three places.
//!
//! Settings are those of `benches/peers`: encryption on, zstd at about level 3, every tool with its defaults otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::{All, machine};

/// The version of rustic that `benches/peers` installs.
const RUSTIC: &str = "rustic-0.11.4";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    Strongroom,
    Restic,
    Rustic,
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Strongroom => "strongroom",
            Self::Restic => "restic",
            Self::Rustic => "rustic",
        }
    }

    /// Its program.
    pub(crate) fn program(self, order: &All) -> Result<PathBuf> {
        let found = match (self, &order.strongroom) {
            (Self::Strongroom, Some(program)) => program.clone(),
            (Self::Strongroom, None) => std::env::current_exe()?.with_file_name("strongroom"),
            (Self::Restic, _) => machine::locate("restic", None)?,
            (Self::Rustic, _) => {
                let home = std::env::var_os("HOME").context("HOME is not set")?;
                machine::locate("rustic", Some(Path::new(&home).join(".cache/strongroom/peers").join(RUSTIC)))?
            }
        };
        found.canonicalize().with_context(|| format!("{} is missing", found.display()))
    }

    /// What it says of its version.
    pub(crate) fn version(self, order: &All) -> Result<String> {
        let word = if self == Self::Restic { "version" } else { "--version" };
        machine::version(self.name(), &self.program(order)?, &[word])
    }
}

/// A bucket and who may use it.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) endpoint: String,
    pub(crate) region: String,
    pub(crate) name: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

/// An sshd and how to get in.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) port: u16,
    pub(crate) key: PathBuf,
    pub(crate) known_hosts: PathBuf,
}

/// Where the repository lies.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Folder,
    /// Below a prefix.
    S3(Bucket, String),
    /// In the folder that it has as a local one, too.
    Sftp(Login),
}

/// A tool at work: its program, its own folder, what it backs up and where to.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) tool: Tool,
    program: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) source: PathBuf,
    place: Place,
}

impl Client {
    pub(crate) fn new(tool: Tool, order: &All, home: PathBuf, source: &Path, place: Place) -> Result<Self> {
        fs::create_dir_all(home.join("cache"))?;
        fs::create_dir_all(home.join("config/rustic"))?;
        fs::write(home.join("password"), "not a secret")?;
        let client = Self { tool, program: tool.program(order)?, home, source: source.to_owned(), place };
        client.write_profile()?;
        Ok(client)
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.home.join("repository")
    }

    /// The program in the source, with no settings or caches but its own.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        let path = std::env::var("PATH").unwrap_or_default();
        command.current_dir(&self.source).env_clear().env("LANG", "C.UTF-8").env("HOME", &self.home);
        // The first folder holds rustic's ssh.
        command.env("PATH", format!("{}:{path}", self.home.join("bin").display()));
        command.env("XDG_CACHE_HOME", self.home.join("cache")).env("XDG_CONFIG_HOME", self.home.join("config"));
        command.env("STRONGROOM_STATE_DIR", self.home.join("state"));
        command.env("STRONGROOM_CACHE_DIR", self.home.join("cache"));
        match &self.place {
            Place::Folder => {}
            Place::S3(bucket, _) => {
                command.env("STRONGROOM_S3_ENDPOINT", &bucket.endpoint).env("AWS_REGION", &bucket.region);
                command.env("AWS_DEFAULT_REGION", &bucket.region).env("AWS_ACCESS_KEY_ID", &bucket.access_key);
                command.env("AWS_SECRET_ACCESS_KEY", &bucket.secret_key);
            }
            Place::Sftp(login) => {
                command.env("STRONGROOM_SSH_KEY", &login.key).env("STRONGROOM_SSH_KNOWN_HOSTS", &login.known_hosts);
            }
        }
        match self.tool {
            Tool::Strongroom => {}
            Tool::Restic => self.restic_options(&mut command),
            Tool::Rustic => {
                command.args(["--log-level", "warn", "--no-progress"]);
                command.arg("--cache-dir").arg(self.home.join("cache"));
                command.arg("--password-file").arg(self.home.join("password"));
            }
        }
        command
    }

    fn restic_options(&self, command: &mut Command) {
        command.args(["--compression", "auto"]).arg("--cache-dir").arg(self.home.join("cache"));
        command.arg("--password-file").arg(self.home.join("password"));
        match &self.place {
            Place::Folder => command.arg("--repo").arg(self.repository()),
            Place::S3(bucket, prefix) => {
                command.args(["-o", "s3.bucket-lookup=path"]);
                command.arg("--repo").arg(format!("s3:{}/{}/{prefix}", bucket.endpoint, bucket.name))
            }
            Place::Sftp(login) => {
                let ssh = format!("sftp.command=ssh {} {}@127.0.0.1 -s sftp", ssh_options(login), login.user);
                command.arg("-o").arg(ssh).arg("--repo");
                command.arg(format!("sftp:{}@127.0.0.1:{}", login.user, self.repository().display()))
            }
        };
    }

    /// rustic's repository and its options stand in a file.
    fn write_profile(&self) -> Result<()> {
        let repository = self.repository().display().to_string();
        let text = match &self.place {
            Place::Folder => format!("[repository]\nrepository = \"{repository}\"\n"),
            Place::S3(bucket, prefix) => format!(
                "[repository]\nrepository = \"opendal:s3\"\n[repository.options]\nbucket = \"{}\"\nroot = \"/{prefix}\"\n\
                 endpoint = \"{}\"\nregion = \"{}\"\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
                bucket.name, bucket.endpoint, bucket.region, bucket.access_key, bucket.secret_key
            ),
            Place::Sftp(login) => {
                self.write_ssh(login)?;
                format!(
                    "[repository]\nrepository = \"opendal:sftp\"\n[repository.options]\nendpoint = \"ssh://127.0.0.1:{}\"\n\
                     user = \"{}\"\nkey = \"{}\"\nroot = \"{repository}\"\n",
                    login.port,
                    login.user,
                    login.key.display()
                )
            }
        };
        Ok(fs::write(self.home.join("config/rustic/rustic.toml"), text)?)
    }

    /// An `ssh` that knows this server and looks at nobody's settings: rustic starts the first that it finds.
    fn write_ssh(&self, login: &Login) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, real) = (self.home.join("bin"), machine::locate("ssh", None)?);
        fs::create_dir_all(&folder)?;
        let options = ssh_options(login);
        fs::write(folder.join("ssh"), format!("#!/bin/sh\nexec {} {options} \"$@\"\n", real.display()))?;
        Ok(fs::set_permissions(folder.join("ssh"), fs::Permissions::from_mode(0o755))?)
    }

    /// strongroom's way to say where.
    fn url(&self) -> String {
        match &self.place {
            Place::Folder => format!("file://{}", self.repository().display()),
            Place::S3(bucket, prefix) => format!("s3://{}/{prefix}", bucket.name),
            Place::Sftp(login) => {
                format!("sftp://{}@127.0.0.1:{}{}", login.user, login.port, self.repository().display())
            }
        }
    }

    /// A command of strongroom's that takes `--repo`.
    fn ours(&self, words: &[&str]) -> Command {
        let mut command = self.command();
        command.args(words).arg("--repo").arg(self.url()).arg("--key").arg(self.home.join("key"));
        command
    }

    fn theirs(&self, words: &[&str]) -> Command {
        let mut command = self.command();
        command.args(words);
        command
    }

    pub(crate) fn create(&self) -> Command {
        match self.tool {
            Tool::Strongroom => {
                let mut init = self.command();
                init.args(["repo", "init", &self.url()]).arg("--key-file").arg(self.home.join("key"));
                init
            }
            Tool::Restic => self.theirs(&["init"]),
            Tool::Rustic => self.theirs(&["init", "--set-compression", "3"]),
        }
    }

    pub(crate) fn backup(&self) -> Command {
        match self.tool {
            Tool::Strongroom => {
                let mut backup = self.ours(&["backup"]);
                backup.arg(&self.source);
                backup
            }
            Tool::Restic => self.theirs(&["--quiet", "backup", "."]),
            Tool::Rustic => self.theirs(&["backup", "--no-scan", "."]),
        }
    }

    pub(crate) fn restore(&self, target: &Path) -> Command {
        let mut restore = match self.tool {
            Tool::Strongroom => self.ours(&["restore", "latest"]),
            Tool::Restic => self.theirs(&["--quiet", "restore", "latest"]),
            Tool::Rustic => self.theirs(&["restore", "latest"]),
        };
        if self.tool != Tool::Rustic {
            restore.arg("--target");
        }
        restore.arg(target);
        restore
    }

    /// A file's content, as strongroom prints it.
    pub(crate) fn cat(&self, path: &Path) -> Command {
        let mut cat = self.ours(&["cat", "latest"]);
        cat.arg(path);
        cat
    }

    /// The ids of all snapshots, oldest first.
    pub(crate) fn snapshots(&self) -> Result<Vec<String>> {
        let mut list = match self.tool {
            Tool::Strongroom => self.ours(&["snapshots", "--json"]),
            Tool::Restic => self.theirs(&["snapshots", "--json"]),
            Tool::Rustic => self.theirs(&["snapshots", "--json"]),
        };
        let output = list.output()?;
        let mut found = Vec::new();
        for document in serde_json::Deserializer::from_slice(&output.stdout).into_iter() {
            collect(&document.context("the list of snapshots")?, &mut found);
        }
        found.sort();
        found.dedup();
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    pub(crate) fn forget(&self, ids: &[String]) -> Command {
        let mut forget = match self.tool {
            Tool::Strongroom => self.ours(&["forget", "--allow-many"]),
            Tool::Restic | Tool::Rustic => self.theirs(&["forget"]),
        };
        forget.args(ids);
        forget
    }

    /// With at most 5 % unneeded left, which is the default of all three, and everything deleted at once.
    pub(crate) fn prune(&self) -> Command {
        match self.tool {
            Tool::Strongroom => {
                let mut prune = self.command();
                prune.args(["repo", "prune", &self.url()]).arg("--key").arg(self.home.join("key"));
                prune
            }
            Tool::Restic => self.theirs(&["prune"]),
            Tool::Rustic => self.theirs(&["prune", "--instant-delete", "--max-repack", "unlimited"]),
        }
    }
}

fn ssh_options(login: &Login) -> String {
    format!(
        "-F none -p {} -i {} -o UserKnownHostsFile={} -o BatchMode=yes",
        login.port,
        login.key.display(),
        login.known_hosts.display()
    )
}

/// Every object with a time and an id of 64 digits is a snapshot; the tools group them in their own ways.
fn collect(value: &serde_json::Value, found: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        serde_json::Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(serde_json::Value::as_str);
            if let (Some(time), Some(id)) = (text("time"), text("id"))
                && id.len() == 64
            {
                found.push((time.to_owned(), id.to_owned()));
            } else {
                fields.values().for_each(|field| collect(field, found));
            }
        }
        _ => {}
    }
}
