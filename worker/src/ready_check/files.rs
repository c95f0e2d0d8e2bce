//! Files below a path: how many, and how new. No link is followed, neither below it nor on the way to it: what was restored may point anywhere on the machine that looks.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use strongroom_repository::text::escape;

use super::{Amount, Finding, Recent};

/// How many regular files there are.
pub(super) fn count(path: &str, expected: &Amount) -> Finding {
    let mut files = 0_u32;
    match each_file(Path::new(path), &mut |_, _| files = files.saturating_add(1)) {
        Ok(()) => Finding::of(expected.holds(files.into()), format!("found {files} files below {path}"), expected),
        Err(why) => Finding::of(false, why, expected),
    }
}

/// The one that was changed last.
pub(super) fn newest(path: &str, expected: &Recent) -> Finding {
    let mut newest: Option<(Timestamp, PathBuf)> = None;
    let looked = each_file(Path::new(path), &mut |file, metadata| {
        let time = modified(metadata);
        if newest.as_ref().is_none_or(|(known, _)| *known < time) {
            newest = Some((time, file.to_owned()));
        }
    });
    match (looked, newest) {
        (Err(why), _) => Finding::of(false, why, expected),
        (Ok(()), None) => Finding::of(false, format!("found no file below {path}"), expected),
        (Ok(()), Some((time, file))) => {
            let actual = format!("the newest file below {path} is {}, of {time:.0}", shown(&file));
            Finding::of(expected.holds(time), actual, expected)
        }
    }
}

/// A file that is reached by no link.
pub(super) fn reached(path: &Path) -> Result<Metadata, String> {
    let mut here = PathBuf::new();
    for component in path.components() {
        here.push(component);
        // Whoever types a whole path means what stands there.
        let is_last = here == path;
        if !is_last && (path.is_absolute() || component == Component::CurDir) {
            continue;
        }
        let metadata = here.symlink_metadata().map_err(|error| cannot(&here, &error))?;
        if metadata.is_symlink() {
            return Err(format!("{} is a link, which is not followed", shown(&here)));
        }
    }
    path.symlink_metadata().map_err(|error| cannot(path, &error))
}

/// Tells of each regular file at or below a path.
fn each_file(path: &Path, tell: &mut dyn FnMut(&Path, &Metadata)) -> Result<(), String> {
    let mut waiting = vec![(path.to_owned(), reached(path)?)];
    while let Some((path, metadata)) = waiting.pop() {
        if metadata.is_file() {
            tell(&path, &metadata);
        } else if metadata.is_dir() {
            let entries = fs::read_dir(&path).map_err(|error| cannot(&path, &error))?;
            for entry in entries {
                let entry = entry.map_err(|error| cannot(&path, &error))?;
                let metadata = entry.metadata().map_err(|error| cannot(&entry.path(), &error))?;
                waiting.push((entry.path(), metadata));
            }
        }
    }
    Ok(())
}

/// Beyond the calendar it is as far back as that goes: nobody's newest.
fn modified(metadata: &Metadata) -> Timestamp {
    let nanoseconds = i32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    Timestamp::new(metadata.mtime(), nanoseconds).unwrap_or(Timestamp::MIN)
}

fn cannot(path: &Path, error: &io::Error) -> String {
    format!("cannot look at {}: {error}", shown(path))
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes())
}
