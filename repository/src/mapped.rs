//! Files as memory that the kernel may take back: the one place that maps.

use std::fs::File;
use std::io;
use std::path::Path;

/// A read-only mapping of a cache file.
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps a whole file. Only for files in our own cache and state folders: created under a temporary name, renamed when complete, never written again.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        #[expect(
            unsafe_code,
            reason = "our cache files are complete before they get their name and are never written or truncated after it"
        )]
        // SAFETY: see the reason above; every reader copies what it reads with bounds checks, so even a file that somebody alters gives wrong
        // numbers (which hashing finds), not undefined layouts.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self(map))
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
