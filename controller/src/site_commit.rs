//! A site's directory and git: which commit is in force, and what the files were at another one.
//!
//! Git is asked as a program, without a shell, and with what a repository's own configuration would start switched off.

use std::path::Path;
use std::process::Command;

use strongroom_plans::SiteFiles;

use crate::site::SiteError;

/// What a repository's own configuration would start has no business here.
const SAFE: [&str; 4] = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];

/// The commit of a clean work tree. Where git is not there, or the directory is none of its, or something is not committed, the content hash alone is the version.
pub(crate) fn git_commit(directory: &Path) -> Option<String> {
    let line = |arguments: &[&str]| {
        let answer = git(directory, "show the commit", arguments).ok()?;
        Some(String::from_utf8_lossy(&answer).trim().to_owned())
    };
    let changes = line(&["status", "--porcelain", "--", "."])?;
    changes.is_empty().then(|| line(&["rev-parse", "HEAD"]))?
}

/// The files of a site as they were at a commit, a branch or a tag; faults show them as `DIRECTORY@COMMIT/site.yaml`.
pub fn files_at(directory: &Path, revision: &str) -> Result<SiteFiles, SiteError> {
    let find = format!("find the commit {revision} in {}", directory.display());
    let wanted = format!("{revision}^{{commit}}");
    let commit = git(directory, &find, &["rev-parse", "--quiet", "--verify", "--end-of-options", &wanted])?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let list = format!("list the files of {revision}");
    // Without --full-tree, names are those below the directory, which need not be the top of the work tree.
    let entries = git(directory, &list, &["ls-tree", "-r", "-z", &commit])?;
    let mut files = SiteFiles::new(format!("{}@{}", directory.display(), commit.get(..12).unwrap_or(&commit)));
    for entry in entries.split(|byte| *byte == 0) {
        // `100644 blob 3f2a…<tab>site.yaml`: of a link, git would give the text that it leads to.
        let Some((about, path)) = std::str::from_utf8(entry).ok().and_then(|entry| entry.split_once('\t')) else {
            continue;
        };
        let mut about = about.split(' ');
        let (mode, object) = (about.next().unwrap_or_default(), about.nth(1).unwrap_or_default());
        if mode.starts_with("100") && SiteFiles::concerns(path) {
            let content = git(directory, &format!("show {path} of {revision}"), &["cat-file", "blob", object])?;
            files.insert(path, content);
        }
    }
    Ok(files)
}

fn git(directory: &Path, doing: &str, arguments: &[&str]) -> Result<Vec<u8>, SiteError> {
    let failed = |said: String| SiteError::Git { doing: doing.to_owned(), said };
    let output = Command::new("git").arg("-C").arg(directory).args(SAFE).args(arguments).output();
    let output = output.map_err(|error| failed(format!("it cannot be started: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failed(if said.is_empty() { "there is none".to_owned() } else { said }))
}
