//! The half of a local store that blocks: putting, getting and deleting files.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, PutPayload, PutResult, Result};

use super::buffers::Buffers;
use super::error::LocalError;
use super::folders::{self, Folders};
use super::names;
use super::read::ObjectFile;
use super::temporary::Temporary;
use super::write;
use crate::store::{blocking, payload};

/// Whole objects up to this size come in one piece, larger ones as a stream of such pieces, whose
/// memory is used again: streaming 64 MiB takes 0.05 CPU seconds a GB, collecting them into fresh
/// memory 0.74. Who names a range gets it in one piece, whatever its size.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;

/// How a finished temporary file gets its name.
pub(super) type Publish = fn(&Temporary, &Path) -> Result<(), LocalError>;

/// The folder of a store.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    folders: Folders,
    buffers: Buffers,
    flush_failed: AtomicBool,
    /// A file system of which something is open is not unmounted.
    _held: Option<File>,
}

impl Root {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            folders: Folders::new(path.clone()),
            path,
            buffers: Buffers::default(),
            flush_failed: AtomicBool::new(false),
            _held: None,
        }
    }

    /// The same for a folder that is to stay where it is.
    pub(super) fn holding(path: PathBuf, folder: File) -> Self {
        Self { _held: Some(folder), ..Self::new(path) }
    }

    /// Where the folder lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// `object_store`'s view of the folder, for listings; None if there is no folder yet.
    pub(super) fn listing(&self) -> Result<Option<LocalFileSystem>> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => LocalFileSystem::new_with_prefix(&self.path).map(Some),
        }
    }

    /// Puts one object.
    pub(super) fn put(&self, path: &Path, payload: &PutPayload, publish: Publish) -> Result<PutResult, LocalError> {
        if self.flush_failed.load(Ordering::Acquire) {
            return Err(LocalError::Closed);
        }
        self.write(path, payload, publish).inspect_err(|error| self.note(error))
    }

    /// After a folder's flush has failed nobody knows what is on the medium, and asking again
    /// would be answered "fine".
    fn note(&self, error: &LocalError) {
        if matches!(error, LocalError::FlushFolder { .. }) {
            self.flush_failed.store(true, Ordering::Release);
        }
    }

    fn write(&self, path: &Path, payload: &PutPayload, publish: Publish) -> Result<PutResult, LocalError> {
        // BUG: every object's path is the root joined with a name of at least one component.
        let parent = path.parent().unwrap_or(&self.path);
        self.folders.ensure(parent)?;
        let temporary = Temporary::create(&self.path)?;
        let written = write::write(&temporary.file, payload, &self.buffers)
            .and_then(|()| temporary.file.sync_all())
            .and_then(|()| temporary.file.metadata())
            .map_err(LocalError::io("write", temporary.path()))?;
        let published = publish(&temporary, path);
        drop(temporary);
        if let Err(LocalError::Exists { .. }) = published {
            // The winner may not have come to its own flush; who hears of the object may count on it.
            folders::flush(parent)?;
        }
        published?;
        folders::flush(parent).inspect_err(|_| {
            // Not known to be durable, so it must not be found and counted on.
            drop(fs::remove_file(path));
        })?;
        Ok(PutResult { e_tag: Some(e_tag(&written)), version: None, extensions: Default::default() })
    }

    /// Answers a get request; a range is read at once, a large object as it is asked for.
    pub(super) fn get(&self, path: &Path, location: Name, options: &GetOptions) -> Result<GetResult> {
        let (file, metadata) = ObjectFile::open(path, &self.buffers)?;
        let modified = metadata.modified().map_err(LocalError::io("inspect", path))?;
        let meta = ObjectMeta {
            location,
            last_modified: modified.into(),
            size: metadata.len(),
            e_tag: Some(e_tag(&metadata)),
            version: None,
        };
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => inside(range, meta.size, path)?,
            None => 0..meta.size,
        };
        let bytes = if options.head {
            stream::empty().boxed()
        } else if options.range.is_some() || meta.size <= PIECE_BYTES {
            payload::once(file.read(&range)?)
        } else {
            pieces(file, range.clone())
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(bytes),
            meta,
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    /// Reads several ranges of one object.
    pub(super) fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, LocalError> {
        let (file, metadata) = ObjectFile::open(path, &self.buffers)?;
        let read = |range: &Range<u64>| {
            let range = inside(&GetRange::Bounded(range.clone()), metadata.len(), path)?;
            file.read(&range)
        };
        ranges.iter().map(read).collect()
    }

    /// Deletes, then flushes the folders; what is reported as deleted stays so.
    pub(super) fn delete(&self, names: Vec<Result<Name>>) -> Vec<Result<Name>> {
        let mut parents = HashSet::new();
        let deleted = names.into_iter().map(|name| self.delete_one(name?, &mut parents)).collect();
        match parents.iter().try_for_each(|parent| folders::flush(parent)) {
            Ok(()) => deleted,
            Err(error) => {
                self.note(&error);
                vec![Err(error.into())]
            }
        }
    }

    fn delete_one(&self, name: Name, parents: &mut HashSet<PathBuf>) -> Result<Name> {
        let path = names::file_of(&self.path, &name)?;
        match fs::remove_file(&path) {
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(LocalError::io("delete", &path)(error).into()),
            Ok(()) => {
                parents.extend(path.parent().map(Path::to_path_buf));
            }
        }
        Ok(name)
    }
}

fn inside(range: &GetRange, size: u64, path: &Path) -> Result<Range<u64>, LocalError> {
    range.as_range(size).map_err(|source| LocalError::Range {
        path: path.into(),
        range: range.clone(),
        source: source.into(),
    })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A large object piece by piece, each read when it is asked for.
fn pieces(file: ObjectFile, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
    let state = (Arc::new(file), range);
    stream::try_unfold(state, |(file, rest)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        let piece = rest.start..rest.end.min(rest.start + PIECE_BYTES);
        let next = piece.end..rest.end;
        let reader = Arc::clone(&file);
        let bytes = blocking::run(move || Ok(reader.read(&piece)?)).await?;
        Ok(Some((bytes, (file, next))))
    })
    .boxed()
}

/// Changes whenever the file does.
fn e_tag(metadata: &Metadata) -> String {
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    format!("\"{:x}-{seconds:x}.{nanoseconds:x}-{:x}\"", metadata.ino(), metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publishes, and lets the folder vanish before it can be flushed.
    fn publish_and_lose(temporary: &Temporary, path: &Path) -> Result<(), LocalError> {
        temporary.publish_new(path)?;
        let parent = path.parent().ok_or(LocalError::Overwrite)?;
        fs::rename(parent, parent.with_extension("lost")).map_err(LocalError::io("move", parent))
    }

    #[test]
    fn after_a_failed_flush_of_a_folder_nothing_more_is_written() {
        let folder = tempfile::tempdir().expect("folder");
        let root = Root::new(folder.path().into());
        let object = folder.path().join("packs/one");
        let payload = PutPayload::from_static(b"content");
        let put = |publish| root.put(&object, &payload, publish).map(drop);

        let failure = put(publish_and_lose).expect_err("not known to be durable");
        assert!(matches!(failure, LocalError::FlushFolder { .. }), "{failure}");
        let refusal = put(Temporary::publish_new).expect_err("closed");
        assert!(matches!(refusal, LocalError::Closed), "{refusal}");

        let root = Root::new(folder.path().into());
        root.put(&object, &payload, Temporary::publish_new).expect("opened anew");
    }
}
