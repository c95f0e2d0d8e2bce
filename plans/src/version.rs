//! Which text it was: the BLAKE3 of what was read.

use std::fmt;

use serde::{Serialize, Serializer};

/// A hash that names a content; shown as hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Of one file: what `b3sum` prints for it.
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// Of several files with their names. Each length stands in front, so that no other names and contents run
    /// together to the same bytes.
    pub(crate) fn of_files<'f>(files: impl Iterator<Item = (&'f str, &'f [u8])>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in files.flat_map(|(name, content)| [name.as_bytes(), content]) {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Enough of it to tell versions apart at a glance.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
