//! Frames that lie in condemned packs and nowhere else: a writer does not take over what needs them, but reads its source again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::error::Error;
use crate::ids::{ObjectId, SegmentNonce};
use crate::live::Live;
use crate::repository::Repository;

/// A set of frames, each with the pack that it lies in.
#[derive(Debug, Clone, Default)]
pub struct CondemnedFrames(HashMap<(SegmentNonce, u32), ObjectId>);

impl CondemnedFrames {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something with these live frames needs one of them.
    #[must_use]
    pub fn touch(&self, live: &Live) -> bool {
        self.0.keys().any(|(segment, ordinal)| live.contains(segment, *ordinal))
    }

    /// Those that something with these live frames needs.
    #[must_use]
    pub fn needed_by(mut self, live: &Live) -> Self {
        self.0.retain(|(segment, ordinal), _| live.contains(segment, *ordinal));
        self
    }

    /// The packs that they lie in.
    #[must_use]
    pub fn packs(&self) -> BTreeSet<ObjectId> {
        self.0.values().copied().collect()
    }
}

impl Repository {
    /// The frames that lie in condemned packs alone. As long as nothing is condemned this costs nothing: not even the index is opened.
    pub async fn condemned_frames(self: &Arc<Self>) -> Result<CondemnedFrames, Error> {
        let history = self.history();
        if history.condemned.is_empty() {
            return Ok(CondemnedFrames::default());
        }
        let index = self.open_index().await?;
        let mut found = HashMap::new();
        for (_, frame) in index.frames(|pack| history.condemned.contains_key(&pack.id)) {
            found.insert((frame.segment.nonce, frame.row.ordinal), frame.pack.id);
        }
        if !found.is_empty() {
            for (_, frame) in index.frames(|pack| !history.condemned.contains_key(&pack.id)) {
                found.remove(&(frame.segment.nonce, frame.row.ordinal));
            }
        }
        Ok(CondemnedFrames(found))
    }
}
