//! `strongroom site new`: a site to begin with.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_repository::store::Location;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::output::Answer;
use crate::shown::shell_word;

/// Write a site's directory to begin with
#[derive(Debug, Args)]
#[command(after_help = "\
Writes site.yaml, hosts.yaml and plans/nightly.yaml, and nothing over what is there. Keep the \
directory in git: every run then names the commit that it ran.

Examples:
  strongroom site new /etc/strongroom --repository /srv/strongroom
  strongroom site new /etc/strongroom --repository s3://backups/main
  strongroom site new /etc/strongroom --repository sftp://backup@nas/srv/strongroom")]
pub(crate) struct NewArgs {
    /// The directory; it is made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Where the backups are to be kept: a directory on this machine, s3://bucket/prefix or sftp://user@host/path
    #[arg(long, value_name = "URL")]
    repository: String,

    /// Only show the files
    #[arg(long)]
    dry_run: bool,
}

const HOSTS: &str = "\
# The hosts of this site. `strongroom host add NAME ADDRESS --site DIR` writes them here.
hosts: {}
";

/// Restore points go as the plans say, and no stored byte is left unread for long.
const MAINTENANCE: &str = "{ at: daily 05:00, scrub: { bytes: 100 GiB, time: 3h, every: 30d } }";

const NIGHTLY: &str = "\
# Every host, every night. Labels choose fewer: `hosts: role=db & env=prod`.
kind: backup
name: nightly
hosts: \"*\"
sources:
  - files: [/etc, /home, /root]
    exclude-caches: true
repository: main
schedule:
  full: weekly sun 01:30
  incremental: daily 01:30
  missed: run once within 18h
retain: { daily: 14, weekly: 8, monthly: 12, at-least: 3 }
prove: { level: restored }
";

pub(super) fn run(args: &NewArgs, context: &Context) -> Result<Exit, Failure> {
    let what = || format!("make the site {}", args.directory.display());
    let location = Location::parse(&args.repository).doing(what)?;
    let repository = location.folder().map_or_else(|| location.to_string(), |folder| folder.display().to_string());
    let site = format!(
        "# What all plans of this site share. `strongroom plan check --site DIR` finds every mistake at once.\n\
         name: {}\nzone: {}\nrepositories:\n  main:\n    at: {}\n    \
         maintenance: {MAINTENANCE}\n{}",
        site_name(&args.directory),
        zone(),
        serde_json::Value::from(&*repository),
        beside(&location)
    );
    let files = [("site.yaml", site.as_str()), ("hosts.yaml", HOSTS), ("plans/nightly.yaml", NIGHTLY)];
    if !args.dry_run {
        write(&args.directory, &files).doing(what)?;
    }
    let files = files.map(|(name, text)| Written { path: args.directory.join(name), text: text.to_owned() });
    let directory = args.directory.clone();
    context.output.answer(&Made { dry_run: args.dry_run, directory, repository, files: files.into() })?;
    Ok(Exit::Success)
}

/// What a location does not say, for those who come after the environment of this shell is gone.
fn beside(location: &Location) -> &'static str {
    match location {
        Location::Folder(_) => "",
        Location::S3(_) => {
            "    # What the controller's environment does not say; a secret never stands here.\n\
             \x20   # endpoint: https://s3.example.org:9000\n    # region: us-east-1\n    # ca: /etc/strongroom/s3-ca.pem\n\
             \x20   # credentials-file: /etc/strongroom/s3-credentials\n"
        }
        Location::Sftp(_) => {
            "    # What the controller's environment does not say.\n\
             \x20   # ssh-key: /etc/strongroom/nas-key\n    # known-hosts: /etc/strongroom/nas-known-hosts\n"
        }
    }
}

fn site_name(directory: &Path) -> String {
    let name = directory.file_name().and_then(|name| name.to_str());
    name.filter(|name| name.parse::<strongroom_plans::Name>().is_ok()).unwrap_or("site").to_owned()
}

/// This machine's zone: the schedule is meant by the clock on the wall.
fn zone() -> String {
    jiff::tz::TimeZone::system().iana_name().unwrap_or("UTC").to_owned()
}

/// All or nothing: what is there stays as it is.
fn write(directory: &Path, files: &[(&str, &str)]) -> Result<(), Cause> {
    if let Some((taken, _)) = files.iter().find(|(name, _)| directory.join(name).exists()) {
        return Err(Cause::Usage(format!("{} is there already", directory.join(taken).display())));
    }
    fs::create_dir_all(directory.join("plans")).map_err(file("create", directory))?;
    files.iter().try_for_each(|(name, text)| {
        let path = directory.join(name);
        let mut out = fs::File::create_new(&path).map_err(file("create", &path))?;
        out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(file("write", &path))
    })
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Cause {
    let path = path.to_owned();
    move |source| Cause::File { doing, path, source }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Made {
    dry_run: bool,
    directory: PathBuf,
    repository: String,
    files: Vec<Written>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Written {
    path: PathBuf,
    text: String,
}

impl Answer for Made {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.dry_run {
            self.files.iter().try_for_each(|file| writeln!(out, "--- {}\n{}", file.path.display(), file.text))?;
            return writeln!(out, "nothing was written");
        }
        for file in &self.files {
            writeln!(out, "wrote {}", file.path.display())?;
        }
        let directory = shell_word(&self.directory);
        writeln!(out, "next:")?;
        writeln!(out, "  strongroom repo init {}", shell_word(Path::new(&self.repository)))?;
        writeln!(out, "  strongroom host add NAME ADDRESS --site {directory}")?;
        writeln!(out, "  strongroom serve --site {directory}")
    }
}

#[cfg(test)]
mod tests {
    use strongroom_plans::{Site, SiteFiles};

    use super::*;

    #[test]
    fn a_new_site_lacks_only_hosts() {
        let repositories =
            format!("repositories:\n  main:\n    at: \"/srv/strongroom\"\n    maintenance: {MAINTENANCE}\n");
        let mut files = SiteFiles::new("site");
        files.insert("site.yaml", format!("name: site\nzone: UTC\n{repositories}"));
        files.insert("plans/nightly.yaml", NIGHTLY);
        files.insert("hosts.yaml", "hosts:\n  web1:\n    address: 10.0.0.5\n");
        Site::read(&files).unwrap();
        files.insert("hosts.yaml", HOSTS);
        let faults = Site::read(&files).unwrap_err().to_string();
        assert!(faults.contains("no host"), "{faults}");
    }
}
