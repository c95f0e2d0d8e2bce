//! Files as memory that the kernel may take back: the one place that maps.

use std::io;
use std::path::Path;

use crate::cache;

/// A read-only mapping of a cache file.
#[derive(Debug)]
pub(crate) struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps a file of our own cache, whose content is what was written. It is read once for that, at some gigabytes a second: a wrong place in an index would
    /// not only make a restore fail but also mislead what a backup records as live.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = cache::open(path)?;
        #[expect(
            unsafe_code,
            reason = "our cache files are complete before they get their name and are never written or truncated after it"
        )]
        // SAFETY: see the reason above; every reader copies what it reads with bounds checks, so even a file that somebody alters gives wrong
        // numbers (which hashing finds), not undefined layouts.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        // Look-ups go anywhere: what lies around a page is not wanted with it. Only a hint, so it may fail.
        let _ = map.advise(memmap2::Advice::Random);
        Ok(Self(map))
    }

    /// Gives the pages that were touched back to the kernel, which keeps them in its cache for as long as it likes.
    pub(crate) fn let_go(&self) {
        #[expect(unsafe_code, reason = "the kernel alone can take pages out of a mapping")]
        // SAFETY: the mapping is shared, read-only and of a file, so a page that is touched again has the same bytes; and a failure leaves it there.
        let _ = unsafe { self.0.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        // It was found longer than its hash when it was opened.
        self.0.get(cache::HASH..).unwrap_or_default()
    }
}
