//! Key files on disk: readable by their owner alone, written once, durable before anything depends on them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use strongroom_repository::KeyFile;
use zeroize::Zeroizing;

use crate::failure::{Cause, Doing, Failure};
use crate::shown::shell_word;

/// No secret file is longer: a key file has half a kilobyte.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Reads a key file that its owner alone may read.
pub(crate) fn read(path: &Path) -> Result<KeyFile, Failure> {
    let what = || format!("use the key file {}", path.display());
    let text = secret_text(path, "key file")?;
    KeyFile::parse(&text)
        .map_err(|error| Failure::new(what(), error).advise("give the file that `repo init` or `key add` wrote"))
}

/// The content of a secret file; refused if others could read it too. A pipe, as from `<(pass show backup)`, is taken as it comes.
pub(crate) fn secret_text(path: &Path, kind: &'static str) -> Result<Zeroizing<String>, Failure> {
    let file_error = |source| Cause::File { doing: "read", path: path.to_owned(), source };
    let what = || format!("use the {kind} {}", path.display());
    let mut file = File::open(path).map_err(file_error).doing(what)?;
    let metadata = file.metadata().map_err(file_error).doing(what)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_file() && mode & 0o077 != 0 {
        let why = Cause::Key(format!("its mode is {mode:04o}: others than its owner may use it"));
        return Err(Failure::new(what(), why).advise(format!("chmod 600 {}", shell_word(path))));
    }
    let mut text = Zeroizing::new(String::new());
    (&mut file).take(SECRET_BYTES_MAX).read_to_string(&mut text).map_err(file_error).doing(what)?;
    Ok(text)
}

/// A key file that is still empty: its place is taken before the key is made, so that no key is made that cannot be kept.
#[derive(Debug)]
pub(crate) struct Reserved {
    temporary: PathBuf,
    file: File,
    kept: bool,
}

impl Reserved {
    /// Takes a place in `folder`, which is created if need be.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, Failure> {
        let what = || format!("write a key file in {}", folder.display());
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Cause::File { doing, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create", folder)).doing(what)?;
        let temporary = folder.join(format!(".new-key-{}", std::process::id()));
        // One that a killed run left under this process id holds no key that anybody knows of.
        let _ = std::fs::remove_file(&temporary);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(failed("create", &temporary)).doing(what)?;
        Ok(Self { temporary, file, kept: false })
    }

    /// The same for a file of a given name, which must not exist.
    pub(crate) fn beside(path: &Path) -> Result<Self, Failure> {
        if path.symlink_metadata().is_ok() {
            return Err(occupied(path));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self::in_folder(folder.unwrap_or(Path::new(".")))
    }

    /// Writes the key and gives the file its name; an existing file stays as it is.
    pub(crate) fn keep(self, key: &KeyFile, path: &Path) -> Result<(), Failure> {
        self.keep_text(&Zeroizing::new(key.to_text()), path)
    }

    /// The same with a key in other words, such as a sheet.
    pub(crate) fn keep_text(mut self, text: &str, path: &Path) -> Result<(), Failure> {
        let failed = |source| Cause::File { doing: "write", path: path.to_owned(), source };
        let what = || format!("keep the key in {}", path.display());
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.set_permissions(Permissions::from_mode(0o600)));
        written.and_then(|()| self.file.sync_all()).map_err(failed).doing(what)?;
        // A link, not a rename: a rename would overwrite.
        match std::fs::hard_link(&self.temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(occupied(path)),
            linked => linked.map_err(failed).doing(what)?,
        }
        let _ = std::fs::remove_file(&self.temporary);
        self.kept = true;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed).doing(what)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

fn occupied(path: &Path) -> Failure {
    let source = io::Error::from(io::ErrorKind::AlreadyExists);
    let why = Cause::File { doing: "create", path: path.to_owned(), source };
    Failure::new("write a new key file", why).advise("give another path: what holds a key is never overwritten")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_place_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/a.json");
        drop(Reserved::beside(&path).unwrap());
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
        std::fs::write(&path, "mine").unwrap();
        assert!(Reserved::beside(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
