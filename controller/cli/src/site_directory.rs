//! The directory of a site on disk.

use std::path::Path;

use strongroom_controller::site::files;
use strongroom_plans::{Site, SiteFiles};

use crate::failure::{Doing, Failure};

/// Reads a site; `what` completes "cannot …".
pub(crate) fn load(directory: &Path, what: &str) -> Result<Site, Failure> {
    Site::read(&read(directory, what)?).doing(|| what.into())
}

/// Reads the files of a site.
pub(crate) fn read(directory: &Path, what: &str) -> Result<SiteFiles, Failure> {
    files(directory).doing(|| what.into())
}
