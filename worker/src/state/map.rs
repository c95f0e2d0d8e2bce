//! The body as memory that the kernel may take back: the one place of this crate that maps.

use std::fs::File;
use std::io;

/// Maps a whole state body for reading.
pub(super) fn map(file: &File) -> io::Result<memmap2::Mmap> {
    #[expect(
        unsafe_code,
        reason = "a body is complete before it gets its name, and is never written or truncated after it"
    )]
    // SAFETY: see the reason. Should somebody else alter the file, readers see wrong numbers, which the checksums and the bounds checks of `open`
    // catch; they hold no references to anything but bytes. Should somebody truncate it, reading ends the process: a run less, never a wrong one.
    unsafe {
        memmap2::Mmap::map(file)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    #[test]
    fn a_mapping_shows_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"bytes").unwrap();
        assert_eq!(&super::map(&file).unwrap()[..], b"bytes");
    }
}
