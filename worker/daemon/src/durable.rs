//! Files that are whole or not there: a temporary name, a flush, a rename, a flush of the folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Creates a folder, and those above it, for its owner only.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Puts a file of this content in the place of whatever has the name; durable when this returns. Writers of one name must not meet.
pub(crate) fn replace(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    // No name of ours begins with a dot, so nobody takes an unfinished file for a finished one.
    let temporary = folder.join(format!(".{name}.new"));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, folder.join(name))?;
        flush_folder(folder)
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Makes what was created, renamed or removed in a folder durable.
pub(crate) fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
