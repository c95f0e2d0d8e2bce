//! One SFTP session: the steps that a store is made of.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh_sftp::client::error::Error as ClientError;
use russh_sftp::client::rawsession::Limits;
use russh_sftp::client::{Config, RawSftpSession};
use russh_sftp::protocol::{FileAttributes, FileMode, OpenFlags, Packet, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::SftpError;
use super::life::{Life, watched};
use super::pool::SftpStream;
use crate::store::Space;

/// A server that has not said hello by then is none.
const HELLO_TIME_MAX: Duration = Duration::from_secs(20);

/// For one request of a few KiB, or the flush of a pack to a slow disk. What is on the way at once passes a line of 1 Mbit/s in half of that.
const REQUEST_SECONDS_MAX: u64 = 120;

/// The client keeps handles as text, and OpenSSH's 128th open one is none: from there on every open fails.
const HANDLES_MAX: usize = 100;

/// Handles that were left open, by callers that went away, before the session is replaced.
const LEAKED_MAX: usize = 20;

/// Only the owner reads a repository.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

const FSYNC: &str = "fsync@openssh.com";
const HARDLINK: &str = "hardlink@openssh.com";
const POSIX_RENAME: &str = "posix-rename@openssh.com";
const STATVFS: &str = "statvfs@openssh.com";

/// The flag of a read-only file system in the answer to statvfs.
const READ_ONLY: u64 = 1;

/// A session with a server.
pub(super) struct Session {
    pub(super) raw: RawSftpSession,
    can_flush: bool,
    can_link: bool,
    can_replace: bool,
    can_tell_room: bool,
    life: Life,
    handles: Semaphore,
    leaked: AtomicUsize,
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Session(flush: {}, link: {})", self.can_flush, self.can_link)
    }
}

/// What is known of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: u32,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Other,
}

impl From<&FileAttributes> for Attributes {
    fn from(found: &FileAttributes) -> Self {
        let mode = FileMode::from_bits_truncate(found.permissions.unwrap_or_default() & 0xF000);
        let kind = if mode == FileMode::REG {
            Kind::File
        } else if mode == FileMode::DIR {
            Kind::Folder
        } else {
            Kind::Other
        };
        Self { size: found.size.unwrap_or_default(), modified: found.mtime.unwrap_or_default(), kind }
    }
}

/// An open file or folder on the server.
pub(super) struct Handle<'a> {
    pub(super) id: String,
    session: &'a Session,
    permit: Option<SemaphorePermit<'a>>,
}

