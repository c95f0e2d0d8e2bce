//! A store that fails on purpose: at the Nth operation, from it on, or by seeded chance.
//!
//! An operation counts only if the planned fault can befall it (no short reads of puts), so a test
//! that fails the 1st, 2nd, 3rd … is done when [`Faulty::injected`] stays empty. A get of several
//! ranges is one operation; each deletion of a stream is one.

use std::fmt;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use rustix::io::Errno;

use super::error::refused;
use super::payload;

/// What is asked of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operation {
    Put,
    Get,
    Head,
    List,
    Delete,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails and has no effect.
    ErrorBefore(Errno),
    /// The operation takes its effect, then reports failure. A listing breaks off at its end.
    ErrorAfter(Errno),
    /// A put finds the store full, and has no effect.
    NoSpace,
    /// A put reports success, and no object appears: a store that lost what it had promised.
    LostPut,
    /// A get delivers the first half only, and reports success.
    ShortRead,
    /// A get delivers its bytes with one of their bits flipped.
    FlippedBit,
}

impl Fault {
    fn can_befall(self, operation: Operation) -> bool {
        match self {
            Self::ErrorBefore(_) | Self::ErrorAfter(_) => true,
            Self::NoSpace | Self::LostPut => operation == Operation::Put,
            Self::ShortRead | Self::FlippedBit => operation == Operation::Get,
        }
    }
}

/// Which operations go wrong, of those that can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// None.
    Never,
    /// One, counted from 1.
    Nth(u64),
    /// That one, counted from 1, and all after it: a disk that stays full, a line that stays dead.
    FromNth(u64),
    /// Each with the chance of one in `one_in`, the same ones for the same seed.
    Chance {
        /// The reciprocal of the probability.
        one_in: NonZeroU64,
        /// What determines the choice.
        seed: u64,
    },
}

impl When {
    fn is_now(self, ordinal: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Nth(nth) => ordinal == nth,
            Self::FromNth(nth) => ordinal >= nth,
            Self::Chance { one_in, seed } => mixed(seed ^ ordinal.wrapping_mul(0x9E37_79B9_7F4A_7C15)) % one_in == 0,
        }
    }
}

/// What shall go wrong, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What.
    pub fault: Fault,
    /// When.
    pub when: When,
    /// The kind of operation that it is limited to.
    pub only: Option<Operation>,
}

impl Plan {
    /// Nothing goes wrong.
    pub const NOTHING: Self = Self { fault: Fault::ErrorBefore(Errno::IO), when: When::Never, only: None };
}

/// A fault that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// The how manyth of the operations that it could befall.
    pub ordinal: u64,
    /// Of which kind it was.
    pub operation: Operation,
    /// On which object, or folder listed.
    pub name: String,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    operations: u64,
    injected: Vec<Injected>,
}

/// The wrapper. Clones share plan and counts.
#[derive(Debug, Clone)]
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    state: Arc<Mutex<State>>,
}

