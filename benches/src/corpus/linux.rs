//! The Linux source tree from Debian's package, so that everybody has the same one.

use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;

/// Where the package puts it.
const ARCHIVE: &str = "/usr/src/linux-source-6.1.tar.xz";

pub(super) fn unpack(folder: &Path) -> Result<()> {
    ensure!(Path::new(ARCHIVE).exists(), "{ARCHIVE} is missing: install the package linux-source-6.1");
    super::run(Command::new("tar").args(["--strip-components=1", "-xf", ARCHIVE, "-C"]).arg(folder))
}
