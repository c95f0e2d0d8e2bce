//! Locks that are made longer, in a bucket with object lock: what is in force can be deleted by nobody for so long, whoever has the keys.
//!
//! A bucket locks what is written for a time from then on. What is deduplicated is needed for longer than that: each run looks at every object in force, and makes the locks longer
//! that end too soon. Never shorter, and never of what nobody needs: that comes free when its lock ends.
//!
//! The bucket decides who may lift a lock: an object without one gets the kind that the newest commit has. Where neither that nor the configuration is locked, nothing is asked: a
//! server that knows no locks could take the request for a put.
//!
//! Deliberately absent: setting up buckets, lifting locks, and locks of what is soon gone or nobody trusts (sessions, the hint).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use object_store::path::Path;
use serde::Serialize;

use crate::error::{Error, ErrorKind, chain};
use crate::ids::ObjectId;
use crate::index::Index;
use crate::live::Live;
use crate::object::{self, CONFIG, ObjectType};
use crate::prune::usage;
use crate::rebuild::Act;
use crate::repository::{Repository, list, store_error};
use crate::scrub;
use crate::store::{LockMode, ObjectLock, S3Store};

/// Objects that are asked for at once: fewer than the store takes, so that a backup beside this gets through.
const OBJECTS_AT_ONCE: usize = 16;

/// After so many refusals in a row it is the store that refuses, and not an object that is special.
const REFUSALS_MAX: usize = 8;

/// A lock that is made longer gets this part more than what is wanted: a run each day makes each of them longer every third day if 30 days are wanted, and one that comes at once
/// finds nothing to do.
const MORE_PART: u32 = 10;

/// No server takes more than a hundred years.
const LASTING_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How locks are made longer.
#[derive(Debug, Clone, Copy)]
pub struct LockOptions {
    /// Now.
    pub now: Timestamp,
    /// No lock may end sooner than after this.
    pub lasting: Duration,
    /// Whether to change anything.
    pub act: Act,
}

/// What was found and done.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LockReport {
    /// Objects in force.
    pub objects: u64,
    /// Those of them whose lock was made longer; of a rehearsal, would be.
    pub extended: u64,
    /// The weakest of their locks.
    pub mode: Option<LockMode>,
    /// None of their locks ends before this.
    pub until: Option<Timestamp>,
    /// The lock of the newest commit as it was found: without one, the bucket locks what is written no more.
    pub newest: Option<ObjectLock>,
    /// Objects in force that are not locked for so long.
    pub exposed: Vec<Exposed>,
    /// Requests.
    pub requests: LockRequests,
}

/// An object in force that can be deleted too soon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exposed {
    /// Its name.
    pub object: String,
    /// Why.
    pub why: String,
}

/// Requests to the store about single objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LockRequests {
    /// That ask for a lock.
    pub heads: u64,
    /// That make one longer; of a rehearsal, that would.
    pub puts: u64,
}

impl LockReport {
    /// Whether everything in force is locked for so long, and what is written is locked, too.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.exposed.is_empty() && self.newest.is_some()
    }

    fn expose(&mut self, object: String, why: impl Into<String>) {
        self.exposed.push(Exposed { object, why: why.into() });
    }

    fn note(&mut self, lock: ObjectLock) {
        self.mode = Some(self.mode.map_or(lock.mode, |mode| mode.min(lock.mode)));
        self.until = Some(self.until.map_or(lock.until, |until| until.min(lock.until)));
    }
}

/// Makes locks longer in the bucket that the repository lies in. Interrupted, the next run goes on.
pub async fn extend(
    repository: &Arc<Repository>,
    bucket: &S3Store,
    options: &LockOptions,
) -> Result<LockReport, Error> {
    repository.refresh().await?;
    let run = Run::begin(repository, bucket, options).await?;
    let names = in_force(repository).await?;
    let mut report = LockReport { objects: names.len() as u64, newest: run.newest, ..LockReport::default() };
    let mut outcomes = stream::iter(names).map(|name| run.one(name)).buffer_unordered(OBJECTS_AT_ONCE);
    let mut refused_in_a_row = 0;
    while let Some((object, outcome)) = outcomes.next().await {
        match outcome {
            Ok(Outcome::Holds(lock)) => report.note(lock),
            Ok(Outcome::Extended(lock)) => {
                report.extended += 1;
                report.note(lock);
            }
            // Whatever somebody deletes, the rest is to be locked.
            Err(error) if error.kind() == ErrorKind::NotFound => report.expose(object, "it is missing"),
            Err(error) if is_about_all(&error) || refused_in_a_row + 1 == REFUSALS_MAX => return Err(error),
            Err(error) => {
                refused_in_a_row += 1;
                report.expose(object, chain(&error));
                continue;
            }
        }
        refused_in_a_row = 0;
    }
    report.requests = run.requests();
    leave_out_what_is_gone(repository, &mut report).await?;
    Ok(report)
}

/// A prune beside this may have deleted what seemed to be missing.
async fn leave_out_what_is_gone(repository: &Arc<Repository>, report: &mut LockReport) -> Result<(), Error> {
    if report.exposed.is_empty() {
        return Ok(());
    }
    repository.refresh().await?;
    let still = in_force(repository).await?;
    let before = report.exposed.len();
    report.exposed.retain(|exposed| still.contains(&exposed.object));
    report.objects -= (before - report.exposed.len()) as u64;
    report.exposed.sort_by(|left, right| left.object.cmp(&right.object));
    Ok(())
}

