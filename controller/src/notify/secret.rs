//! Files that hold a secret: read when it is needed, so that one that was exchanged holds from then on.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

/// A secret is a line.
const BYTES_MAX: u64 = 16 << 10;

/// The secret in a file, without the line's end. A file that everybody can read holds none.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let failed = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    let metadata: Metadata = file.metadata().map_err(failed)?;
    if metadata.mode() & 0o007 != 0 {
        return Err(format!("{} is open to every user of the machine: chmod 600 it", path.display()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let secret = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if secret.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(secret) }
}
