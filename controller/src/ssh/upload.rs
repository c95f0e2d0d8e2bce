//! Files to a host: whole under their name, or not there.
//!
//! By SFTP, and by `cat` where sshd offers no SFTP or a shell's own words spoil it. Either way into a temporary file beside the place, which is flushed and renamed.

use std::io;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use russh_sftp::client::rawsession::Limits;
use russh_sftp::client::{Config, RawSftpSession};
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::connection::{Connection, accepted};
use super::error::SshError;
use super::quoting::quoted;

/// 64 requests of 32 KiB fill sshd's window of 2 MiB.
const WRITE_BYTES: usize = 32 << 10;
const WRITES_IN_FLIGHT_MAX: usize = 64;
/// For sshd to start its SFTP program.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// For one request: a flush of a large file to a slow disk takes its time.
const REQUEST_TIMEOUT_SECONDS: u64 = 120;
const FSYNC: &str = "fsync@openssh.com";
const POSIX_RENAME: &str = "posix-rename@openssh.com";

impl Connection {
    /// Writes a file on the host, with these permissions, in the place of any other. Says how long it is.
    pub async fn upload(&self, source: impl AsyncRead + Unpin, path: &str, mode: u32) -> Result<u64, SshError> {
        let upload = Upload { connection: self, path, temporary: format!("{path}.new-{}", std::process::id()), mode };
        match upload.start_sftp().await? {
            Some(sftp) => upload.by_sftp(&sftp, source).await,
            None => {
                let written = upload.by_cat(source).await;
                if written.is_err() {
                    let _ = self.run(&in_sh(&format!("rm -f {}", quoted(&upload.temporary))), b"").await;
                }
                written
            }
        }
    }
}

struct Upload<'a> {
    connection: &'a Connection,
    path: &'a str,
    temporary: String,
    mode: u32,
}

/// A session, and what its server can do beyond the standard.
struct Sftp {
    raw: RawSftpSession,
    flushes: bool,
    renames: bool,
}

