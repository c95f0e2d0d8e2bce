//! One object: is it what it was?

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::{Finding, Store, is_about_one_object, pack_id};
use crate::error::{Error, ErrorKind, chain};
use crate::ids::ObjectId;
use crate::object::{self, CONFIG, ObjectType};
use crate::parity::{self, Parity};
use crate::repository::{Repository, checkpoint_number, get, get_range};

/// What is read at once: a local store reads such ranges past the page cache.
const RANGE_BYTES: u64 = 8 << 20;

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its name.
    pub(crate) name: String,
    /// Bytes.
    pub(crate) size: u64,
    /// When it was stored, by the store's clock.
    pub(crate) since: Timestamp,
}

/// What an object turned out to be.
#[derive(Debug)]
pub(crate) enum Verdict {
    Good,
    Bad(Finding),
    /// It was deleted since it was listed.
    Gone,
    /// The store cannot read it.
    Unreadable(Finding, Error),
}

const KINDS: [ObjectType; 11] = [
    ObjectType::Key,
    ObjectType::Commit,
    ObjectType::Checkpoint,
    ObjectType::Session,
    ObjectType::Rest,
    ObjectType::Snapshot,
    ObjectType::Index,
    ObjectType::PagePack,
    ObjectType::Parity,
    ObjectType::Group,
    ObjectType::Pack,
];

/// Everything that is stored, but for the hint.
pub(crate) async fn stored_objects(store: &dyn ObjectStore) -> Result<Vec<Stored>, Error> {
    let mut stored = Vec::new();
    match store.head(&Path::from(CONFIG)).await {
        Ok(meta) => stored.push(of(meta)),
        Err(error) if crate::store::kind(&error) == crate::store::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Store { doing: "look at", name: CONFIG.into(), source }),
    }
    for kind in KINDS {
        let listed = store.list(Some(&Path::from(kind.folder()))).map_ok(of).try_collect::<Vec<_>>().await;
        let failed = |source| Error::Store { doing: "list", name: kind.folder().into(), source };
        stored.extend(listed.map_err(failed)?);
    }
    Ok(stored)
}

fn of(meta: ObjectMeta) -> Stored {
    let since = Timestamp::from_second(meta.last_modified.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH);
    Stored { name: meta.location.to_string(), size: meta.size, since }
}

/// Verifies an object of `store`, with what the open repository knows. What seems bad is read twice: a bit that turns over on its way condemns nothing.
pub(crate) async fn examine(repository: &Repository, store: &Store, object: &Stored) -> Result<Verdict, Error> {
    let mut last = verify(repository, store, object).await;
    if last.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt || is_about_one_object(error)) {
        last = verify(repository, store, object).await;
    }
    let finding = |error: &Error| Finding {
        object: object.name.clone(),
        fault: fault_of(error, &object.name),
        ranges: Vec::new(),
        heals: false,
    };
    match last {
        Ok(()) => Ok(Verdict::Good),
        Err(Error::Missing { .. }) => Ok(Verdict::Gone),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Verdict::Gone),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            Ok(Verdict::Bad(locate(repository, store, finding(&error)).await?))
        }
        Err(error) if is_about_one_object(&error) => Ok(Verdict::Unreadable(finding(&error), error)),
        Err(error) => Err(error),
    }
}

/// What is wrong, without the object's name, which stands beside it.
fn fault_of(error: &Error, object: &str) -> String {
    match error {
        Error::Damaged { name, reason } if name == object => reason.clone(),
        other => chain(other),
    }
}

/// Fails with damage if the object is not what it was.
async fn verify(repository: &Repository, store: &Store, object: &Stored) -> Result<(), Error> {
    let name = &object.name;
    let (folder, last) = name.split_once('/').unwrap_or((name, ""));
    match folder {
        "packs" | "pages" | "index" | "snapshots" | "groups" => verify_hash(store, object).await,
        _ => {
            let bytes = get(&**store, name).await?;
            verify_bytes(repository, (folder, last), name, &bytes).map_err(or_newer)
        }
    }
}

/// A version byte that turned over looks like a newer release's.
fn or_newer(error: Error) -> Error {
    match error {
        Error::TooNew { name, version } => {
            Error::damaged(name, format!("it has format version {version}: it rotted, or a newer release wrote it"))
        }
        other => other,
    }
}

/// Whether `bytes` are those of the object `name`.
pub(crate) fn verify_content(repository: &Repository, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let (folder, last) = name.split_once('/').unwrap_or((name, ""));
    match folder {
        "packs" | "pages" | "index" | "snapshots" | "groups" => compare(name, &ObjectId::of(bytes)),
        _ => verify_bytes(repository, (folder, last), name, bytes),
    }
}

