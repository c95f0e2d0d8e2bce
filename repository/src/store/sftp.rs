//! A folder of another machine as a store, over SFTP. This crate knows no SSH: whoever opens the store brings a connector that gives streams to a server.
//!
//! A put is as in a local store: a file of a random name in `tmp/`, its content, a flush, a hard link to the final name (which fails if there is one), the removal of
//! the temporary name, a flush of the folder. What a server lacks makes the promise weaker:
//!
//! * without `hardlink@openssh.com` the file is renamed, which the protocol forbids over an existing name; a probe finds out whether the server keeps to it
//! * without `fsync@openssh.com` a put is as durable as the server makes it
//! * a server that does not open folders like files may forget a new name when its power fails; it never shows half an object
//!
//! Many requests are on the way at once, so that a long way does not count for each, over a few sessions, since one is held back by the server's window. A session that
//! is lost is made anew, and what it was doing is done again. A put that is told the name is taken, after a try whose answer was lost, looks whether the object is
//! its own.
//!
//! Deliberately absent: removing what killed writers left in `tmp/`, for no lock over SFTP tells the dead from the living; and names that are not ASCII.

mod error;
mod life;
mod pool;
mod put;
mod session;
mod transfer;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

pub use self::error::SftpError;
use self::pool::Pool;
pub use self::pool::{SftpConnector, SftpStream};
use self::put::Publish;
use self::session::{Attributes, Kind, Session};
use super::error::{overwrite_refused, refused};
use super::local::names;
use super::{HINT, SftpPlace, Space, payload};

/// Whole objects up to this size come in one piece, larger ones as a stream of such pieces.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;

/// Ranges of one object, or folders of a listing, under way at once.
const READS_AT_ONCE: usize = 4;

/// Deletions that share the flush of their folders.
const DELETIONS_PER_FLUSH_MAX: usize = 64;

/// Objects as files below one folder of another machine.
#[derive(Debug, Clone)]
pub struct SftpStore {
    place: SftpPlace,
    pool: Arc<Pool>,
    /// Folders known to be there.
    folders: Arc<Mutex<HashSet<String>>>,
}

impl SftpStore {
    /// Opens a folder of another machine; nothing is asked of it yet. The first put makes it, if need be.
    #[must_use]
    pub fn new(place: &SftpPlace, connector: Arc<dyn SftpConnector>) -> Self {
        Self { place: place.clone(), pool: Arc::new(Pool::new(connector)), folders: Arc::default() }
    }

    /// The room where it lies; nothing where the server does not tell, or the folder is not there yet.
    pub async fn space(&self) -> Result<Option<Space>, SftpError> {
        let folder = self.place.folder().to_owned();
        let ask = |session: Arc<Session>| {
            let folder = folder.clone();
            async move { session.space(&folder).await }
        };
        match self.pool.with(ask).await {
            Err(SftpError::Missing { .. }) => Ok(None),
            told => told,
        }
    }

    /// The folder, without a slash at its end: empty for `/`.
    fn root(&self) -> &str {
        self.place.folder().trim_end_matches('/')
    }

    /// The file of an object.
    fn file(&self, location: &Path) -> Result<String, SftpError> {
        match names::is_object_name(location) {
            true => Ok(format!("{}/{location}", self.root())),
            false => Err(SftpError::Name(location.to_string())),
        }
    }

    /// The object's attributes; a folder is no object.
    async fn attributes(&self, location: &Path) -> Result<Attributes, SftpError> {
        let path = self.file(location)?;
        let ask = |session: Arc<Session>| {
            let path = path.clone();
            async move { session.attributes(&path).await }
        };
        match self.pool.with(ask).await? {
            found if found.kind == Kind::File => Ok(found),
            _ => Err(SftpError::Missing { path }),
        }
    }

    /// Reads what `range` means in the object, with its attributes.
    async fn read(&self, location: &Path, range: GetRange) -> Result<(Attributes, Range<u64>, Bytes), SftpError> {
        let path = self.file(location)?;
        let read = |session: Arc<Session>| {
            let (path, range) = (path.clone(), range.clone());
            async move { read_once(&session, &path, &range).await }
        };
        self.pool.with(read).await
    }

    fn meta(location: &Path, found: Attributes) -> ObjectMeta {
        ObjectMeta {
            location: location.clone(),
            last_modified: (std::time::UNIX_EPOCH + std::time::Duration::from_secs(found.modified.into())).into(),
            size: found.size,
            e_tag: Some(format!("\"{:x}-{:x}\"", found.size, found.modified)),
            version: None,
        }
    }

