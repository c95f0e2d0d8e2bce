//! Open directories to work in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::filesystem::Root;

/// The directory that a thread worked in last. Work comes in the order of the tree, so it is nearly always the next one too.
#[derive(Debug)]
pub(super) struct Places {
    root: Arc<Root>,
    current: Option<(Arc<[u8]>, OwnedFd)>,
}

impl Places {
    pub(super) fn new(root: Arc<Root>) -> Self {
        Self { root, current: None }
    }

    /// The open directory at a path whose names were checked. No symbolic link is followed on the way.
    pub(super) fn at(&mut self, directory: &Arc<[u8]>) -> io::Result<BorrowedFd<'_>> {
        if self.current.as_ref().is_none_or(|(path, _)| path != directory) {
            self.current = Some((Arc::clone(directory), self.root.place(directory)?));
        }
        match &self.current {
            Some((_, open)) => Ok(open.as_fd()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}
