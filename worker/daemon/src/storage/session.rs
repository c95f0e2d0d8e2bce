//! One client's session: the requests of SFTP, as far as a store has them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use russh_sftp::extensions::{self, FsyncExtension, HardlinkExtension, Statvfs, StatvfsExtension};
use russh_sftp::protocol::{
    Attrs, Data, ExtendedReply, File as Listed, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode,
    Version,
};
use russh_sftp::server::{Handler, StatusReply};
use russh_sftp::{de, ser};
use tokio::sync::oneshot;

use super::Rights;
use super::files::Folder;
use super::names::{self, Place};
use super::publish::{self, PublishError};

/// Handles that a client may have; ours keeps a hundred.
const HANDLES_MAX: usize = 256;
/// What one answer brings, and one listing names.
const READ_BYTES_MAX: u32 = 256 << 10;
const LISTED_AT_ONCE: usize = 500;
const POSIX_RENAME: &str = "posix-rename@openssh.com";

/// An open file or folder.
enum Opened {
    /// With the name that it is written under, as long as it is unfinished.
    File(Arc<std::fs::File>, Option<Place>),
    /// What is still to be told.
    Listing(VecDeque<Listed>),
}

pub(super) struct Session {
    /// How clients write the folder's path.
    served: String,
    folder: Result<Arc<Folder>, StatusReply>,
    rights: Rights,
    opened: HashMap<String, Opened>,
    handles: u64,
    unfinished: HashSet<Place>,
    _ending: oneshot::Sender<()>,
}

impl Session {
    pub(super) fn new(served: String, rights: Rights, ending: oneshot::Sender<()>) -> Self {
        let folder = Folder::open(&served).map(Arc::new).map_err(|error| {
            StatusCode::NoSuchFile.with_message(format!("the folder '{served}' cannot be used: {error}"))
        });
        let (opened, unfinished) = (HashMap::new(), HashSet::new());
        Self { served, folder, rights, opened, handles: 0, unfinished, _ending: ending }
    }

    fn place(&self, path: &str) -> Result<Place, StatusReply> {
        let refused = || StatusCode::PermissionDenied.with_message(format!("this key leads to '{}'", self.served));
        names::place(&self.served, path).ok_or_else(refused)
    }

    /// Does something in the folder, on a thread that may block.
    async fn at<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StatusReply> {
        let folder = self.folder.clone()?;
        blocking(move || work(&folder)).await
    }

    fn keep(&mut self, id: u32, opened: Opened) -> Result<Handle, StatusReply> {
        if self.opened.len() >= HANDLES_MAX {
            return Err(StatusCode::Failure.with_message("too many open files"));
        }
        self.handles += 1;
        let handle = self.handles.to_string();
        self.opened.insert(handle.clone(), opened);
        Ok(Handle { id, handle })
    }

    fn file(&self, handle: &str) -> Result<(Arc<std::fs::File>, Option<&Place>), StatusReply> {
        match self.opened.get(handle) {
            Some(Opened::File(file, unfinished)) => Ok((Arc::clone(file), unfinished.as_ref())),
            _ => Err(StatusCode::Failure.with_message("no such handle")),
        }
    }

    /// From now on nobody writes to a file that may get its name.
    fn seal(&mut self, place: &Place) {
        for opened in self.opened.values_mut() {
            if let Opened::File(_, unfinished) = opened
                && unfinished.as_ref() == Some(place)
            {
                *unfinished = None;
            }
        }
    }

    async fn publish(
        &mut self,
        data: Vec<u8>,
        how: fn(&Folder, &Place, &Place) -> Result<(), PublishError>,
    ) -> Result<(), StatusReply> {
        let HardlinkExtension { oldpath, newpath } = parsed(data)?;
        let (from, to) = (self.place(&oldpath)?, self.place(&newpath)?);
        self.seal(&from);
        let folder = self.folder.clone()?;
        match beside(move || how(&folder, &from, &to)).await? {
            Ok(()) => Ok(()),
            Err(PublishError::Io(error)) => Err(said(&error)),
            Err(refused @ PublishError::Taken(_)) => {
                Err(StatusCode::PermissionDenied.with_message(refused.to_string()))
            }
            Err(refused) => Err(StatusCode::Failure.with_message(refused.to_string())),
        }
    }

    async fn statvfs(&self, data: Vec<u8>) -> Result<Vec<u8>, StatusReply> {
        let StatvfsExtension { path } = parsed(data)?;
        self.place(&path)?;
        let found = self.at(Folder::space).await?;
        let told = Statvfs {
            block_size: found.f_bsize,
            fragment_size: found.f_frsize,
            blocks: found.f_blocks,
            blocks_free: found.f_bfree,
            blocks_avail: found.f_bavail,
            inodes: found.f_files,
            inodes_free: found.f_ffree,
            inodes_avail: found.f_favail,
            fs_id: 0,
            flags: found.f_flag.bits(),
            name_max: found.f_namemax,
        };
        ser::to_bytes(&told).map(|bytes| bytes.to_vec()).map_err(|_| StatusCode::Failure.into())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Ok(folder) = &self.folder else { return };
        for place in &self.unfinished {
            // What cannot be removed is found to be nobody's when the folder is next opened here.
            drop(folder.remove(place.name()));
        }
    }
}

