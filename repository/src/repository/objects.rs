//! Reading and writing whole objects by name.

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::error::Error;
use crate::object::HINT;
use crate::store;

pub(crate) fn store_error(doing: &'static str, name: &str) -> impl FnOnce(object_store::Error) -> Error {
    let name = name.to_owned();
    move |source| Error::Store { doing, name, source }
}

/// Reads an object that must be there.
pub(crate) async fn get(store: &dyn ObjectStore, name: &str) -> Result<Bytes, Error> {
    get_optional(store, name).await?.ok_or_else(|| Error::Missing { name: name.to_owned() })
}

/// Reads an object that may be absent.
pub(crate) async fn get_optional(store: &dyn ObjectStore, name: &str) -> Result<Option<Bytes>, Error> {
    let read = async { store.get(&Path::from(name)).await?.bytes().await };
    match read.await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if store::kind(&error) == store::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(store_error("read", name)(error)),
    }
}

/// The size of an object, in bytes; none where there is none.
pub(crate) async fn size(store: &dyn ObjectStore, name: &str) -> Result<Option<u64>, Error> {
    match store.head(&Path::from(name)).await {
        Ok(meta) => Ok(Some(meta.size)),
        Err(error) if store::kind(&error) == store::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(store_error("look at", name)(error)),
    }
}

/// Reads a part of an object.
pub(crate) async fn get_range(
    store: &dyn ObjectStore,
    name: &str,
    range: std::ops::Range<u64>,
) -> Result<Bytes, Error> {
    let wanted = range.end - range.start;
    match store.get_range(&Path::from(name), range).await {
        Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
        Ok(_) => Err(Error::damaged(name, "it is shorter than it was")),
        Err(error) if store::kind(&error) == store::ErrorKind::NotFound => {
            Err(Error::Missing { name: name.to_owned() })
        }
        Err(error) => Err(range_error(store, name, error).await),
    }
}

/// A range beyond the end is reported in many ways; the object's size tells whether that was it.
async fn range_error(store: &dyn ObjectStore, name: &str, error: object_store::Error) -> Error {
    match store.head(&Path::from(name)).await {
        Ok(_) if store::kind(&error) == store::ErrorKind::Other => {
            Error::damaged(name, format!("it cannot be read as recorded: {error}"))
        }
        _ => store_error("read", name)(error),
    }
}

/// Whether a write created the object or found it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is new.
    Created,
    /// An object of this name was there and stays.
    Existed,
}

/// Creates an object; durable when this returns.
pub(crate) async fn put_new(
    store: &dyn ObjectStore,
    name: &str,
    payload: impl Into<PutPayload>,
) -> Result<Written, Error> {
    let options = PutOptions::from(PutMode::Create);
    match store.put_opts(&Path::from(name), payload.into(), options).await {
        Ok(_) => Ok(Written::Created),
        Err(error) if store::kind(&error) == store::ErrorKind::AlreadyExists => Ok(Written::Existed),
        Err(error) => Err(store_error("write", name)(error)),
    }
}

/// Deletes an object; one that is not there is gone already.
pub(crate) async fn remove(store: &dyn ObjectStore, name: &str) -> Result<(), Error> {
    match store.delete(&Path::from(name)).await {
        Ok(()) => Ok(()),
        Err(error) if store::kind(&error) == store::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(store_error("delete", name)(error)),
    }
}

/// The newest commit number according to the hint; 0 if there is none.
pub(crate) async fn hint(store: &dyn ObjectStore) -> u64 {
    let bytes = get_optional(store, HINT).await.ok().flatten();
    bytes.and_then(|bytes| parse_hint(&bytes)).unwrap_or(0)
}

/// The commit number that a hint holds; commits count from 1.
pub(crate) fn parse_hint(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse().ok().filter(|number| *number > 0)
}

/// Leaves a hint for whoever opens the repository next; nothing depends on it.
pub(crate) async fn leave_hint(store: &dyn ObjectStore, newest: u64) {
    let text = newest.to_string().into_bytes();
    if let Err(error) = store.put(&Path::from(HINT), text.into()).await {
        tracing::debug!(%error, "hint not written");
    }
}

/// Names and sizes of all objects under a folder, in no order.
pub(crate) async fn list(store: &dyn ObjectStore, folder: &str) -> Result<Vec<(String, u64)>, Error> {
    let found = store.list(Some(&Path::from(folder))).map_ok(|meta| (meta.location.to_string(), meta.size));
    found.try_collect().await.map_err(store_error("list", folder))
}
