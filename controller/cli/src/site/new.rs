//! `strongroom site new`: a site to begin with.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

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
  strongroom site new /etc/strongroom --repository /srv/strongroom")]
pub(crate) struct NewArgs {
    /// The directory; it is made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Where the backups are to be kept, on this machine
    #[arg(long, value_name = "DIR")]
    repository: PathBuf,

    /// Only show the files
    #[arg(long)]
    dry_run: bool,
}

const HOSTS: &str = "\
# The hosts of this site. `strongroom host add NAME ADDRESS --site DIR` writes them here.
hosts: {}
";

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
    let repository = std::path::absolute(&args.repository);
    let repository = repository.map_err(file("find", &args.repository)).doing(what)?;
    let Some(repository) = repository.to_str() else {
        return Err(Failure::new(what(), Cause::Usage("the path of its repository is not UTF-8".into())));
    };
    let site = format!(
        "# What all plans of this site share. `strongroom plan check --site DIR` finds every mistake at once.\n\
         name: {}\nzone: {}\nrepositories:\n  main: {{ at: {} }}\n",
        site_name(&args.directory),
        zone(),
        serde_json::Value::from(repository)
    );
    let files = [("site.yaml", site.as_str()), ("hosts.yaml", HOSTS), ("plans/nightly.yaml", NIGHTLY)];
    if !args.dry_run {
        write(&args.directory, &files).doing(what)?;
    }
    let files = files.map(|(name, text)| Written { path: args.directory.join(name), text: text.to_owned() });
    let repository = repository.to_owned();
    let directory = args.directory.clone();
    context.output.answer(&Made { dry_run: args.dry_run, directory, repository, files: files.into() })?;
    Ok(Exit::Success)
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
        let site = "name: site\nzone: UTC\nrepositories:\n  main: { at: \"/srv/strongroom\" }\n";
        let mut files = SiteFiles::new("site");
        files.insert("site.yaml", site);
        files.insert("plans/nightly.yaml", NIGHTLY);
        files.insert("hosts.yaml", "hosts:\n  web1:\n    address: 10.0.0.5\n");
        Site::read(&files).unwrap();
        files.insert("hosts.yaml", HOSTS);
        let faults = Site::read(&files).unwrap_err().to_string();
        assert!(faults.contains("no host"), "{faults}");
    }
}
