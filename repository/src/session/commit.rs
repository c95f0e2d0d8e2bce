//! The end of a session: index, snapshot, commit, in this order.

use std::sync::Arc;

use crate::error::Error;
use crate::history::{Authority, Commit, History, Operation};
use crate::ids::{ChunkId, ObjectId};
use crate::index::{self, Index, Run};
use crate::live::Live;
use crate::object::{self, ObjectType};
use crate::pack::PackContents;
use crate::repository::{Repository, Written, put_new};
use crate::snapshot::{self, Inventory, Manifest};
use crate::tree::{LeafRef, TreeRoot, UnplacedTree};

use super::Session;

/// A backup that is durable and visible.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The snapshot.
    pub snapshot: ObjectId,
    /// The commit that added it.
    pub commit: u64,
    /// The tree, every leaf with what it needs: the next run's starting point.
    pub tree: TreeRoot,
    /// The manifest as it was stored.
    pub manifest: Manifest,
}

/// A backup that is durable, and visible if the caller agrees.
#[derive(Debug)]
pub struct AboutToCommit<'a> {
    /// What the commit would follow.
    pub history: &'a History,
    /// The snapshot.
    pub snapshot: ObjectId,
    /// The manifest as it was stored.
    pub manifest: &'a Manifest,
}

/// How often a commit is tried against other writers before it gives up: each failure means that another one got through.
const COMMIT_TRIES_MAX: u32 = 10_000;

impl Session {
    /// Makes the backup durable, then visible. On any error nothing of it is visible.
    pub async fn commit(&self, tree: UnplacedTree, manifest: Manifest) -> Result<Committed, Error> {
        self.commit_if(tree, manifest, |_| Ok(())).await
    }

    /// The same, if the caller agrees at the last moment: the snapshot is durable then and not yet visible. It is asked before each try against other writers, with
    /// the history that the try would continue; so what it sees there is what the commit follows, and a refusal is never too late.
    pub async fn commit_if(
        &self,
        tree: UnplacedTree,
        mut manifest: Manifest,
        mut agrees: impl FnMut(&AboutToCommit<'_>) -> Result<(), String>,
    ) -> Result<Committed, Error> {
        let (new_run, run_ids) = self.put_index(self.packer.finish().await?).await?.unzip();
        if !tree.is_taken_over() && self.index.get().is_none() && !self.repository.history().index.is_empty() {
            let index = self.repository.open_whole_index().await?;
            self.index.get_or_init(|| index);
        }
        let tree = self.place(tree, new_run.as_ref())?;
        manifest.root = tree.root;
        let stored = self.stored_bytes();
        manifest.totals.bytes_new = stored.plain;
        manifest.totals.bytes_stored = stored.sealed;
        let inventory = Inventory { session: self.id, time: manifest.time, live: tree.live.clone() };
        let (epoch, public) = self.repository.newest_epoch();
        let bytes = snapshot::encode(&self.repository.key, (epoch, &public), &manifest, &inventory)?;
        let snapshot = ObjectId::of(&bytes);
        put_new(&*self.repository.store, &object::hashed_name(ObjectType::Snapshot, &snapshot), bytes).await?;
        let operation = Operation::AddSnapshot { snapshot, session: self.id, index: run_ids.into_iter().collect() };
        let agrees = |history: &History| {
            agrees(&AboutToCommit { history, snapshot, manifest: &manifest }).map_err(Error::Withheld)
        };
        let commit = self.commit_standing(operation, &tree.live, new_run.as_ref(), agrees).await?;
        self.packer.forget_notes();
        Ok(Committed { snapshot, commit, tree, manifest })
    }

    /// Makes the index run of the new packs durable, if there are any.
    pub(super) async fn put_index(&self, packs: Vec<PackContents>) -> Result<Option<(Run, ObjectId)>, Error> {
        if packs.is_empty() {
            return Ok(None);
        }
        let sealed = index::seal_run(&self.repository.key.shared.inventory, &self.repository.id(), &packs);
        let name = object::hashed_name(ObjectType::Index, &sealed.id);
        put_new(&*self.repository.store, &name, sealed.object).await?;
        let path = index::cache_path(&self.repository.cache, &sealed.id);
        if let Err(error) = crate::cache::write(&path, &sealed.content) {
            tracing::debug!(%error, "index run not cached");
        }
        let run = Run::open(Arc::new(sealed.content)).map_err(Error::malformed(name))?;
        Ok(Some((run, sealed.id)))
    }

    /// Commits a snapshot for which everything that it needs is there, as of the very commit that it follows. Where the index lost rows since the session began, that is looked
    /// at; and again, if it happens meanwhile. So a session that slept through a sweep is found out, whoever knew of it.
    pub(super) async fn commit_standing(
        &self,
        operation: Operation,
        live: &Live,
        new_run: Option<&Run>,
        mut agrees: impl FnMut(&History) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let signer = self.repository.key.signer();
        let mut seen = self.base;
        loop {
            let history = self.repository.history();
            if history.index_shrunk > seen {
                self.all_there(live, new_run).await?;
                seen = history.newest;
            }
            let mut has_shrunk = false;
            let still_allowed = |history: &History| {
                if history.fenced.contains(&self.id) {
                    return Err(Error::Fenced("it was fenced while it ran".into()));
                }
                if history.revoked.contains_key(&signer) {
                    return Err(Error::Key("this writer's key was removed from the repository".into()));
                }
                has_shrunk = history.index_shrunk > seen;
                if has_shrunk {
                    return Err(Error::Fenced("what it builds on was removed".into()));
                }
                agrees(history)
            };
            match self.repository.commit_when(vec![operation.clone()], still_allowed).await {
                Err(_) if has_shrunk => {}
                done => {
                    let commit = done?;
                    self.repository.checkpoint_at(commit).await;
                    return Ok(commit);
                }
            }
        }
    }

    /// Whether every frame that the snapshot needs is in the index in force, or new.
    async fn all_there(&self, live: &Live, new_run: Option<&Run>) -> Result<(), Error> {
        let mut missing = live.clone();
        let index = self.repository.open_whole_index().await?;
        index.frame_names().for_each(|(segment, ordinal)| {
            missing.remove(&segment, ordinal);
        });
        if let Some(run) = new_run {
            run.frame_names().for_each(|(segment, ordinal)| {
                missing.remove(&segment, ordinal);
            });
        }
        match missing.frames() {
            0 => Ok(()),
            frames => Err(Error::Fenced(format!("{frames} frames that it builds on were removed while it ran"))),
        }
    }

    /// Finds the frames that each new leaf needs, now that every frame has its place.
    fn place(&self, tree: UnplacedTree, new_run: Option<&Run>) -> Result<TreeRoot, Error> {
        if tree.is_taken_over() {
            return Ok(tree.into_taken_over());
        }
        let old = self.index.get();
        let find = |id: &ChunkId, live: &mut Live| match frame_of(id, new_run, old) {
            Some((segment, ordinal)) => {
                live.insert(segment, ordinal);
                Ok(())
            }
            None => Err(Error::Unindexed { id: *id }),
        };
        let mut live = Live::default();
        let mut leaves: Vec<LeafRef> = Vec::with_capacity(tree.leaves.len());
        for unplaced in tree.leaves {
            let mut leaf = unplaced.leaf;
            unplaced.needs.iter().try_for_each(|id| find(id, &mut leaf.live))?;
            live.merge(&leaf.live);
            leaves.push(leaf);
        }
        tree.inner.iter().try_for_each(|id| find(id, &mut live))?;
        Ok(TreeRoot { root: tree.root, leaves, inner: tree.inner, live })
    }
}

fn frame_of(id: &ChunkId, new_run: Option<&Run>, old: Option<&Arc<Index>>) -> Option<(crate::ids::SegmentNonce, u32)> {
    if let Some(run) = new_run
        && let Some(hit) = run.find(id).next()
    {
        let (_, row) = run.frame(hit.frame)?;
        return Some((run.segment(row.segment)?.nonce, row.ordinal));
    }
    let old = old?;
    // What was claimed as stored lies where it may be built upon; a page that the parent has may have no other place than a condemned pack.
    old.lasting_name(old.find(id)?.frame)
}

impl Repository {
    /// Appends operations to the history.
    pub(crate) async fn commit_operations(&self, operations: Vec<Operation>) -> Result<u64, Error> {
        self.commit_when(operations, |_| Ok(())).await
    }

