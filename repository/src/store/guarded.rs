//! A store that may ignore "only if there is none", made safe to commit to.
//!
//! Some look-alikes of S3 (Garage among them) accept the condition and overwrite all the same. Whether this one does is found out by probing it, at the first put and
//! once a month, and remembered in a file, so that no reader ever asks. On a store that keeps the promise this wrapper passes everything on. On one that does not:
//!
//! * A put first looks whether the name is taken. Within this process the puts of one name take turns, so that here exactly one of several racers wins.
//! * Names that are hashes or random belong to whoever has the bytes, and need no more. The others (`config`, `commits/…`) two processes may want for different
//!   bytes. For these a lock is taken in the store itself (see `lease`), the name is looked at again, and what was put is read back.
//!
//! That makes two machines that commit at once wait for each other. What it cannot exclude: a process that is stopped between its last look and its put for
//! longer than a lock lasts, and then goes on. No store that cannot refuse a put can exclude that, so on such a store one machine should do all commits.

mod lease;
mod verdict;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use tokio::time::{Instant, timeout_at};

use self::lease::{LEASE, Lease};
use self::verdict::Verdict;
use super::error::refused;
use super::{Commits, ErrorKind, ProbeReport, kind};

/// Folders whose names are given by content or by chance: who puts the same name puts the same bytes.
const OWN_NAMES: [&str; 11] =
    ["packs", "pages", "index", "snapshots", "sessions", "rests", "keys", "parity", "groups", "probe", lease::FOLDER];

/// After having seen nobody else at the lock, so long is waited before looking again: what a listing may lag behind.
const SETTLE: Duration = Duration::from_millis(300);

/// The wrapper. Clones share what is known about the store.
#[derive(Debug, Clone)]
pub struct Guarded {
    inner: Arc<dyn ObjectStore>,
    verdict: Arc<Verdict>,
    probing: Arc<tokio::sync::Mutex<()>>,
    who: Arc<str>,
    settle: Duration,
}

/// Why a put did not go through the guard.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GuardError {
    /// Somebody else holds the lock and did not let go of it.
    #[error("{0} commits to this store, which cannot decide between two writers")]
    Held(String),
    /// The lock did not appear in the store's listing.
    #[error("this store does not list what was just put into it, so nobody can commit to it safely")]
    Unseen,
    /// What was put is not what is there.
    #[error("another writer put the same name at the same time; this store cannot decide between two")]
    Replaced,
    /// The put took longer than the lock lasts.
    #[error("the commit took longer than its lock lasts, and may have met another one")]
    Late,
}

impl GuardError {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Held(_) | Self::Replaced | Self::Late => ErrorKind::Transient,
            Self::Unseen => ErrorKind::Other,
        }
    }

    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Held(_) => {
                "let one machine at a time write to this repository; run the same command again when the other one is done"
            }
            Self::Unseen => "keep the repository in a store that shows new objects at once",
            Self::Replaced | Self::Late => {
                "let one machine at a time write to this repository, and run `strongroom repo check`"
            }
        }
    }
}

impl From<GuardError> for object_store::Error {
    fn from(error: GuardError) -> Self {
        Self::Generic { store: "Guarded", source: error.into() }
    }
}

impl Guarded {
    /// Wraps `inner`. What a probe finds is kept in the file `memory`, if one is given; `who` is what others are told when they find our lock.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, memory: Option<PathBuf>, who: &str) -> Self {
        let verdict = Arc::new(Verdict::new(memory));
        Self { inner, verdict, probing: Arc::default(), who: who.into(), settle: SETTLE }
    }

    /// Probes the store itself, not through this guard, and remembers the answer.
    pub async fn probe(&self) -> ProbeReport {
        let report = super::probe(&*self.inner).await;
        self.verdict.remember(report.commits).await;
        report
    }

    /// Who may commit to the store, as remembered or as a probe finds now.
    pub async fn commits(&self) -> Commits {
        if let Some(commits) = self.verdict.known().await {
            return commits;
        }
        // Lanes that begin together ask together; one probe answers them all.
        let _turn = self.probing.lock().await;
        match self.verdict.known().await {
            Some(commits) => commits,
            None => self.probe().await.commits,
        }
    }

    async fn create(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let turn = turn(&format!("{}/{location}", self.inner));
        let _turn = turn.lock().await;
        self.must_be_free(location).await?;
        let folder = location.parts().next();
        let is_shared = location.parts().nth(1).is_none();
        if !is_shared && folder.is_some_and(|folder| OWN_NAMES.contains(&folder.as_ref())) {
            return self.inner.put_opts(location, payload, opts).await;
        }
        let lease = Lease::acquire(&*self.inner, &self.who, self.settle).await?;
        let put = self.put_under(&lease, location, payload, opts).await;
        lease.release(&*self.inner).await;
        put
    }

    async fn put_under(
        &self,
        lease: &Lease,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.must_be_free(location).await?;
        let put = timeout_at(lease.begun + LEASE / 2, self.inner.put_opts(location, payload.clone(), opts)).await;
        let put = put.map_err(|_| GuardError::Late)??;
        let found = self.inner.get(location).await?.bytes().await?;
        if found != Bytes::from(payload) {
            return Err(GuardError::Replaced.into());
        }
        if Instant::now() > lease.begun + LEASE {
            tracing::error!(%location, "{}", GuardError::Late);
            return Err(GuardError::Late.into());
        }
        Ok(put)
    }

    async fn must_be_free(&self, location: &Path) -> Result<()> {
        match self.inner.head(location).await {
            Ok(_) => Err(object_store::Error::AlreadyExists {
                path: location.to_string(),
                source: "the name is taken".into(),
            }),
            Err(error) if kind(&error) == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The lock that the puts of one name share in this process.
fn turn(name: &str) -> Arc<tokio::sync::Mutex<()>> {
    static TURNS: LazyLock<Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>> = LazyLock::new(Mutex::default);
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(turn) = turns.get(name).and_then(Weak::upgrade) {
        return turn;
    }
    turns.retain(|_, turn| turn.strong_count() > 0);
    let turn = Arc::default();
    turns.insert(name.to_owned(), Arc::downgrade(&turn));
    turn
}

impl fmt::Display for Guarded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(out)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Guarded {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if opts.mode == PutMode::Create && self.commits().await == Commits::ControllerOnly {
            return self.create(location, payload, opts).await;
        }
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("take objects in parts", self))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(refused("copy", self))
    }

    async fn rename_opts(&self, _from: &Path, _to: &Path, _options: RenameOptions) -> Result<()> {
        Err(refused("rename", self))
    }
}

#[cfg(test)]
#[path = "guarded/tests.rs"]
mod tests;
