//! What a change needs of a file system: the seam behind which a test puts one that loses what was not flushed.

use std::io;
use std::path::Path;

use super::{Attributes, Node};

/// A file system. Paths are absolute; no symbolic link is followed, neither at their end nor on the way.
///
/// What a call has done is seen at once. It outlasts a power cut once [`flush`](Self::flush) was called on the file, for what is in it, and on its directory, for its name.
pub trait Files {
    /// What is at a path; [`Node::Absent`] also where its directory is not there.
    fn look(&self, path: &Path) -> io::Result<Node>;
    /// A file's bytes, of which there are at most [`CONTENT_BYTES_MAX`](super::CONTENT_BYTES_MAX): more is an error.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The names in a directory, sorted; none if it is not there.
    fn names(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Makes a file that is not there yet. Nobody but its owner can read it before it has its attributes.
    fn create(&self, path: &Path, content: &[u8], attributes: &Attributes) -> io::Result<()>;
    /// Makes a symbolic link where nothing is yet.
    fn link(&self, path: &Path, target: &[u8], uid: u32, gid: u32) -> io::Result<()>;
    /// Makes a directory where nothing is yet, for its owner only.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Gives a directory its attributes, and takes away other extended ones.
    fn set_attributes(&self, directory: &Path, attributes: &Attributes) -> io::Result<()>;
    /// Gives a file or a link another name on the same file system, in the place of the file or link that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file, a link, or an empty directory.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes durable: a file's bytes and attributes, a directory's attributes and the names in it. A symbolic link has nothing of its own to flush.
    fn flush(&self, path: &Path) -> io::Result<()>;
    /// The number of the mount that a path lies on. What something is mounted at has another one than its directory.
    fn mount(&self, path: &Path) -> io::Result<u64>;
}