    /// Appends operations to the history if `still_allowed` agrees with what is in force at that moment. Losing the race for a number means: read the winner,
    /// ask again, try the next number.
    pub(crate) async fn commit_when(
        &self,
        operations: Vec<Operation>,
        mut still_allowed: impl FnMut(&History) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        for _ in 0..COMMIT_TRIES_MAX {
            let history = self.history();
            still_allowed(&history)?;
            let (number, previous) = (history.newest + 1, history.newest_object);
            let commit = Commit { number, previous, time: now(), operations: operations.clone() };
            let bytes = self.seal_commit(&commit);
            let object = ObjectId::of(&bytes);
            let written = put_new(&*self.store, &object::commit_name(number), bytes).await;
            match written {
                Ok(Written::Created) => {
                    self.remember(&history, &commit, object);
                    crate::repository::leave_hint(&*self.store, number).await;
                    return Ok(number);
                }
                Ok(Written::Existed) => self.refresh().await?,
                // The answer was lost, but the commit may stand: the history knows.
                Err(error) => return self.settle(number, object, error).await,
            }
            if self.history().newest < number {
                return Err(Error::damaged(
                    object::commit_name(number),
                    "the store says it exists but does not show it",
                ));
            }
            if self.history().newest_object == Some(object) {
                return Ok(number);
            }
        }
        Err(Error::Fenced("other writers committed first, ten thousand times".into()))
    }

    async fn settle(&self, number: u64, object: ObjectId, error: Error) -> Result<u64, Error> {
        let stored = crate::repository::get(&*self.store, &object::commit_name(number)).await;
        if stored.is_ok_and(|bytes| ObjectId::of(&bytes) == object) {
            self.refresh().await?;
            return Ok(number);
        }
        Err(error)
    }

    fn remember(&self, before: &History, commit: &Commit, object: ObjectId) {
        let mut history = before.clone();
        let authority = if self.key.can_read() { Authority::Admin } else { Authority::Writer(self.key.signer()) };
        if history.apply(commit, object, authority).is_ok() {
            self.save_history_file(&history);
            self.set_history(history);
        }
    }
}

/// The writer's clock, for the record only: nothing is decided by it.
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

impl Index {
    /// Whether a chunk or page is stored.
    #[must_use]
    pub fn holds(&self, id: &ChunkId) -> bool {
        self.find(id).is_some()
    }
}