impl Upload<'_> {
    /// Nothing where there is no SFTP.
    async fn start_sftp(&self) -> Result<Option<Sftp>, SshError> {
        let mut channel = self.connection.session().await?;
        self.connection.sent(channel.request_subsystem(true, "sftp").await)?;
        match timeout(START_TIMEOUT, accepted(&mut channel)).await {
            Ok(Some(true)) => {}
            Ok(Some(false)) | Err(_) => return Ok(None),
            Ok(None) => return Err(SshError::lost(self.connection.place(), None)),
        }
        let config = Config { request_timeout_secs: REQUEST_TIMEOUT_SECONDS, ..Config::default() };
        let mut raw = RawSftpSession::new_with_config(channel.into_stream(), config);
        raw.set_limits(Limits::default());
        // Anything but a proper hello is no SFTP that could be used.
        let Ok(Ok(hello)) = timeout(START_TIMEOUT, raw.init()).await else { return Ok(None) };
        let (flushes, renames) = (hello.extensions.contains_key(FSYNC), hello.extensions.contains_key(POSIX_RENAME));
        Ok(Some(Sftp { raw, flushes, renames }))
    }

    async fn by_sftp(&self, sftp: &Sftp, source: impl AsyncRead + Unpin) -> Result<u64, SshError> {
        let written = self.write(sftp, source).await;
        if written.is_err() {
            // It has no name that anybody looks for; that it may stay where the link is gone harms nobody.
            let _ = sftp.raw.remove(self.temporary.as_str()).await;
        }
        let _ = sftp.raw.close_session();
        written
    }

    async fn write(&self, sftp: &Sftp, source: impl AsyncRead + Unpin) -> Result<u64, SshError> {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let attributes = FileAttributes { permissions: Some(self.mode), ..FileAttributes::empty() };
        // Exactly these permissions, whatever the host's mask: so they are set once more when the file is there.
        let opened = sftp.raw.open(self.temporary.as_str(), flags, attributes.clone()).await;
        let handle = opened.map_err(|error| self.failed(&error))?.handle;
        let bytes = self.write_content(sftp, &handle, source).await?;
        sftp.raw.fsetstat(handle.as_str(), attributes).await.map_err(|error| self.failed(&error))?;
        if sftp.flushes {
            sftp.raw.fsync(handle.as_str()).await.map_err(|error| self.failed(&error))?;
        }
        sftp.raw.close(handle).await.map_err(|error| self.failed(&error))?;
        match sftp.renames {
            true => self.rename(sftp).await?,
            false => self.finish().await?,
        }
        Ok(bytes)
    }

    /// Keeps many writes on the way, so that a long way does not count for each.
    async fn write_content(
        &self,
        sftp: &Sftp,
        handle: &str,
        mut source: impl AsyncRead + Unpin,
    ) -> Result<u64, SshError> {
        let mut on_the_way = FuturesUnordered::new();
        let mut offset = 0;
        loop {
            let piece = read_piece(&mut source).await.map_err(|source| self.unreadable(source))?;
            let ended = piece.is_empty();
            if !ended {
                let bytes = piece.len() as u64;
                on_the_way.push(sftp.raw.write(handle, offset, piece));
                offset += bytes;
            }
            while on_the_way.len() >= WRITES_IN_FLIGHT_MAX || (ended && !on_the_way.is_empty()) {
                if let Some(Err(error)) = on_the_way.next().await {
                    return Err(self.failed(&error));
                }
            }
            if ended {
                return Ok(offset);
            }
        }
    }

    /// SFTP's own rename does not replace a file; OpenSSH's does.
    async fn rename(&self, sftp: &Sftp) -> Result<(), SshError> {
        let mut names = Vec::new();
        for name in [&self.temporary, self.path] {
            names.extend_from_slice(&(name.len() as u32).to_be_bytes());
            names.extend_from_slice(name.as_bytes());
        }
        match sftp.raw.extended(POSIX_RENAME, names).await {
            Ok(Packet::Status(status)) if status.status_code == StatusCode::Ok => Ok(()),
            Ok(Packet::Status(status)) => Err(self.failed(&status.error_message)),
            Ok(_) => Err(self.failed(&"it gave another answer to a rename")),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// In two commands, because `cat` cannot tell the end of the file from the end of the link: the second looks at the length first.
    async fn by_cat(&self, mut source: impl AsyncRead + Unpin) -> Result<u64, SshError> {
        let temporary = quoted(&self.temporary);
        let command = in_sh(&format!("umask 077; rm -f {temporary}; cat >{temporary}"));
        let (finished, fed) = self.connection.run_fed(&command, &mut source).await?;
        if !finished.success() {
            return Err(self.failed(&finished.complaint()));
        }
        let bytes = match fed {
            Some(Ok(bytes)) => bytes,
            Some(Err(source)) => return Err(self.unreadable(source)),
            None => return Err(self.failed(&"the host took only a part of it")),
        };
        let length =
            in_sh(&format!("[ \"$(wc -c <{temporary})\" -eq {bytes} ] && {{ sync {temporary} 2>/dev/null || sync; }}"));
        if !self.connection.run(&length, b"").await?.success() {
            return Err(self.failed(&"the host has only a part of it"));
        }
        self.finish().await?;
        Ok(bytes)
    }

    async fn finish(&self) -> Result<(), SshError> {
        let (temporary, path) = (quoted(&self.temporary), quoted(self.path));
        let command = in_sh(&format!("chmod {:o} {temporary} && mv -f {temporary} {path}", self.mode));
        let finished = self.connection.run(&command, b"").await?;
        match finished.success() {
            true => Ok(()),
            false => Err(self.failed(&finished.complaint())),
        }
    }

    /// With the link gone, whatever SFTP says about it is only that.
    fn failed(&self, reason: &impl ToString) -> SshError {
        let place = self.connection.place();
        match self.connection.is_closed() {
            true => SshError::lost(place, None),
            false => {
                SshError::Upload { place: place.to_owned(), path: self.path.to_owned(), reason: reason.to_string() }
            }
        }
    }

    fn unreadable(&self, source: io::Error) -> SshError {
        SshError::UploadSource { place: self.connection.place().to_owned(), source }
    }
}

/// For a login shell of any kind.
fn in_sh(command: &str) -> String {
    format!("sh -c {}", quoted(command))
}

/// A full piece, but for the last.
async fn read_piece(source: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(WRITE_BYTES);
    source.take(WRITE_BYTES as u64).read_to_end(&mut piece).await?;
    Ok(piece)
}
