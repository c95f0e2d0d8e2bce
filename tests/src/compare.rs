//! Whether two trees are the same, said by two witnesses that know nothing of the product: rsync, and our own record of what rsync does not look at
//! (holes, flags, times to the nanosecond).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::program;
use crate::record::{Record, record, record_but};

/// Differences that are shown; the first ones tell the story.
const SHOWN_MAX: usize = 20;

/// Fails unless the two trees are the same.
pub fn same(left: &Path, right: &Path) -> Result<()> {
    same_but(left, right, &[])
}

/// Fails unless the two trees are the same but for these names, relative to their tops, on either side.
pub fn same_but(left: &Path, right: &Path, but: &[&[u8]]) -> Result<()> {
    let mut found = differences(&record_but(left, but)?, &record_but(right, but)?);
    found.extend(by_rsync(left, right, but)?);
    ensure!(found.is_empty(), "{} and {} differ:\n{}", left.display(), right.display(), listed(&found));
    Ok(())
}

/// Fails unless two trees are the same by our record alone; for trees that are deeper than rsync can go.
pub fn same_by_record(left: &Path, right: &Path) -> Result<()> {
    let found = differences(&record(left)?, &record(right)?);
    ensure!(found.is_empty(), "{} and {} differ:\n{}", left.display(), right.display(), listed(&found));
    Ok(())
}

/// Fails unless everything of one tree is in another one as well, with the same content; what else is there does not matter.
pub fn holds_at_least(expected: &Path, found: &Path) -> Result<()> {
    let lost = lost(expected, found)?;
    let (expected, found) = (record(expected)?, record(found)?);
    let described: Vec<String> =
        lost.iter().filter_map(|name| difference(name, expected.get(name), found.get(name))).collect();
    ensure!(lost.is_empty(), "not all there:\n{}", listed(&described));
    Ok(())
}

/// What differs between a tree and what was restored of it: what was lost. A directory whose own entry is lost comes back for the sake of what is in it, but
/// with other metadata.
pub fn lost(source: &Path, restored: &Path) -> Result<BTreeSet<Vec<u8>>> {
    let source = record(source)?;
    let restored = if restored.exists() { record(restored)? } else { BTreeMap::new() };
    let is_lost = |name: &Vec<u8>, was: &Record| {
        let what = |record: &Record| (record.hash.clone(), record.size, record.target.clone(), record.modified);
        restored.get(name).is_none_or(|is| what(is) != what(was))
    };
    Ok(source.iter().filter(|(name, was)| is_lost(name, was)).map(|(name, _)| name.clone()).collect())
}

/// Fails if anything lies at a name of the source without being what the source has there: half a file under a whole one's name. Names that the
/// source has not are returned; they must be recognisable as unfinished.
pub fn no_half_files(source: &Path, restored: &Path) -> Result<Vec<String>> {
    if !restored.exists() {
        return Ok(Vec::new());
    }
    let source = record(source)?;
    let mut strange = Vec::new();
    for (name, is) in record(restored)? {
        let shown = String::from_utf8_lossy(&name).into_owned();
        match source.get(&name) {
            Some(was) => ensure!(
                (&was.hash, &was.target) == (&is.hash, &is.target),
                "half a file lies at {shown}: {is:?} instead of {was:?}"
            ),
            None => strange.push(shown),
        }
    }
    Ok(strange)
}

fn differences(left: &BTreeMap<Vec<u8>, Record>, right: &BTreeMap<Vec<u8>, Record>) -> Vec<String> {
    let names: BTreeSet<&Vec<u8>> = left.keys().chain(right.keys()).collect();
    names.into_iter().filter_map(|name| difference(name, left.get(name), right.get(name))).collect()
}

fn difference(name: &[u8], left: Option<&Record>, right: Option<&Record>) -> Option<String> {
    if left == right {
        return None;
    }
    let shown = format!("'{}'", name.escape_ascii());
    Some(match (left, right) {
        (Some(left), Some(right)) => format!("{shown}: {left:?}\n    became {right:?}"),
        (Some(_), None) => format!("{shown} is only on the left"),
        (_, _) => format!("{shown} is only on the right"),
    })
}

