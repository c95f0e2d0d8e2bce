//! What a run has to say about single paths, as values: problems count and make the run partial, notices do not.

use std::io;

/// Something about one path.
#[derive(Debug)]
pub enum Remark {
    /// Part of the source could not be backed up.
    Problem(Problem),
    /// Something a reader of the record may want to know.
    Notice {
        /// Which path, relative to the root.
        path: Vec<u8>,
        /// What about it.
        notice: Notice,
    },
}

/// A fault of the source, never of the repository.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}")]
pub struct Problem {
    /// Which path, relative to the root.
    pub path: Vec<u8>,
    /// What was tried.
    pub doing: Doing,
    /// Why it failed.
    pub source: io::Error,
}

/// What was being done to a path of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Looking for a source that was asked for.
    FindSource,
    /// Reading the names in a directory.
    List,
    /// Reading a node's metadata.
    Inspect,
    /// Opening a file or reading its content.
    Read,
    /// Reading extended attributes or inode flags; the entry is kept without them.
    ReadAttributes,
}

impl std::fmt::Display for Doing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::FindSource => "find the source",
            Self::List => "list the directory",
            Self::Inspect => "inspect the file",
            Self::Read => "read the file",
            Self::ReadAttributes => "read the attributes",
        })
    }
}

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    /// It was there when its directory was listed and gone when it was read.
    Vanished,
    /// Sockets hold no data and are left out.
    Socket,
    /// A cache by its tag; the content is left out as asked.
    Cache,
    /// A file system without data (its name) is mounted here; only the mount point is kept.
    Pseudo(&'static str),
    /// It changed each time it was read; the last reading is kept and marked.
    Torn,
}

impl std::fmt::Display for Notice {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vanished => out.write_str("vanished during the run"),
            Self::Socket => out.write_str("a socket, left out"),
            Self::Cache => out.write_str("a cache, its content left out"),
            Self::Pseudo(name) => write!(out, "a {name} file system, its content left out"),
            Self::Torn => out.write_str("changed while it was read, kept as torn"),
        }
    }
}

impl Remark {
    pub(crate) fn notice(path: Vec<u8>, notice: Notice) -> Self {
        Self::Notice { path, notice }
    }

    /// A fault; one that says the node is gone is only a notice.
    pub(crate) fn fault(path: Vec<u8>, doing: Doing, source: io::Error) -> Self {
        if is_gone(&source) {
            Self::notice(path, Notice::Vanished)
        } else {
            Self::Problem(Problem { path, doing, source })
        }
    }
}

/// Whether what the walk saw is not there any more: removed, also on a file server, or replaced by a file or a link. Links are never followed, so
/// `ELOOP` says that one stands where there was none.
fn is_gone(fault: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(fault);
    fault.kind() == io::ErrorKind::NotFound || [Errno::NOTDIR, Errno::LOOP, Errno::STALE].map(Some).contains(&errno)
}