impl Handle<'_> {
    fn named(self, id: String) -> Self {
        let mut handle = self;
        handle.id = id;
        handle
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        // Nobody closed it: it stays open on the server, so its permit stays taken.
        if let Some(permit) = self.permit.take() {
            permit.forget();
            self.session.leaked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Session {
    pub(super) async fn start(stream: Box<dyn SftpStream>) -> Result<Self, SftpError> {
        let config = Config { request_timeout_secs: REQUEST_SECONDS_MAX, ..Config::default() };
        let (stream, life) = watched(stream);
        let mut raw = RawSftpSession::new_with_config(stream, config);
        raw.set_limits(Limits::default());
        let hello = tokio::time::timeout(HELLO_TIME_MAX, raw.init()).await;
        let hello = hello.map_err(|_| SftpError::Lost("the server does not say hello".into()))?;
        let hello = hello.map_err(SftpError::step("speak SFTP at", "the server"))?;
        let can = |extension: &str| hello.extensions.contains_key(extension);
        let session = Self {
            can_flush: can(FSYNC),
            can_link: can(HARDLINK),
            can_replace: can(POSIX_RENAME),
            can_tell_room: can(STATVFS),
            raw,
            life,
            handles: Semaphore::new(HANDLES_MAX),
            leaked: AtomicUsize::new(0),
        };
        if !session.can_flush || !session.can_link {
            tracing::info!(?session, "this SFTP server lacks what makes puts durable or links");
        }
        Ok(session)
    }

    /// Whether its stream has ended, or too many handles were left open in it.
    pub(super) fn is_spent(&self) -> bool {
        self.life.has_ended() || self.leaked.load(Ordering::Relaxed) > LEAKED_MAX
    }

    /// The right to open something. It counts as open from now on: whoever goes away while the server opens it does not hear its name.
    async fn handle(&self) -> Handle<'_> {
        // BUG if it is closed: nothing closes it.
        let permit = self.handles.acquire().await.expect("the handles are never closed");
        Handle { id: String::new(), session: self, permit: Some(permit) }
    }

    /// Waits for an answer for as long as the stream lives. The client alone would wait out the time of a request that it took while it noticed the end.
    pub(super) async fn ask<T>(
        &self,
        doing: &'static str,
        path: &str,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, SftpError> {
        tokio::select! {
            biased;
            answer = request => answer.map_err(SftpError::step(doing, path)),
            () = self.life.ended() => Err(SftpError::Lost("its stream has ended".into())),
        }
    }

    pub(super) async fn open(&self, path: &str) -> Result<Handle<'_>, SftpError> {
        self.open_with(path, OpenFlags::READ, FileAttributes::empty(), "open").await
    }

    /// A new file for its owner alone.
    pub(super) async fn create(&self, path: &str) -> Result<Handle<'_>, SftpError> {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        let attributes = FileAttributes { permissions: Some(FILE_MODE), ..FileAttributes::empty() };
        self.open_with(path, flags, attributes, "create").await
    }

    async fn open_with(
        &self,
        path: &str,
        flags: OpenFlags,
        attributes: FileAttributes,
        doing: &'static str,
    ) -> Result<Handle<'_>, SftpError> {
        let mut handle = self.handle().await;
        match self.ask(doing, path, self.raw.open(path, flags, attributes)).await {
            Ok(opened) => Ok(handle.named(opened.handle)),
            Err(error) => {
                handle.permit = None;
                Err(error)
            }
        }
    }

    pub(super) async fn close(&self, mut handle: Handle<'_>, path: &str) -> Result<(), SftpError> {
        let closed = self.ask("close", path, self.raw.close(handle.id.as_str())).await;
        // Whatever it answers, the handle is gone.
        drop(handle.permit.take());
        closed.map(drop)
    }

    /// Closes what was only read, or is flushed already, without waiting for the answer: it says nothing that anybody would want to know.
    pub(super) fn close_later(self: &Arc<Self>, mut handle: Handle<'_>, path: &str) {
        let (session, id, path) = (Arc::clone(self), std::mem::take(&mut handle.id), path.to_owned());
        // The permit belongs to the task from now on.
        let Some(permit) = handle.permit.take() else { return };
        permit.forget();
        drop(tokio::spawn(async move {
            // Whatever it answers, the handle is gone.
            drop(session.ask("close", &path, session.raw.close(id.as_str())).await);
            session.handles.add_permits(1);
        }));
    }

    pub(super) async fn attributes(&self, path: &str) -> Result<Attributes, SftpError> {
        let found = self.ask("look at", path, self.raw.stat(path)).await?;
        Ok(Attributes::from(&found.attrs))
    }

    pub(super) async fn attributes_of(&self, handle: &Handle<'_>, path: &str) -> Result<Attributes, SftpError> {
        let found = self.ask("look at", path, self.raw.fstat(handle.id.as_str())).await?;
        Ok(Attributes::from(&found.attrs))
    }

    pub(super) async fn flush(&self, handle: &Handle<'_>, path: &str) -> Result<(), SftpError> {
        if !self.can_flush {
            return Ok(());
        }
        self.ask("flush", path, self.raw.fsync(handle.id.as_str())).await.map(drop)
    }

    /// Whether a file that was flushed is durable, so that nothing is left to be told when it is closed.
    pub(super) fn can_flush(&self) -> bool {
        self.can_flush
    }

    /// Flushes a folder, on servers that open one like a file; OpenSSH's does.
    pub(super) async fn flush_folder(self: &Arc<Self>, path: &str) -> Result<(), SftpError> {
        match self.open_folder(path).await? {
            Some(handle) => self.flush_open_folder(handle, path).await,
            None => Ok(()),
        }
    }

    /// Opens a folder that is to be flushed; none where a server does not open folders: nothing can be said about its durability.
    pub(super) async fn open_folder(&self, path: &str) -> Result<Option<Handle<'_>>, SftpError> {
        if !self.can_flush {
            return Ok(None);
        }
        match self.open(path).await {
            Ok(handle) => Ok(Some(handle)),
            Err(lost @ SftpError::Lost(_)) => Err(lost),
            Err(_) => Ok(None),
        }
    }

    /// Flushes a folder and closes it.
    pub(super) async fn flush_open_folder(self: &Arc<Self>, handle: Handle<'_>, path: &str) -> Result<(), SftpError> {
        let flushed = self.flush(&handle, path).await;
        self.close_later(handle, path);
        flushed
    }

    /// Gives a finished file its name, unless something has that name.
    pub(super) async fn publish_new(&self, temporary: &str, path: &str) -> Result<(), SftpError> {
        let published = match self.can_link {
            true => self.ask("link", path, self.raw.hardlink(temporary, path)).await,
            false => self.ask("rename to", path, self.raw.rename(temporary, path)).await,
        };
        match published {
            // Most servers give no reason.
            Err(SftpError::Failed { .. }) if self.attributes(path).await.is_ok() => {
                Err(SftpError::Exists { path: path.to_owned() })
            }
            other => other.map(drop),
        }
    }

    /// Gives a finished file its name in place of whatever has it.
    pub(super) async fn publish_over(&self, temporary: &str, path: &str) -> Result<(), SftpError> {
        if !self.can_replace {
            self.remove(path).await?;
            return self.ask("replace", path, self.raw.rename(temporary, path)).await.map(drop);
        }
        let mut names = Vec::new();
        for name in [temporary, path] {
            names.extend_from_slice(&(name.len() as u32).to_be_bytes());
            names.extend_from_slice(name.as_bytes());
        }
        match self.ask("replace", path, self.raw.extended(POSIX_RENAME, names)).await? {
            Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
            Packet::Status(status) => Err(SftpError::step("replace", path)(status.into())),
            _ => Err(SftpError::Lost("the server gave another answer to a rename".into())),
        }
    }

    /// Removes a file; one that is not there is removed.
    pub(super) async fn remove(&self, path: &str) -> Result<(), SftpError> {
        match self.ask("remove", path, self.raw.remove(path)).await {
            Err(SftpError::Missing { .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Makes a folder; says whether it is new.
    pub(super) async fn make_folder(&self, path: &str) -> Result<bool, SftpError> {
        let attributes = FileAttributes { permissions: Some(FOLDER_MODE), ..FileAttributes::empty() };
        match self.ask("make the folder", path, self.raw.mkdir(path, attributes)).await {
            Ok(_) => Ok(true),
            Err(SftpError::Failed { .. } | SftpError::Denied { .. }) if self.is_folder(path).await => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn is_folder(&self, path: &str) -> bool {
        self.attributes(path).await.is_ok_and(|found| found.kind == Kind::Folder)
    }

    /// What a folder holds; nothing if it is not there.
    pub(super) async fn entries(&self, path: &str) -> Result<Vec<(String, Attributes)>, SftpError> {
        let mut handle = self.handle().await;
        let opened = match self.ask("list", path, self.raw.opendir(path)).await {
            Ok(opened) => opened,
            Err(error) => {
                handle.permit = None;
                return match error {
                    SftpError::Missing { .. } => Ok(Vec::new()),
                    // Not every server says that a file is no folder.
                    SftpError::Failed { .. } if !self.is_folder(path).await => Ok(Vec::new()),
                    error => Err(error),
                };
            }
        };
        let handle = handle.named(opened.handle);
        let mut entries = Vec::new();
        let end = loop {
            let read = async {
                match self.raw.readdir(handle.id.as_str()).await {
                    Err(ClientError::Status(status)) if status.status_code == StatusCode::Eof => Ok(None),
                    other => other.map(Some),
                }
            };
            match self.ask("list", path, read).await {
                Ok(Some(some)) => {
                    entries.extend(some.files.into_iter().map(|file| (file.filename, Attributes::from(&file.attrs))));
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.close(handle, path).await?;
        end.map(|()| entries)
    }

    /// The room below a folder that is there; nothing where the server does not tell.
    pub(super) async fn space(&self, folder: &str) -> Result<Option<Space>, SftpError> {
        if !self.can_tell_room {
            return Ok(None);
        }
        let room = self.ask("look at", folder, self.raw.statvfs(folder)).await?;
        Ok(Some(Space::of_blocks(room.fragment_size, room.blocks, room.blocks_avail)))
    }

    /// Why a write failed, since most servers do not say: no room, or a file system that takes no writes.
    pub(super) async fn explained(&self, error: SftpError, folder: &str, wanted: u64) -> SftpError {
        let (SftpError::Failed { doing, path, .. }, true) = (&error, self.can_tell_room) else { return error };
        let (doing, path) = (*doing, path.clone());
        match self.ask("look at", folder, self.raw.statvfs(folder)).await {
            Ok(room) if room.flags & READ_ONLY != 0 => SftpError::ReadOnly { doing, path },
            Ok(room)
                if room.blocks_avail.saturating_mul(room.fragment_size) < wanted
                    || room.inodes > 0 && room.inodes_avail == 0 =>
            {
                SftpError::Full { doing, path }
            }
            _ => error,
        }
    }
}
