//! Scrubbing: every stored object is hashed again now and then, the least recently verified first, under a budget of bytes and of time.
//!
//! A pack is verified by its name, which is the BLAKE3 of its bytes, so that neither a key nor its index is needed; what is signed by its signature. What was found good, and when, is
//! in a [`Ledger`] that the caller keeps; an object counts as good since it was verified last, or since it was stored. Losing the ledger only means that more is read again.
//!
//! A pack that is found bad is condemned by a commit: nothing is deduplicated against it any more, so that the next backup stores again what its source still has. Deliberately
//! absent: repairing ([`crate::repair`]), and opening frames, which [`crate::check`] does.

pub(crate) mod examine;
mod ledger;
mod plan;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use object_store::ObjectStore;
use serde::Serialize;

pub use ledger::{BadLedger, Ledger, Outcome, Verified};
pub use plan::{Promise, ScrubPlan};

pub(crate) use examine::{Stored, stored_objects};

use crate::check::{self, Affected};
use crate::error::{Error, ErrorKind};
use crate::history::Operation;
use crate::ids::ObjectId;
use crate::object::{self, ObjectType};
use crate::rebuild::Act;
use crate::repository::Repository;
use examine::{Verdict, examine};

/// Objects that are read at once: one is hashed while the next is on its way.
const OBJECTS_AT_ONCE: usize = 2;

/// After so many objects in a row that cannot be read, it is the store that fails and not a place on its disk.
const UNREADABLE_MAX: usize = 8;

/// What a scrub may take, and what it promises.
#[derive(Debug, Clone)]
pub struct ScrubOptions {
    /// Bytes to read at most, but one object at least; none for all.
    pub bytes: Option<u64>,
    /// How long to read at most; an object that was begun is finished.
    pub time: Option<Duration>,
    /// Within how long every byte is to be hashed again.
    pub every: Duration,
    /// Now.
    pub now: Timestamp,
    /// Who verifies, for the ledger: a host's name.
    pub by: String,
    /// Whether to condemn what is bad.
    pub act: Act,
}

/// An object that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Its name.
    pub object: String,
    /// What is wrong.
    pub fault: String,
    /// Of a pack that has parity: the ranges of it that rotted, in bytes, first and behind the last.
    pub ranges: Vec<(u64, u64)>,
    /// Whether `repair` can make it anew from its parity.
    pub heals: bool,
}

/// What a scrub did and found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScrubReport {
    /// Objects that were verified.
    pub objects: u64,
    /// Bytes that were read and hashed.
    pub bytes: u64,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// Every file that this costs as things stand.
    pub affected: Vec<Affected>,
    /// Packs that were condemned now.
    pub condemned: Vec<ObjectId>,
    /// The commit that condemned them.
    pub commit: Option<u64>,
    /// What a repair that was interrupted left; the next one completes it.
    pub unfinished_repairs: Vec<String>,
    /// How the promise stands after this.
    pub promise: Promise,
}

impl ScrubReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.affected.is_empty()
    }
}

/// A scrub that is under way; in steps, so that the caller can keep the ledger in between.
#[derive(Debug)]
pub struct Scrub {
    repository: Arc<Repository>,
    options: ScrubOptions,
    /// What is verified, this run's objects among it.
    pub ledger: Ledger,
    stored: Vec<Stored>,
    plan: ScrubPlan,
    next: usize,
    bytes_done: Arc<AtomicU64>,
    findings: Vec<Finding>,
    objects: u64,
    unreadable_in_a_row: usize,
    began: Instant,
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Call again.
    More,
    /// Everything planned is done, or the time is up.
    Done,
}

impl Scrub {
    /// Lists what is stored and plans what to read. Needs a reader's key. What must be there and is not is found at once.
    pub async fn begin(repository: Arc<Repository>, ledger: Ledger, options: ScrubOptions) -> Result<Self, Error> {
        repository.key.secrets("tell what damage costs")?;
        let stored = stored_objects(&*repository.store).await?;
        let mut ledger = ledger;
        ledger.forget_all_but(&stored.iter().map(|object| object.name.as_str()).collect());
        let plan = plan::plan(&stored, &ledger, &options);
        let mut scrub = Self {
            options,
            ledger,
            plan,
            next: 0,
            bytes_done: Arc::default(),
            findings: Vec::new(),
            objects: 0,
            unreadable_in_a_row: 0,
            began: Instant::now(),
            stored,
            repository,
        };
        scrub.find_missing().await?;
        Ok(scrub)
    }

    /// What is planned.
    #[must_use]
    pub fn plan(&self) -> &ScrubPlan {
        &self.plan
    }