    /// A whole object: a small one has come when its size is known, a large one comes in pieces.
    async fn read_whole(&self, location: &Path) -> Result<(Attributes, BoxStream<'static, Result<Bytes>>), SftpError> {
        let path = self.file(location)?;
        let read = |session: Arc<Session>| {
            let path = path.clone();
            async move { read_first_piece(&session, &path).await }
        };
        let (found, first) = self.pool.with(read).await?;
        let rest = self.pieces(location, first.len() as u64, found.size);
        Ok((found, payload::once(first).chain(rest).boxed()))
    }

    /// A large object from `start` on, piece by piece, each read when it is asked for.
    fn pieces(&self, location: &Path, start: u64, size: u64) -> BoxStream<'static, Result<Bytes>> {
        let (store, location) = (self.clone(), location.clone());
        let starts = (start..size).step_by(PIECE_BYTES as usize);
        let read = move |start: u64| {
            let (store, location) = (store.clone(), location.clone());
            async move {
                let range = GetRange::Bounded(start..size.min(start + PIECE_BYTES));
                let (_, range, bytes) = store.read(&location, range).await?;
                match bytes.len() as u64 == size.min(start + PIECE_BYTES) - start {
                    true => Ok(bytes),
                    false => Err(SftpError::Range { path: location.to_string(), size: range.end }.into()),
                }
            }
        };
        stream::iter(starts).then(read).boxed()
    }

    /// Objects and folders in one folder, by their names in the store.
    async fn entries(&self, folder: Option<Path>) -> Result<(Vec<ObjectMeta>, Vec<Path>), SftpError> {
        let folder = folder.unwrap_or_default();
        let path = match folder.as_ref() {
            "" => self.place.folder().to_owned(),
            _ if !names::is_object_name(&folder) => return Ok(Default::default()),
            name => format!("{}/{name}", self.root()),
        };
        let list = |session: Arc<Session>| {
            let path = path.clone();
            async move { session.entries(&path).await }
        };
        let (mut objects, mut folders) = (Vec::new(), Vec::new());
        for (name, found) in self.pool.with(list).await? {
            let Ok(location) = Path::parse(format!("{folder}/{name}").trim_start_matches('/')) else { continue };
            match found.kind {
                _ if !names::is_object_name(&location) => {}
                Kind::File => objects.push(Self::meta(&location, found)),
                Kind::Folder => folders.push(location),
                Kind::Other => {}
            }
        }
        Ok((objects, folders))
    }

    fn walk(&self, folder: Option<Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = self.clone();
        let list = async move {
            let (objects, folders) = store.entries(folder).await?;
            let below = stream::iter(folders).map(move |folder| store.walk(Some(folder)));
            let below = below.flatten_unordered(READS_AT_ONCE);
            Ok::<_, object_store::Error>(stream::iter(objects.into_iter().map(Ok)).chain(below))
        };
        list.boxed().try_flatten_stream().boxed()
    }

    async fn delete_some(&self, locations: Vec<Result<Path>>) -> Vec<Result<Path>> {
        let delete = |location: Result<Path>| async move {
            let location = location?;
            let path = self.file(&location)?;
            let remove = |session: Arc<Session>| {
                let path = path.clone();
                async move { session.remove(&path).await }
            };
            self.pool.with(remove).await?;
            Ok(location)
        };
        let deleted: Vec<Result<Path>> =
            stream::iter(locations).map(delete).buffered(DELETIONS_PER_FLUSH_MAX).collect().await;
        let folders: HashSet<String> = deleted.iter().flatten().filter_map(|name| self.file(name).ok()).collect();
        let folders: HashSet<String> = folders.iter().filter_map(|file| put::parent(file).map(str::to_owned)).collect();
        for folder in folders {
            let flush = |session: Arc<Session>| {
                let folder = folder.clone();
                async move { session.flush_folder(&folder).await }
            };
            if let Err(error) = self.pool.with(flush).await {
                return vec![Err(error.into())];
            }
        }
        deleted
    }
}

/// The first piece of a file, all of it where there is no more.
async fn read_first_piece(session: &Arc<Session>, path: &str) -> Result<(Attributes, Bytes), SftpError> {
    let handle = session.open(path).await?;
    let read = async {
        let begun = session.read_beginning(&handle, path, &GetRange::Bounded(0..PIECE_BYTES));
        let (found, begun) = join(session.attributes_of(&handle, path), begun).await;
        let (found, begun) = (found?, begun.unwrap_or_default());
        if found.kind != Kind::File {
            return Err(SftpError::Missing { path: path.into() });
        }
        let rest = begun.len() as u64..found.size.min(PIECE_BYTES);
        let bytes = match rest.is_empty() {
            true => begun,
            false => [begun, session.read(&handle, path, rest).await?].concat().into(),
        };
        Ok((found, bytes))
    };
    let read = read.await;
    session.close_later(handle, path);
    read
}

