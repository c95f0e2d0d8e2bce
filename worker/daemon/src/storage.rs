//! A storage host's side of `gateway://`: one folder, served as a store to whoever comes with a key whose forced command this is. The protocol is SFTP, so that every
//! client of a store on another machine can use it, and the promises are stronger than those of an SFTP server:
//!
//! * Nothing is overwritten but the hint, and nothing is deleted but what is passing (unfinished files, probes, the word that a session rests), unless the key was given
//!   with `--may-delete`. So whoever breaks into the controller with a key that only adds cannot take away one byte of a backup that is stored here.
//! * An object gets its name when it is whole, by a link, and cannot be written to from then on. Where the name is the BLAKE3 of the bytes, they are hashed first: what
//!   was changed on its way, or is something else, is not stored.
//! * No path leads out of the folder, and no symbolic link is followed. The folder that was there at the beginning is the one that is served: what is mounted there
//!   later, or goes, makes no other folder of it.
//! * What a session left unfinished goes with it.
//!
//! Deliberately absent: changing attributes, renaming, making links of other kinds; and locks, which no store needs.

mod files;
mod names;
mod publish;
mod session;
mod stdio;

use std::path::{Path, PathBuf};

use russh_sftp::server;
use tokio::sync::oneshot;

use self::session::Session;

/// What a key may do with the folder besides adding to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Nothing.
    Add,
    /// Delete what is stored, as a prune does.
    Delete,
}

/// Why a folder is not served.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Its path cannot be compared with what clients ask for.
    #[error("'{}' is no whole path of a folder: write it from / on, without '..'", .0.display())]
    Path(PathBuf),
    /// Standard input and output cannot be used.
    #[error("cannot use standard input and output")]
    Stdio(#[source] std::io::Error),
}

/// Serves a folder on standard input and output until the client is gone. A folder that is not there, as when its disk is not mounted, is told to whoever asks for
/// something in it.
pub async fn serve(folder: &Path, rights: Rights) -> Result<(), StorageError> {
    let path = names::served(folder).ok_or_else(|| StorageError::Path(folder.to_owned()))?;
    let (ending, ended) = oneshot::channel();
    let session = Session::new(path, rights, ending);
    server::run(stdio::open().map_err(StorageError::Stdio)?, session).await;
    // The session goes with the stream, and the sender with the session.
    let _gone = ended.await;
    Ok(())
}