fn verify_bytes(repository: &Repository, (folder, last): (&str, &str), name: &str, bytes: &[u8]) -> Result<(), Error> {
    let no_name = || Error::damaged(name, "its name is not that of an object of this kind");
    match folder {
        "config" => repository.verify_config(bytes),
        "keys" => repository.verify_key(name, bytes),
        "sessions" => repository.open_session(name, bytes).map(|_| ()),
        "rests" => repository.open_rest(name, bytes).map(|_| ()),
        "commits" => {
            let number = u64::from_str_radix(last, 16).ok().filter(|number| object::commit_name(*number) == name);
            repository.open_commit(number.ok_or_else(no_name)?, bytes).map(|_| ())
        }
        "checkpoints" => {
            let number = checkpoint_number(name).ok_or_else(no_name)?;
            repository.open_checkpoint(number, bytes).map(|_| ())
        }
        "parity" => Parity::open(&repository.id(), &last.parse().map_err(|_| no_name())?, bytes)?.check(),
        _ => Err(no_name()),
    }
}

/// Fails with damage if the bytes of an object do not match its name.
pub(crate) async fn verify_hash(store: &Store, object: &Stored) -> Result<(), Error> {
    let mut hasher = blake3::Hasher::new();
    let mut start = 0;
    while start < object.size {
        let end = object.size.min(start + RANGE_BYTES);
        let bytes = get_range(&**store, &object.name, start..end).await?;
        hasher = blocking(move || {
            hasher.update(&bytes);
            hasher
        })
        .await?;
        start = end;
    }
    compare(&object.name, &ObjectId(*hasher.finalize().as_bytes()))
}

fn compare(name: &str, found: &ObjectId) -> Result<(), Error> {
    match name.rsplit('/').next().and_then(|hex| hex.parse::<ObjectId>().ok()) {
        Some(id) if id == *found => Ok(()),
        Some(_) => Err(Error::damaged(name, "its bytes do not match its name")),
        None => Err(Error::damaged(name, "its name is not that of an object of this kind")),
    }
}

/// CPU work on its one owner in a scrub and a repair.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    #[expect(clippy::disallowed_methods, reason = "hashing and healing are CPU work, and this is their one owner here")]
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|lost| Error::Poisoned(lost.to_string().into()))
}

/// Where a pack rotted, if its parity can say so.
async fn locate(repository: &Repository, store: &Store, finding: Finding) -> Result<Finding, Error> {
    let Some(id) = pack_id(&finding.object) else { return Ok(finding) };
    let Some((pack, parity)) = with_parity(store, &finding.object, &id).await? else { return Ok(finding) };
    let repository = repository.id();
    blocking(move || {
        let Ok(parity) = Parity::open(&repository, &id, &parity) else { return finding };
        let ranges = parity.rotten(&pack).into_iter().map(|range| (range.start, range.end)).collect();
        Finding { ranges, heals: parity.heal(&pack).is_some(), ..finding }
    })
    .await
}

/// A pack as it lies there, in ranges, and its parity, if it has one. Ranges that cannot be read are zeros.
pub(crate) async fn with_parity(store: &Store, name: &str, id: &ObjectId) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
    let parity = match get(&**store, &parity::name_of(id)).await {
        Ok(parity) => parity,
        Err(error) if error.kind() == ErrorKind::Corrupt || is_about_one_object(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(size) = crate::repository::size(&**store, name).await? else { return Ok(None) };
    Ok(Some((read_what_can_be(store, name, size).await?, parity)))
}

async fn read_what_can_be(store: &Store, name: &str, size: u64) -> Result<Vec<u8>, Error> {
    let mut pack = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    while (pack.len() as u64) < size {
        let start = pack.len() as u64;
        let end = size.min(start + RANGE_BYTES);
        match get_range(&**store, name, start..end).await {
            Ok(bytes) => pack.extend_from_slice(&bytes),
            Err(error) if is_about_one_object(&error) => read_around(store, name, (start, end), &mut pack).await?,
            Err(error) if error.kind() == ErrorKind::Corrupt => break,
            Err(error) => return Err(error),
        }
    }
    Ok(pack)
}

/// Bytes that are read at once where a disk has unreadable places: a few of its sectors.
const SMALL_RANGE_BYTES: u64 = 16 << 10;

async fn read_around(store: &Store, name: &str, (start, end): (u64, u64), pack: &mut Vec<u8>) -> Result<(), Error> {
    let mut at = start;
    while at < end {
        let until = end.min(at + SMALL_RANGE_BYTES);
        match get_range(&**store, name, at..until).await {
            Ok(bytes) => pack.extend_from_slice(&bytes),
            Err(error) if is_about_one_object(&error) || error.kind() == ErrorKind::Corrupt => {
                pack.resize(pack.len() + (until - at) as usize, 0);
            }
            Err(error) => return Err(error),
        }
        at = until;
    }
    Ok(())
}

/// The whole of an object, whatever it is; none if there is none, or it cannot be read.
pub(crate) async fn read_whole(store: &Store, name: &str) -> Result<Option<Bytes>, Error> {
    match get(&**store, name).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::Missing { .. }) => Ok(None),
        Err(error) if is_about_one_object(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