impl Faulty {
    /// Wraps `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, plan: Plan) -> Self {
        let state = State { plan, operations: 0, injected: Vec::new() };
        Self { inner, state: Arc::new(Mutex::new(state)) }
    }

    /// Replaces the plan and begins to count anew.
    pub fn arm(&self, plan: Plan) {
        self.with(|state| *state = State { plan, operations: 0, injected: Vec::new() });
    }

    /// How many operations there were that the planned fault could have befallen.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.with(|state| state.operations)
    }

    /// The faults that happened.
    #[must_use]
    pub fn injected(&self) -> Vec<Injected> {
        self.with(|state| state.injected.clone())
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts an operation and says what happens to it.
    fn draw(&self, operation: Operation, name: &str) -> Option<Drawn> {
        self.with(|state| {
            let Plan { fault, when, only } = state.plan;
            if !fault.can_befall(operation) || only.is_some_and(|only| only != operation) {
                return None;
            }
            state.operations += 1;
            let ordinal = state.operations;
            if !when.is_now(ordinal) {
                return None;
            }
            state.injected.push(Injected { ordinal, operation, name: name.into() });
            Some(Drawn { fault, ordinal })
        })
    }

    async fn delete_one(self, name: Path) -> Result<Path> {
        let drawn = self.draw(Operation::Delete, name.as_ref());
        fail_before(drawn)?;
        self.inner.delete(&name).await?;
        fail_after(drawn)?;
        Ok(name)
    }

    fn listed(
        &self,
        prefix: Option<&Path>,
        list: impl FnOnce(&dyn ObjectStore) -> BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let drawn = self.draw(Operation::List, prefix.map_or("", Path::as_ref));
        match (fail_before(drawn), fail_after(drawn)) {
            (Err(error), _) => stream::once(futures::future::ready(Err(error))).boxed(),
            (_, Err(error)) => {
                let end = stream::once(futures::future::ready(Err(error)));
                list(&self.inner).chain(end).boxed()
            }
            (Ok(()), Ok(())) => list(&self.inner),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Drawn {
    fault: Fault,
    ordinal: u64,
}

impl Drawn {
    /// What a get delivers instead of `bytes`.
    fn spoiled(self, bytes: &Bytes) -> Bytes {
        match self.fault {
            Fault::ShortRead => bytes.slice(..bytes.len() / 2),
            Fault::FlippedBit if !bytes.is_empty() => {
                let bit = mixed(self.ordinal) % (bytes.len() as u64 * 8);
                let mut spoiled = bytes.to_vec();
                spoiled[(bit / 8) as usize] ^= 1 << (bit % 8);
                spoiled.into()
            }
            _ => bytes.clone(),
        }
    }
}

fn fail_before(drawn: Option<Drawn>) -> Result<()> {
    match drawn.map(|drawn| drawn.fault) {
        Some(Fault::ErrorBefore(errno)) => Err(injected(errno)),
        Some(Fault::NoSpace) => Err(injected(Errno::NOSPC)),
        _ => Ok(()),
    }
}

fn fail_after(drawn: Option<Drawn>) -> Result<()> {
    match drawn.map(|drawn| drawn.fault) {
        Some(Fault::ErrorAfter(errno)) => Err(injected(errno)),
        _ => Ok(()),
    }
}

fn injected(errno: Errno) -> object_store::Error {
    object_store::Error::Generic { store: "Faulty", source: Box::new(io::Error::from(errno)) }
}

/// The finisher of SplitMix64: every bit of the input moves every bit of the output.
fn mixed(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

impl fmt::Display for Faulty {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Faulty({})", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let drawn = self.draw(Operation::Put, location.as_ref());
        fail_before(drawn)?;
        if drawn.is_some_and(|drawn| drawn.fault == Fault::LostPut) {
            return Ok(PutResult { e_tag: None, version: None, extensions: Default::default() });
        }
        let result = self.inner.put_opts(location, payload, opts).await?;
        fail_after(drawn)?;
        Ok(result)
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(refused("take objects in parts", self))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { Operation::Head } else { Operation::Get };
        let drawn = self.draw(operation, location.as_ref());
        fail_before(drawn)?;
        let result = self.inner.get_opts(location, options).await?;
        fail_after(drawn)?;
        match drawn {
            None => Ok(result),
            Some(drawn) => {
                let GetResult { meta, range, .. } = &result;
                let (meta, range) = (meta.clone(), range.clone());
                let spoiled = drawn.spoiled(&result.bytes().await?);
                Ok(GetResult {
                    payload: GetResultPayload::Stream(payload::once(spoiled)),
                    meta,
                    range,
                    attributes: Default::default(),
                    extensions: Default::default(),
                })
            }
        }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let drawn = self.draw(Operation::Get, location.as_ref());
        fail_before(drawn)?;
        let mut parts = self.inner.get_ranges(location, ranges).await?;
        fail_after(drawn)?;
        if let (Some(drawn), Some(last)) = (drawn, parts.last_mut()) {
            *last = drawn.spoiled(last);
        }
        Ok(parts)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let faulty = self.clone();
        locations.and_then(move |name| faulty.clone().delete_one(name)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, |inner| inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, |inner| inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let drawn = self.draw(Operation::List, prefix.map_or("", Path::as_ref));
        fail_before(drawn)?;
        let listed = self.inner.list_with_delimiter(prefix).await?;
        fail_after(drawn)?;
        Ok(listed)
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(refused("copy", self))
    }

    async fn rename_opts(&self, _from: &Path, _to: &Path, _options: RenameOptions) -> Result<()> {
        Err(refused("rename", self))
    }
}

#[cfg(test)]
#[path = "faulty/tests.rs"]
mod tests;
