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
