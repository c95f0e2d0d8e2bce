//! A repository as a directory to look around in: read-only, through `/dev/fuse`, without libfuse.
//!
//! ```text
//! DIR/2026-11-22T02-28-58Z-dd4e2ecc/etc/hosts      one directory per snapshot, by its time and the beginning of its id
//! DIR/latest -> 2026-11-22T02-28-58Z-dd4e2ecc      a link to the newest
//! ```
//!
//! Nothing is fetched before it is looked at: a directory costs the pages that list it, a read the frames that hold it, and every byte is
//! compared with its name before it is shown. Snapshots that are added while it is mounted appear when the top is listed again.
//!
//! What is held in memory is bounded by what the kernel remembers: a node is forgotten when the kernel forgets it. Inode numbers are hashes of
//! snapshot and path, the same for every mount; names of one file share one.
//!
//! Deliberately absent: writing, and telling restored files from these. For a proven copy use a restore; this only shows what is stored.

mod attributes;
mod directories;
mod filesystem;
mod nodes;
mod reading;
mod shelf;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use strongroom_repository::Repository;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use filesystem::SnapshotFileSystem;
use shelf::Shelf;

/// Threads that answer the kernel: one may wait for a store while others go on.
const THREADS: usize = 4;

/// Why a repository could not be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] strongroom_repository::Error),
    /// The kernel or `fusermount3` refused.
    #[error("cannot mount at {path}")]
    Mount {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It could not be unmounted, probably because it is in use.
    #[error("cannot unmount {path}")]
    Unmount {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Who may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visitors {
    /// Whoever mounts it, who holds the key and sees everything.
    #[default]
    Owner,
    /// Everybody, each as far as the modes of the files allow. Not root needs `user_allow_other` in `/etc/fuse.conf`.
    Everybody,
}

/// A mounted repository. Unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    session: Option<BackgroundSession>,
    ended: oneshot::Receiver<()>,
    path: PathBuf,
}

/// Mounts a repository at a directory. The calls of the kernel are answered on threads that wait for `runtime`, which must outlive the mount.
pub async fn mount(
    repository: &Arc<Repository>,
    path: &Path,
    visitors: Visitors,
    runtime: Handle,
) -> Result<Mounted, MountError> {
    let shelf = Shelf::fill(repository).await?;
    let (alive, ended) = oneshot::channel();
    let files = SnapshotFileSystem::new(Arc::clone(repository), shelf, runtime, alive);
    let (at, config) = (path.to_owned(), config(visitors));
    let session = crate::restore::threads::on_thread("mount", move || fuser::spawn_mount(files, at, &config)).await;
    let session = session.map_err(|_| io::Error::other("the mounting thread ended early")).flatten();
    let session = session.map_err(|source| MountError::Mount { path: path.to_owned(), source })?;
    Ok(Mounted { session: Some(session), ended, path: path.to_owned() })
}

fn config(visitors: Visitors) -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::FSName("strongroom".into()),
        MountOption::Subtype("strongroom".into()),
    ];
    if visitors == Visitors::Everybody {
        config.mount_options.push(MountOption::DefaultPermissions);
        config.acl = SessionACL::All;
    }
    config.n_threads = Some(THREADS);
    config
}

impl Mounted {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until somebody else unmounts it, as with `umount`.
    pub async fn ended(&mut self) {
        // The other end is dropped when the kernel lets go, which is all there is to be known.
        let _dropped = (&mut self.ended).await;
    }

    /// Unmounts it. Blocking: call it from a thread that may wait.
    pub fn unmount(mut self) -> Result<(), MountError> {
        self.end().map_err(|source| MountError::Unmount { path: self.path.clone(), source })
    }

    fn end(&mut self) -> io::Result<()> {
        match self.session.take() {
            Some(session) => session.umount_and_join(),
            None => Ok(()),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, path = %self.path.display(), "could not be unmounted");
        }
    }
}
