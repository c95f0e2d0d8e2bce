//! Small files of the state folder that are replaced whole: whoever looks sees the old one or the new one, also after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::access::create_private;
use crate::failure::{Cause, Doing, Failure};

/// Reads one; nothing where there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces one, with its folder if that is not there; `what` completes "cannot …".
pub(crate) fn replace(path: &Path, content: impl AsRef<[u8]>, what: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    create_private(folder).doing(|| what.to_owned())?;
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let written = write_durably(&temporary, content.as_ref()).and_then(|()| fs::rename(&temporary, path));
    let written = written.and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|source| {
        // The one that matters is in its place still.
        let _ = fs::remove_file(&temporary);
        Failure::new(what, Cause::File { doing: "write", path: PathBuf::from(path), source })
    })
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