/// What rsync would change to make the right tree the left one.
fn by_rsync(left: &Path, right: &Path, but: &[&[u8]]) -> Result<Vec<String>> {
    let mut command = Command::new("rsync");
    // Without that window rsync takes two times in one second for the same.
    command.args(["-aHAXnc", "--delete", "--itemize-changes", "--numeric-ids", "--modify-window=-1"]);
    for name in but {
        let pattern: String = String::from_utf8_lossy(name).replace(['*', '?', '[', '\\'], "?");
        command.arg(format!("--exclude=/{pattern}"));
    }
    let slash = |path: &Path| path.join("");
    let printed = program::tool(command.arg(slash(left)).arg(slash(right)))?;
    Ok(String::from_utf8_lossy(&printed).lines().map(|line| format!("rsync: {line}")).collect())
}

fn listed(found: &[String]) -> String {
    let more = found.len().saturating_sub(SHOWN_MAX);
    let shown = found.iter().take(SHOWN_MAX).map(|line| format!("  {line}\n")).collect::<String>();
    if more > 0 { format!("{shown}  and {more} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::{CWD, Timespec, Timestamps, XattrFlags, setxattr, utimensat};

    use super::*;
    use crate::sandbox::{self, Sandbox};

    fn plant(root: &Path) -> Result<()> {
        fs::create_dir_all(root.join("folder"))?;
        fs::write(root.join("folder/file"), "content")?;
        touch(&root.join("folder/file"), 0)?;
        fs::hard_link(root.join("folder/file"), root.join("link"))?;
        symlink("folder/file", root.join("symlink"))?;
        fs::File::create(root.join("holes"))?.set_len(1 << 20)?;
        Ok(())
    }

    fn touch(path: &Path, nanoseconds: i64) -> Result<()> {
        let time = Timespec { tv_sec: 1, tv_nsec: nanoseconds };
        Ok(utimensat(
            CWD,
            path,
            &Timestamps { last_access: time, last_modification: time },
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Breaks a copy in one way and expects that to be seen.
    fn is_seen(what: &str, break_it: impl Fn(&Path) -> Result<()>) -> Result<()> {
        let sandbox = Sandbox::new("compare")?;
        let (left, right) = (sandbox.path("left"), sandbox.path("right"));
        plant(&left)?;
        sandbox::copy(&left, &right)?;
        same(&left, &right)?;
        break_it(&right)?;
        ensure!(same(&left, &right).is_err(), "not seen: {what}");
        Ok(())
    }

    #[test]
    fn every_kind_of_difference_is_seen() -> Result<()> {
        is_seen("other content, of the same length and time", |root| {
            fs::write(root.join("folder/file"), "CONTENT")?;
            touch(&root.join("folder/file"), 0)
        })?;
        is_seen("another mode", |root| {
            Ok(fs::set_permissions(root.join("folder"), fs::Permissions::from_mode(0o700))?)
        })?;
        is_seen("a nanosecond", |root| touch(&root.join("folder/file"), 1))?;
        is_seen("a time of a symlink", |root| touch(&root.join("symlink"), 1))?;
        is_seen("something missing", |root| Ok(fs::remove_file(root.join("symlink"))?))?;
        is_seen("something new", |root| Ok(fs::write(root.join("new"), "")?))?;
        is_seen("a filled hole", |root| Ok(fs::write(root.join("holes"), vec![0; 1 << 20])?))?;
        is_seen("an attribute", |root| Ok(setxattr(root.join("link"), "user.a", b"b", XattrFlags::empty())?))?;
        is_seen("a broken hard link", |root| {
            fs::remove_file(root.join("link"))?;
            sandbox::copy(&root.join("folder/file"), &root.join("link"))
        })
    }

    #[test]
    fn half_files_are_seen_and_strangers_are_named() -> Result<()> {
        let sandbox = Sandbox::new("compare")?;
        let (left, right) = (sandbox.path("left"), sandbox.path("right"));
        plant(&left)?;
        sandbox::copy(&left, &right)?;
        assert!(lost(&left, &right)?.is_empty());
        fs::write(right.join(".unfinished"), "")?;
        assert_eq!(no_half_files(&left, &right)?, [".unfinished"]);
        fs::write(right.join("folder/file"), "cont")?;
        assert!(no_half_files(&left, &right).is_err());
        // The top too: its time is another one since something appeared in it.
        let expect: BTreeSet<Vec<u8>> = [b"".to_vec(), b"folder/file".to_vec(), b"link".to_vec()].into();
        assert_eq!(lost(&left, &right)?, expect);
        Ok(())
    }
}