    /// Bytes read so far, for a progress bar.
    #[must_use]
    pub fn bytes_done(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes_done)
    }

    /// A prune or a backup beside this must not look like a loss: the history is read after the listing, and what seems to be missing is asked for.
    async fn find_missing(&mut self) -> Result<(), Error> {
        self.repository.refresh().await?;
        let stored: BTreeSet<&str> = self.stored.iter().map(|object| object.name.as_str()).collect();
        let required = required(&self.repository).await?;
        for object in required.into_iter().filter(|name| !stored.contains(name.as_str())) {
            if crate::repository::size(&*self.repository.store, &object).await?.is_none() {
                let fault = "it is missing".into();
                self.findings.push(Finding { object, fault, ranges: Vec::new(), heals: false });
            }
        }
        Ok(())
    }

    /// Verifies for about so long.
    pub async fn go_on(&mut self, at_most: Duration) -> Result<Step, Error> {
        let until = Instant::now() + at_most;
        let end = self.options.time.map(|time| self.began + time);
        let is_over = || end.is_some_and(|end| Instant::now() >= end);
        let rest = self.plan.objects[self.next..].to_vec();
        let rest = rest.into_iter().take_while(|_| Instant::now() < until && !is_over());
        let repository = Arc::clone(&self.repository);
        let mut verdicts = futures::stream::iter(rest)
            .map(|object| {
                let repository = Arc::clone(&repository);
                async move { (object.clone(), examine(&repository, &repository.store, &object).await) }
            })
            .buffered(OBJECTS_AT_ONCE);
        while let Some((object, verdict)) = verdicts.next().await {
            self.next += 1;
            self.bytes_done.fetch_add(object.size, Ordering::Relaxed);
            note(
                (&mut self.ledger, &mut self.findings, &mut self.objects, &mut self.unreadable_in_a_row),
                &self.options,
                &object,
                verdict?,
            )?;
        }
        Ok(if self.next < self.plan.objects.len() && !is_over() { Step::More } else { Step::Done })
    }

    /// Condemns what is bad, and says what it costs.
    pub async fn finish(mut self) -> Result<(ScrubReport, Ledger), Error> {
        self.repository.refresh().await?;
        let bad: BTreeSet<ObjectId> = self.findings.iter().filter_map(|finding| pack_id(&finding.object)).collect();
        let affected =
            if self.findings.is_empty() { Vec::new() } else { check::affected(&self.repository, &bad).await? };
        let (condemned, commit) = self.condemn(&bad).await?;
        let unfinished = crate::repository::list(&*self.repository.store, crate::repair::FOLDER).await?;
        self.findings.sort_by(|left, right| left.object.cmp(&right.object));
        let report = ScrubReport {
            objects: self.objects,
            bytes: self.bytes_done.load(Ordering::Relaxed),
            findings: self.findings,
            affected,
            condemned,
            commit,
            unfinished_repairs: unfinished.into_iter().map(|(name, _)| name).collect(),
            promise: plan::promise(&self.stored, &self.ledger, &self.options),
        };
        Ok((report, self.ledger))
    }

    async fn condemn(&self, bad: &BTreeSet<ObjectId>) -> Result<(Vec<ObjectId>, Option<u64>), Error> {
        let history = self.repository.history();
        let index = self.repository.open_index().await?;
        let known: BTreeSet<ObjectId> = index.packs().map(|pack| pack.id).collect();
        let is_new = |pack: &&ObjectId| known.contains(*pack) && !history.condemned.contains_key(*pack);
        let packs: Vec<ObjectId> = bad.iter().filter(is_new).copied().collect();
        if packs.is_empty() || self.options.act == Act::DryRun {
            return Ok((Vec::new(), None));
        }
        let operation = Operation::Condemn { packs: packs.clone() };
        let commit = self.repository.commit_operations(vec![operation]).await?;
        Ok((packs, Some(commit)))
    }
}

type Notes<'a> = (&'a mut Ledger, &'a mut Vec<Finding>, &'a mut u64, &'a mut usize);

fn note(
    (ledger, findings, objects, unreadable): Notes<'_>,
    options: &ScrubOptions,
    object: &Stored,
    verdict: Verdict,
) -> Result<(), Error> {
    let (outcome, finding) = match verdict {
        Verdict::Gone => return Ok(()),
        Verdict::Unreadable(finding, error) => {
            *unreadable += 1;
            if *unreadable >= UNREADABLE_MAX {
                return Err(error);
            }
            findings.push(finding);
            return Ok(());
        }
        Verdict::Good => (Outcome::Good, None),
        Verdict::Bad(finding) => (Outcome::Bad, Some(finding)),
    };
    *unreadable = 0;
    *objects += 1;
    findings.extend(finding);
    ledger.note(&object.name, Verified { at: options.now, outcome, by: options.by.clone() });
    Ok(())
}

/// The pack that an object is.
pub(crate) fn pack_id(name: &str) -> Option<ObjectId> {
    let (folder, _) = name.split_once('/')?;
    ["packs", "pages"].contains(&folder).then(|| name.rsplit('/').next()?.parse().ok())?
}

/// The names of all objects that must be there, as far as that can be told.
pub(crate) async fn required(repository: &Arc<Repository>) -> Result<BTreeSet<String>, Error> {
    let history = repository.history();
    let mut names: BTreeSet<String> = (1..=history.newest).map(object::commit_name).collect();
    names.insert(object::CONFIG.into());
    names.extend(history.index.iter().map(|id| object::hashed_name(ObjectType::Index, id)));
    names.extend(history.snapshots.iter().map(|added| object::hashed_name(ObjectType::Snapshot, &added.snapshot)));
    let index = repository.open_index().await?;
    names.extend(index.packs().map(|pack| object::hashed_name(pack.kind, &pack.id)));
    Ok(names)
}

/// Whether an error says something about one object, and not about the whole store.
pub(crate) fn is_about_one_object(error: &Error) -> bool {
    matches!(error, Error::Store { .. }) && error.kind() == ErrorKind::Other
}

/// A store, as it is passed around here.
pub(crate) type Store = Arc<dyn ObjectStore>;
