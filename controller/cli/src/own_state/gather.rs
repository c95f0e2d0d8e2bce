//! Gathering a controller's state into one directory.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use strongroom_controller::journal::Journal;
use strongroom_controller::site::Loaded;
use strongroom_repository::RepositoryId;

use super::{ABOUT, About, JournalAbout, KEYS, LAYOUT, SITE, STATE, SiteAbout};
use crate::backup::{host_name, program};
use crate::context::Context;
use crate::failure::{Cause, Doing, Failure};
use crate::fleet::JOURNAL;

/// Where a controller's state is.
#[derive(Debug)]
pub(crate) struct Origins<'a> {
    pub(crate) journal: &'a Journal,
    /// The site's directory.
    pub(crate) site: &'a Path,
    /// The site that is in force.
    pub(crate) in_force: &'a Loaded,
    /// The state folder.
    pub(crate) state: &'a Path,
    /// The key files that the controller uses.
    pub(crate) keys: BTreeMap<RepositoryId, PathBuf>,
}

/// What was gathered.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) about: About,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// A site or a state folder in which more lies than this has something in it that is neither.
const BYTES_MAX: u64 = 4 << 30;

/// What the state folder has at its top that is made anew, or copied in another way.
const LEFT_OUT: [&str; 5] = ["sources", "scratch", JOURNAL, "journal.db-wal", "journal.db-shm"];

/// Gathers it in `into`, which is there, empty, and its owner's alone.
pub(crate) fn gather(origins: &Origins<'_>, into: &Path, context: &Context) -> Result<Gathered, Failure> {
    let what = || "gather the controller's state".to_owned();
    let state = into.join(STATE);
    let (mut copied, kept_apart) = (Copied::default(), origins.state.to_owned());
    let mut left_out: Vec<PathBuf> = LEFT_OUT.iter().map(|name| origins.state.join(name)).collect();
    left_out.push(into.to_owned());
    copied.tree(origins.state, &state, &left_out).doing(what)?;
    copied.tree(origins.site, &into.join(SITE), &[kept_apart]).doing(what)?;
    copied.keys(&origins.keys, &into.join(KEYS)).doing(what)?;
    let journal = state.join(JOURNAL);
    let (entry, hash) = context.wait("copy the journal", origins.journal.copy_to(&journal))?;
    copied.made(&journal).doing(what)?;
    let site = Loaded::read(&into.join(SITE)).doing(|| format!("read the site {}", origins.site.display()))?;
    let directory = std::path::absolute(origins.site).map_err(failed("find", origins.site)).doing(what)?;
    let about = About {
        strongroom_controller: LAYOUT,
        program: program(),
        machine: host_name()?,
        time: Timestamp::now(),
        site: SiteAbout {
            name: site.site.name().to_string(),
            directory: directory.display().to_string(),
            version: site.version,
            commit: site.commit,
            in_force: origins.in_force.version.clone(),
        },
        journal: JournalAbout { entry, hash: hash.to_string() },
        keys: origins.keys.keys().copied().collect(),
    };
    // BUG if it fails: strings and numbers serialise.
    let text = serde_json::to_string_pretty(&about).expect("what it is of serialises") + "\n";
    let path = into.join(ABOUT);
    fs::write(&path, text).map_err(failed("write", &path)).doing(what)?;
    copied.made(&path).doing(what)?;
    Ok(Gathered { about, files: copied.files, bytes: copied.bytes })
}

/// What was copied so far.
#[derive(Debug, Default)]
struct Copied {
    files: u64,
    bytes: u64,
}

impl Copied {
    /// Copies a directory: files, directories and links as what they are, and nothing else.
    fn tree(&mut self, from: &Path, into: &Path, left_out: &[PathBuf]) -> Result<(), Cause> {
        let mode = fs::metadata(from).map_err(failed("read", from))?.permissions().mode();
        DirBuilder::new().mode(0o700 | mode).create(into).map_err(failed("create", into))?;
        for entry in fs::read_dir(from).map_err(failed("read", from))? {
            let entry = entry.map_err(failed("read", from))?;
            let (path, copy) = (entry.path(), into.join(entry.file_name()));
            let kind = entry.file_type().map_err(failed("look at", &path))?;
            if left_out.contains(&path) {
                continue;
            }
            if kind.is_dir() {
                self.tree(&path, &copy, left_out)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(failed("read", &path))?;
                symlink(target, &copy).map_err(failed("create", &copy))?;
            } else if kind.is_file() {
                self.file(&path, &copy)?;
            }
        }
        Ok(())
    }

    fn keys(&mut self, keys: &BTreeMap<RepositoryId, PathBuf>, into: &Path) -> Result<(), Cause> {
        DirBuilder::new().mode(0o700).create(into).map_err(failed("create", into))?;
        keys.iter().try_for_each(|(repository, path)| self.file(path, &into.join(format!("{repository}.json"))))
    }

    fn file(&mut self, from: &Path, into: &Path) -> Result<(), Cause> {
        match fs::copy(from, into) {
            // It went while the directory was read, as temporary files do.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            copied => self.bytes += copied.map_err(failed("copy", from))?,
        }
        self.files += 1;
        if self.bytes > BYTES_MAX {
            let why = format!("more than {} GiB lie in the site's directory and the state folder", BYTES_MAX >> 30);
            return Err(Cause::Usage(why));
        }
        Ok(())
    }

    /// Counts a file that was made here, and keeps it to its owner.
    fn made(&mut self, path: &Path) -> Result<(), Cause> {
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("keep to its owner", path))?;
        self.bytes += fs::metadata(path).map_err(failed("look at", path))?.len();
        self.files += 1;
        Ok(())
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Cause {
    let path = path.to_owned();
    move |source| Cause::File { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_copied_without_what_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("from/kept/empty")).unwrap();
        fs::create_dir_all(path("from/sources")).unwrap();
        fs::write(path("from/kept/file"), "1").unwrap();
        fs::write(path("from/sources/large"), "2").unwrap();
        symlink("nowhere", path("from/link")).unwrap();
        fs::set_permissions(path("from/kept/file"), Permissions::from_mode(0o640)).unwrap();
        let mut copied = Copied::default();
        copied.tree(&path("from"), &path("into"), &[path("from/sources")]).unwrap();
        assert_eq!((copied.files, copied.bytes), (1, 1));
        assert_eq!(fs::read_link(path("into/link")).unwrap(), Path::new("nowhere"));
        let mode = fs::metadata(path("into/kept/file")).unwrap().permissions().mode();
        assert!(mode & 0o777 == 0o640 && path("into/kept/empty").is_dir() && !path("into/sources").exists());
    }
}