impl Handler for Session {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.with_message("a store has no such request")
    }

    async fn init(&mut self, _version: u32, _extensions: HashMap<String, String>) -> Result<Version, StatusReply> {
        let mut version = Version::new();
        let offered =
            [(extensions::FSYNC, "1"), (extensions::HARDLINK, "1"), (POSIX_RENAME, "1"), (extensions::STATVFS, "2")];
        version.extensions.extend(offered.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        path: String,
        flags: OpenFlags,
        _attributes: FileAttributes,
    ) -> Result<Handle, StatusReply> {
        let place = self.place(&path)?;
        if flags.bits() == OpenFlags::READ.bits() {
            let name = place.name().to_owned();
            let file = self.at(move |folder| folder.read(&name)).await?;
            return self.keep(id, Opened::File(Arc::new(file), None));
        }
        let as_new = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        if !matches!(place, Place::Unfinished(_)) || flags.bits() != as_new.bits() {
            return Err(StatusCode::PermissionDenied.with_message("only new files in 'tmp' are written to"));
        }
        let name = place.name().to_owned();
        let file = self.at(move |folder| folder.create(&name)).await?;
        self.unfinished.insert(place.clone());
        self.keep(id, Opened::File(Arc::new(file), Some(place)))
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusReply> {
        match self.opened.remove(&handle) {
            Some(_) => Ok(done(id)),
            None => Err(StatusCode::Failure.with_message("no such handle")),
        }
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, length: u32) -> Result<Data, StatusReply> {
        let (file, _) = self.file(&handle)?;
        let data = blocking(move || read_at(&file, offset, length.min(READ_BYTES_MAX))).await?;
        if data.is_empty() && length > 0 { Err(StatusCode::Eof.into()) } else { Ok(Data { id, data }) }
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Result<Status, StatusReply> {
        let (file, unfinished) = self.file(&handle)?;
        if unfinished.is_none() {
            return Err(StatusCode::PermissionDenied.with_message("what has its name is not written to"));
        }
        blocking(move || file.write_all_at(&data, offset)).await?;
        Ok(done(id))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusReply> {
        let inside = if path == "." { self.served.clone() } else { path };
        self.place(&inside)?;
        Ok(Name { id, files: vec![Listed::dummy(inside)] })
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        let name = self.place(&path)?.name().to_owned();
        let attrs = self.at(move |folder| Ok(FileAttributes::from(&folder.read(&name)?.metadata()?))).await?;
        Ok(Attrs { id, attrs })
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusReply> {
        self.stat(id, path).await
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusReply> {
        let (file, _) = self.file(&handle)?;
        let attrs = blocking(move || Ok(FileAttributes::from(&file.metadata()?))).await?;
        Ok(Attrs { id, attrs })
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusReply> {
        let name = self.place(&path)?.name().to_owned();
        let listed = self.at(move |folder| list(folder, &name)).await?;
        self.keep(id, Opened::Listing(listed))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusReply> {
        match self.opened.get_mut(&handle) {
            Some(Opened::Listing(left)) if left.is_empty() => Err(StatusCode::Eof.into()),
            Some(Opened::Listing(left)) => {
                Ok(Name { id, files: left.drain(..left.len().min(LISTED_AT_ONCE)).collect() })
            }
            _ => Err(StatusCode::Failure.with_message("no such handle")),
        }
    }

    async fn remove(&mut self, id: u32, path: String) -> Result<Status, StatusReply> {
        let place = self.place(&path)?;
        if !place.may_go(self.rights) {
            return Err(StatusCode::PermissionDenied.with_message("this key only adds: nothing is deleted with it"));
        }
        self.unfinished.remove(&place);
        let name = place.name().to_owned();
        self.at(move |folder| folder.remove(&name)).await?;
        Ok(done(id))
    }

    async fn mkdir(&mut self, id: u32, path: String, _attributes: FileAttributes) -> Result<Status, StatusReply> {
        let name = self.place(&path)?.name().to_owned();
        self.at(move |folder| folder.make_folder(&name)).await?;
        Ok(done(id))
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Result<Packet, StatusReply> {
        match &*request {
            extensions::FSYNC => {
                let FsyncExtension { handle } = parsed(data)?;
                let (file, _) = self.file(&handle)?;
                blocking(move || file.sync_all()).await?;
            }
            extensions::HARDLINK => self.publish(data, publish::new).await?,
            POSIX_RENAME => self.publish(data, publish::over).await?,
            extensions::STATVFS => {
                return Ok(Packet::ExtendedReply(ExtendedReply { id, data: self.statvfs(data).await? }));
            }
            _ => return Err(self.unimplemented()),
        }
        Ok(Packet::Status(done(id)))
    }
}

fn list(folder: &Folder, name: &str) -> io::Result<VecDeque<Listed>> {
    let above = if name == "." { String::new() } else { format!("{name}/") };
    let attributes =
        |name: &str| Some(FileAttributes::from(&folder.read(&format!("{above}{name}")).ok()?.metadata().ok()?));
    // What cannot be looked at any more is gone, or is none of ours.
    Ok(folder.entries(name)?.into_iter().filter_map(|name| Some(Listed::new(&*name, attributes(&name)?))).collect())
}

fn read_at(file: &std::fs::File, offset: u64, length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, StatusReply> {
    beside(work).await?.map_err(|error| said(&error))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this process has one session, which waits for its disk and nothing else"
)]
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StatusReply> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StatusCode::Failure.with_message(error.to_string()))
}

fn said(error: &io::Error) -> StatusReply {
    let code = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StatusCode::NoSuchFile,
        io::ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    };
    code.with_message(error.to_string())
}

fn parsed<T: serde::de::DeserializeOwned>(data: Vec<u8>) -> Result<T, StatusReply> {
    de::from_bytes(&mut Bytes::from(data)).map_err(|_| StatusCode::BadMessage.into())
}

fn done(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: "Ok".into(), language_tag: "en-US".into() }
}