/// Whether an error says nothing about the object, so that the next one would meet it, too.
fn is_about_all(error: &Error) -> bool {
    !matches!(error, Error::Damaged { .. } | Error::Store { .. }) || error.kind() == ErrorKind::Transient
}

/// A run that is under way.
struct Run<'a> {
    bucket: &'a S3Store,
    act: Act,
    /// A lock that ends sooner is made longer.
    wanted: Timestamp,
    /// And ends then.
    until: Timestamp,
    newest: Option<ObjectLock>,
    /// The kind that objects without a lock get.
    usual: LockMode,
    heads: AtomicU64,
    puts: AtomicU64,
}

/// What came of one object.
enum Outcome {
    Holds(ObjectLock),
    Extended(ObjectLock),
}

impl<'a> Run<'a> {
    async fn begin(repository: &Repository, bucket: &'a S3Store, options: &LockOptions) -> Result<Self, Error> {
        let after = |time: Duration| {
            let end = options.now.checked_add(time.min(LASTING_MAX)).unwrap_or(options.now);
            // Servers know no parts of seconds.
            Timestamp::from_second(end.as_second()).unwrap_or(end)
        };
        let heads = AtomicU64::new(0);
        let seen = async |name: &str| match lock_of(bucket, name, &heads).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            seen => seen,
        };
        let newest = match repository.history().newest {
            0 => seen(CONFIG).await?,
            number => seen(&object::commit_name(number)).await?,
        };
        let known = match newest {
            None => seen(CONFIG).await?,
            known => known,
        };
        let lasting = options.lasting;
        Ok(Self {
            bucket,
            act: options.act,
            wanted: after(lasting),
            until: after(lasting.saturating_add(lasting / MORE_PART)),
            newest,
            usual: known.ok_or(Error::NotLocked)?.mode,
            heads,
            puts: AtomicU64::new(0),
        })
    }

    async fn one(&self, name: String) -> (String, Result<Outcome, Error>) {
        let outcome = self.extend(&name).await;
        (name, outcome)
    }

    async fn extend(&self, name: &str) -> Result<Outcome, Error> {
        let found = lock_of(self.bucket, name, &self.heads).await?;
        if let Some(lock) = found.filter(|lock| lock.until >= self.wanted) {
            return Ok(Outcome::Holds(lock));
        }
        let longer = ObjectLock { mode: found.map_or(self.usual, |lock| lock.mode), until: self.until };
        self.puts.fetch_add(1, Ordering::Relaxed);
        if self.act == Act::DryRun {
            return Ok(Outcome::Extended(longer));
        }
        self.bucket.put_lock(&Path::from(name), longer).await.map_err(store_error("lock", name))?;
        // What counts is what is seen.
        match lock_of(self.bucket, name, &self.heads).await? {
            Some(lock) if lock.until >= self.wanted => Ok(Outcome::Extended(lock)),
            _ => Err(Error::damaged(name, "the store took the request, and its lock ends as before")),
        }
    }

    fn requests(&self) -> LockRequests {
        LockRequests { heads: self.heads.load(Ordering::Relaxed), puts: self.puts.load(Ordering::Relaxed) }
    }
}

async fn lock_of(bucket: &S3Store, name: &str, heads: &AtomicU64) -> Result<Option<ObjectLock>, Error> {
    heads.fetch_add(1, Ordering::Relaxed);
    bucket.lock_of(&Path::from(name)).await.map_err(store_error("see the lock of", name))
}

/// The names of all objects without which something could not be restored, or would not heal.
pub async fn in_force(repository: &Arc<Repository>) -> Result<BTreeSet<String>, Error> {
    let mut names = scrub::required(repository).await?;
    let index = repository.open_index().await?;
    let unneeded = unneeded(repository, &index).await?;
    names.retain(|name| scrub::pack_id(name).is_none_or(|pack| !unneeded.contains(&pack)));
    let packs: HashSet<ObjectId> = names.iter().filter_map(|name| scrub::pack_id(name)).collect();
    let of_kept_pack = |name: &String| {
        let pack = name.rsplit('/').next().and_then(|hex| hex.parse::<ObjectId>().ok());
        pack.is_some_and(|pack| packs.contains(&pack))
    };
    let stored = async |kind: ObjectType| -> Result<Vec<String>, Error> {
        let listed = list(&*repository.store, kind.folder()).await?;
        Ok(listed.into_iter().map(|(name, _)| name).collect())
    };
    names.extend(stored(ObjectType::Key).await?);
    names.extend(stored(ObjectType::Parity).await?.into_iter().filter(of_kept_pack));
    Ok(names)
}

/// The condemned packs of which no snapshot needs anything. Where a snapshot cannot be read nobody knows what it needs, and there are none.
async fn unneeded(repository: &Repository, index: &Index) -> Result<HashSet<ObjectId>, Error> {
    let history = repository.history();
    if history.condemned.is_empty() {
        return Ok(HashSet::new());
    }
    let mut needed = Live::default();
    for added in &history.snapshots {
        match repository.snapshot_inventory(added.snapshot).await {
            Ok(inventory) => needed.merge(&inventory.live),
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(HashSet::new()),
            Err(error) => return Err(error),
        }
    }
    let homes = usage::needed_in(index, &history.condemned, &needed, |pack| history.condemned.contains_key(pack));
    let homes: HashSet<ObjectId> =
        homes.into_iter().filter_map(|frame| index.frame(frame)).map(|frame| frame.pack.id).collect();
    Ok(history.condemned.keys().filter(|pack| !homes.contains(*pack)).copied().collect())
}
