//! Where keys, caches and local state lie when nobody says otherwise (XDG base directories).

use std::env;
use std::path::PathBuf;

use strongroom_repository::RepositoryId;

use crate::failure::{Cause, Failure};

/// The folder under a base directory: `variable` names the base, `below_home` is where it lies without the variable.
fn folder(variable: &str, below_home: &str, option: &str) -> Result<PathBuf, Failure> {
    // The specification: a relative path in these variables is to be ignored.
    let base = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| home().map(|home| home.join(below_home)));
    base.map(|base| base.join("strongroom")).ok_or_else(|| {
        let why = Cause::Usage(format!("neither {variable} nor HOME is set"));
        Failure::new("choose a folder", why).advise(format!("set HOME, or give {option}"))
    })
}

/// The home directory of the user who runs this.
pub(crate) fn home() -> Option<PathBuf> {
    env::var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Rebuilt when lost.
pub(crate) fn cache() -> Result<PathBuf, Failure> {
    folder("XDG_CACHE_HOME", ".cache", "--cache-dir DIR")
}

/// What this host remembers of its runs.
pub(crate) fn state() -> Result<PathBuf, Failure> {
    folder("XDG_STATE_HOME", ".local/state", "--state-dir DIR")
}

/// Where key files lie.
pub(crate) fn keys() -> Result<PathBuf, Failure> {
    Ok(folder("XDG_CONFIG_HOME", ".config", "--key FILE")?.join("keys"))
}

/// The key file that is used for a repository unless another is named.
pub(crate) fn key_of(repository: RepositoryId) -> Result<PathBuf, Failure> {
    Ok(keys()?.join(format!("{repository}.json")))
}