/// A range of a file, cut at its end.
async fn read_once(
    session: &Arc<Session>,
    path: &str,
    range: &GetRange,
) -> Result<(Attributes, Range<u64>, Bytes), SftpError> {
    let handle = session.open(path).await?;
    let read = async {
        // On a long way every answer counts: what is wanted is asked for beside the size.
        let begun = async {
            match range {
                GetRange::Bounded(range) if range.end.saturating_sub(range.start) <= PIECE_BYTES => {
                    session.read(&handle, path, range.clone()).await
                }
                range => session.read_beginning(&handle, path, range).await,
            }
        };
        let (found, begun) = join(session.attributes_of(&handle, path), begun).await;
        let found = found?;
        if found.kind != Kind::File {
            return Err(SftpError::Missing { path: path.into() });
        }
        let range = range.as_range(found.size).map_err(|_| SftpError::Range { path: path.into(), size: found.size })?;
        // Where the file ends within what was asked for, that could not come; it is read again, as much as there is.
        let begun = begun.ok().filter(|begun| begun.len() as u64 <= range.end - range.start).unwrap_or_default();
        let rest = range.start + begun.len() as u64..range.end;
        let bytes = match rest.is_empty() {
            true => begun,
            false => [begun, session.read(&handle, path, rest).await?].concat().into(),
        };
        Ok((found, range, bytes))
    };
    let read = read.await;
    session.close_later(handle, path);
    read
}

impl fmt::Display for SftpStore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SftpStore({})", self.place)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for SftpStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if !opts.attributes.is_empty() || !opts.tags.encoded().is_empty() {
            return Err(refused("keep attributes or tags", self));
        }
        let publish = match opts.mode {
            PutMode::Create => Publish::New,
            PutMode::Overwrite if location.as_ref() == HINT => Publish::Over,
            PutMode::Overwrite => return Err(overwrite_refused()),
            PutMode::Update(_) => return Err(refused("update", self)),
        };
        Ok(self.put(location, &payload, publish).await?)
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("take objects in parts", self))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let asks_condition = options.if_match.is_some()
            || options.if_none_match.is_some()
            || options.if_modified_since.is_some()
            || options.if_unmodified_since.is_some();
        let (found, range, bytes) = match &options.range {
            Some(range) if !options.head && !asks_condition => {
                let (found, range, bytes) = self.read(location, range.clone()).await?;
                (found, range, payload::once(bytes))
            }
            None if !options.head && !asks_condition => {
                let (found, bytes) = self.read_whole(location).await?;
                (found, 0..found.size, bytes)
            }
            range => {
                let found = self.attributes(location).await?;
                options.check_preconditions(&Self::meta(location, found))?;
                let whole = GetRange::Bounded(0..found.size.max(1));
                match range {
                    _ if options.head => (found, 0..found.size, stream::empty().boxed()),
                    None if found.size == 0 => (found, 0..0, payload::once(Bytes::new())),
                    None if found.size > PIECE_BYTES => (found, 0..found.size, self.pieces(location, 0, found.size)),
                    range => {
                        let (found, range, bytes) = self.read(location, range.clone().unwrap_or(whole)).await?;
                        (found, range, payload::once(bytes))
                    }
                }
            }
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(bytes),
            meta: Self::meta(location, found),
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let read = |range| self.read(location, GetRange::Bounded(range)).map_ok(|(_, _, bytes)| bytes).err_into();
        stream::iter(ranges.to_vec()).map(read).buffered(READS_AT_ONCE).try_collect().await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |locations| {
            let store = store.clone();
            async move { stream::iter(store.delete_some(locations).await) }
        };
        locations.ready_chunks(DELETIONS_PER_FLUSH_MAX).then(delete).flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.walk(prefix.cloned())
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let offset = offset.clone();
        self.walk(prefix.cloned()).try_filter(move |object| futures::future::ready(object.location > offset)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (objects, common_prefixes) = self.entries(prefix.cloned()).await?;
        Ok(ListResult { common_prefixes, objects, extensions: Default::default() })
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(refused("copy", self))
    }

    async fn rename_opts(&self, _from: &Path, _to: &Path, _options: RenameOptions) -> Result<()> {
        Err(refused("rename", self))
    }
}
