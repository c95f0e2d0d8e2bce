//! Making loans: which keys one restore needs, found by reading the pages that it will read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use super::Repository;
use crate::error::{Error, ErrorKind};
use crate::ids::SegmentNonce;
use crate::index::Index;
use crate::keys::Secret;
use crate::live::Live;
use crate::loan::{Lending, Loan};
use crate::object;
use crate::snapshot::Snapshot;
use crate::tree::{Tree, order};

impl Repository {
    /// What a restore of these paths of a snapshot needs; no path is everything. Reads the same pages as the restore, and no content.
    ///
    /// A chunk that lies in several places is lent in all of them: where one is damaged, the restore takes another. What is lost or damaged is left out, and the restore
    /// says so itself.
    pub async fn lend(self: &Arc<Self>, snapshot: &Snapshot, paths: &[Vec<u8>]) -> Result<Lending, Error> {
        self.key.secrets("lend keys to a restore")?;
        let traced = self.seen_through(Arc::clone(&self.store));
        *traced.trace.lock().unwrap_or_else(PoisonError::into_inner) = Some(Live::default());
        let index = traced.open_index().await?;
        let tree = traced.tree(snapshot);
        let mut frames = Live::default();
        for path in cleaned(paths) {
            look_at_the_way(&tree, &path).await?;
            let mut walk = tree.walk(&path);
            loop {
                let entry = match walk.next().await {
                    Ok(Some((_, entry))) => entry,
                    Ok(None) => break,
                    // The walk goes on behind the page that cannot be read.
                    Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                    Err(error) => return Err(error),
                };
                let chunks = passing_damage(tree.chunks(&entry).await.map(Some))?.unwrap_or_default();
                let places = chunks.iter().flat_map(|chunk| index.places(&chunk.id));
                let names = places.filter_map(|place| index.lasting_name(place.frame));
                names.for_each(|(segment, ordinal)| frames.insert(segment, ordinal));
            }
        }
        let pages = traced.trace.lock().unwrap_or_else(PoisonError::into_inner).take();
        frames.merge(&pages.unwrap_or_default());
        let (keys, objects) = self.keys_and_objects(&index, &frames)?;
        Ok(Lending { loan: Loan::new(self.id(), snapshot, keys), frames, objects })
    }

    /// Whether an object holds any of these frames by now.
    pub async fn holds_any(&self, name: &str, frames: &Live) -> Result<bool, Error> {
        let index = self.index_of_now().await?;
        let of = |pack: &crate::index::PackRow| object::hashed_name(pack.kind, &pack.id) == name;
        Ok(index.frames(of).any(|(_, frame)| frames.contains(&frame.segment.nonce, frame.row.ordinal)))
    }

    /// The data key of each segment that holds a frame, and the objects in which the frames lie.
    fn keys_and_objects(
        &self,
        index: &Index,
        frames: &Live,
    ) -> Result<(BTreeMap<SegmentNonce, Secret>, BTreeSet<String>), Error> {
        let (mut keys, mut packs, mut objects) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        for (_, frame) in index.frames(|_| true) {
            let segment = frame.segment.nonce;
            if !frames.contains(&segment, frame.row.ordinal) {
                continue;
            }
            if packs.insert(frame.pack.id) {
                objects.insert(object::hashed_name(frame.pack.kind, &frame.pack.id));
            }
            if !keys.contains_key(&segment)
                && let Some(key) = passing_damage(self.data_key(&frame).map(Some))?
            {
                keys.insert(segment, key);
            }
        }
        Ok((keys, objects))
    }
}

/// Reads the directories above a path, as the restore does to make them.
async fn look_at_the_way(tree: &Tree, path: &[u8]) -> Result<(), Error> {
    let mut directory = order::split(path).0;
    while !directory.is_empty() {
        passing_damage(tree.lookup(directory).await)?;
        directory = order::split(directory).0;
    }
    Ok(())
}

/// The paths as the tree has them. One that leads nowhere is left: looking for it is the restore's business.
fn cleaned(paths: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let is_part = |part: &&[u8]| !part.is_empty() && *part != b".";
    let clean = |path: &Vec<u8>| path.split(|byte| *byte == b'/').filter(is_part).collect::<Vec<_>>().join(&b'/');
    if paths.is_empty() { vec![Vec::new()] } else { paths.iter().map(clean).collect() }
}

/// What is damaged is not there; any other failure is one.
fn passing_damage<T>(result: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        other => other,
    }
}
