//! The directory of a site on disk.

use std::path::Path;
use std::{fs, io};

use strongroom_plans::{Site, SiteFiles};

use crate::failure::{Cause, Doing, Failure};

/// Reads a site; `what` completes "cannot …".
pub(crate) fn load(directory: &Path, what: &str) -> Result<Site, Failure> {
    Site::read(&read(directory, what)?).doing(|| what.into())
}

/// Reads the files of a site: what lies in the directory itself and in its `plans`. A site without plans is one.
pub(crate) fn read(directory: &Path, what: &str) -> Result<SiteFiles, Failure> {
    let mut files = SiteFiles::new(directory.display().to_string());
    add(&mut files, directory, "").map_err(|(at, source)| failed(&at, source)).doing(|| what.into())?;
    match add(&mut files, &directory.join("plans"), "plans/") {
        Err((_, error)) if error.kind() == io::ErrorKind::NotFound => {}
        added => added.map_err(|(at, source)| failed(&at, source)).doing(|| what.into())?,
    }
    Ok(files)
}

fn add(files: &mut SiteFiles, directory: &Path, prefix: &str) -> Result<(), (std::path::PathBuf, io::Error)> {
    let at = |error| (directory.to_owned(), error);
    for entry in fs::read_dir(directory).map_err(at)? {
        let entry = entry.map_err(at)?;
        // A name that is no text is none of a site's.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        if SiteFiles::concerns(&path) {
            let content = fs::read(entry.path()).map_err(|error| (entry.path(), error))?;
            files.insert(path, content);
        }
    }
    Ok(())
}

fn failed(path: &Path, source: io::Error) -> Cause {
    Cause::File { doing: "read", path: path.to_owned(), source }
}
