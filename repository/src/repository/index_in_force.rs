//! The index of the history in force: fetched and mapped when it is first needed, and again when the history has moved on.

use std::sync::{Arc, PoisonError};

use super::{Repository, get};
use crate::error::{Error, ErrorKind, chain};
use crate::ids::ObjectId;
use crate::index::{self, Index};
use crate::object::{self, ObjectType};

/// The index as it was opened last.
#[derive(Debug)]
pub(super) struct OpenIndex {
    /// The runs that the history named.
    wanted: Vec<ObjectId>,
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
        let history = self.history();
        if let Some(open) = &*slot
            && open.wanted == history.index
        {
            return Ok((Arc::clone(&open.index), open.lost.clone()));
        }
        let (mut index, mut lost) = (Index::default(), Vec::new());
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
        let index = Arc::new(index);
        *self.current_index.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&index);
        *slot = Some(OpenIndex { wanted: history.index.clone(), lost: lost.clone(), index: Arc::clone(&index) });
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
