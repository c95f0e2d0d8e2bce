//! The index of the history in force: fetched and mapped when it is first needed, and again when the history has moved on.

use std::sync::{Arc, PoisonError};

use super::{Repository, get};
use crate::error::{Error, ErrorKind, chain};
use crate::history::History;
use crate::ids::ObjectId;
use crate::index::{self, Index};
use crate::object::{self, ObjectType};

/// The index as it was opened last.
#[derive(Debug)]
pub(super) struct OpenIndex {
    /// The runs that the history named.
    wanted: Vec<ObjectId>,
    /// The packs that it condemned.
    condemned: Vec<ObjectId>,
    /// Those that are lost or damaged.
    lost: Vec<ObjectId>,
    index: Arc<Index>,
}

impl Repository {
    /// The index, as far as it can be read: a run that is lost costs the files that only it can find, not the others.
    pub async fn open_index(&self) -> Result<Arc<Index>, Error> {
        self.open_index_and_lost().await.map(|(index, _)| index)
    }

    /// The whole index. A backup does not go on without: it would store everything in a lost run again, and tell nobody.
    pub(crate) async fn open_whole_index(&self) -> Result<Arc<Index>, Error> {
        let (index, lost) = self.open_index_and_lost().await?;
        match lost.first() {
            None => Ok(index),
            // What is wrong with it is told again by whoever finds it.
            Some(id) => Err(self.run(id).await.err().unwrap_or(Error::Missing { name: run_name(id) })),
        }
    }

    async fn open_index_and_lost(&self) -> Result<(Arc<Index>, Vec<ObjectId>), Error> {
        let mut slot = self.index.lock().await;
        let mut open = self.open_again(&mut slot, &self.history()).await?;
        if !open.lost.is_empty() {
            // A run that is gone may have been joined with others since the history was read.
            self.refresh().await?;
            open = self.open_again(&mut slot, &self.history()).await?;
        }
        *self.current_index.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&open.index);
        Ok((Arc::clone(&open.index), open.lost.clone()))
    }

    /// The index as the store has it by now, beside the one that was opened.
    pub(crate) async fn index_of_now(&self) -> Result<Arc<Index>, Error> {
        let history = self.history_of_now(&self.history()).await?;
        let mut slot = self.newer_index.lock().await;
        self.open_again(&mut slot, &history).await.map(|open| Arc::clone(&open.index))
    }

    /// The index of a history: the one that is open, if it is that.
    async fn open_again<'a>(&self, slot: &'a mut Option<OpenIndex>, history: &History) -> Result<&'a OpenIndex, Error> {
        let condemned: Vec<ObjectId> = history.condemned.keys().copied().collect();
        let is_open = |open: &OpenIndex| open.wanted == history.index && open.condemned == condemned;
        if !slot.as_ref().is_some_and(is_open) {
            let (index, lost) = self.load_index(history).await?;
            *slot = Some(OpenIndex { wanted: history.index.clone(), condemned, lost, index: Arc::new(index) });
        }
        // BUG if it is empty: it was filled just now.
        Ok(slot.as_ref().expect("an index is open"))
    }

    async fn load_index(&self, history: &History) -> Result<(Index, Vec<ObjectId>), Error> {
        let (mut index, mut lost) = (Index::knowing(history.condemned.keys().copied()), Vec::new());
        for id in &history.index {
            if index.add_cached(&self.cache, *id).is_ok() {
                continue;
            }
            match self.run(id).await {
                Ok(content) => index.add_content(&self.cache, *id, content)?,
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!("{}: run 'strongroom repo rebuild-index'", chain(&error));
                    lost.push(*id);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((index, lost))
    }

    async fn run(&self, id: &ObjectId) -> Result<Vec<u8>, Error> {
        let bytes = get(&*self.store, &run_name(id)).await?;
        index::open_run(&self.key.shared.inventory, &self.id(), id, &bytes)
    }

    /// The index as last opened; empty before [`Self::open_index`].
    pub(crate) fn current_index(&self) -> Arc<Index> {
        Arc::clone(&self.current_index.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn run_name(id: &ObjectId) -> String {
    object::hashed_name(ObjectType::Index, id)
}
