//! What there is to know about a target before its content is looked at.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_repository::text::escape;

use super::options::RestoreOptions;
use super::owners::OwnerMap;
use super::plan::Resumes;
use super::staging;
use super::survey::Survey;

/// The target as it is.
#[derive(Debug)]
pub(super) struct Ground {
    /// For a look at what it holds; none if it is empty or absent.
    pub(super) survey: Option<Survey>,
    pub(super) resumes: Resumes,
    /// The target with every link on the way followed.
    pub(super) real: PathBuf,
    /// Other unfinished restores.
    pub(super) unfinished: Vec<String>,
    /// Room for who is not root.
    pub(super) free_bytes: u64,
}

impl Ground {
    /// Looks at the target. Blocking.
    pub(super) fn of(options: &RestoreOptions, staging: &str, owners: Arc<OwnerMap>) -> io::Result<Self> {
        let target = options.target.as_path();
        let room = rustix::fs::statvfs(nearest(target))?;
        Ok(Self {
            survey: Survey::new(options, owners)?,
            resumes: resumes(&target.join(staging)),
            real: real(target)?,
            unfinished: unfinished(target, staging)?,
            free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
        })
    }
}

/// The target, or the directory that it will be made in.
fn nearest(target: &Path) -> PathBuf {
    let existing = target.ancestors().find(|path| path.is_dir());
    existing.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// The nearest that exists, links followed, and the rest as it is written. A link that leads nowhere is a fault: nobody could tell where it will lead.
fn real(target: &Path) -> io::Result<PathBuf> {
    let target = std::path::absolute(target)?;
    for existing in target.ancestors() {
        match existing.symlink_metadata() {
            Ok(_) => {
                let below = target.strip_prefix(existing).unwrap_or(Path::new(""));
                // No trailing slash where there is nothing below.
                return Ok(existing.canonicalize()?.components().chain(below.components()).collect());
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(target)
}

fn resumes(staging: &Path) -> Resumes {
    match (staging.join("note").exists(), staging.join("tree").exists()) {
        (true, _) => Resumes::Placing,
        (false, true) => Resumes::Staging,
        (false, false) => Resumes::Nothing,
    }
}

fn unfinished(target: &Path, own: &str) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(target) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(staging::PREFIX.as_bytes()) && name != own.as_bytes() {
            names.push(escape(name));
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_where_its_links_lead() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        std::fs::create_dir(top.join("data")).unwrap();
        std::os::unix::fs::symlink("data", top.join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", top.join("lost")).unwrap();
        let real = |name: &str| real(&top.join(name)).ok();
        assert_eq!(real("data"), Some(top.join("data")));
        assert_eq!(real("link"), Some(top.join("data")));
        assert_eq!(real("link/not/yet"), Some(top.join("data/not/yet")));
        assert_eq!(real("plain/not/yet"), Some(top.join("plain/not/yet")));
        assert_eq!((real("lost"), real("lost/below")), (None, None));
    }

    #[test]
    fn traces_of_restores_are_told_apart() {
        let top = tempfile::tempdir().unwrap();
        let own = format!("{}own", staging::PREFIX);
        let ground = |target: &Path| Ground::of(&RestoreOptions::into_target(target), &own, Arc::default()).unwrap();
        let fresh = ground(&top.path().join("not/yet"));
        assert!(fresh.free_bytes > 0 && fresh.survey.is_none() && fresh.resumes == Resumes::Nothing);
        std::fs::create_dir_all(top.path().join(&own).join("tree")).unwrap();
        std::fs::create_dir(top.path().join(format!("{}other", staging::PREFIX))).unwrap();
        let resumed = ground(top.path());
        assert_eq!(
            (resumed.resumes, resumed.unfinished),
            (Resumes::Staging, vec![format!("{}other", staging::PREFIX)])
        );
        std::fs::write(top.path().join(&own).join("note"), "").unwrap();
        assert_eq!(ground(top.path()).resumes, Resumes::Placing);
    }
}
