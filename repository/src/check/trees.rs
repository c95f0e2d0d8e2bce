//! Every snapshot's tree: readable pages, chunks that can be found, and which files lose something.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Affected, Bad, CheckReport};
use crate::error::{Error, ErrorKind, chain};
use crate::ids::{ChunkId, ObjectId};
use crate::index::Index;
use crate::object::{self, ObjectType};
use crate::repository::{Repository, get};
use crate::snapshot::Sealed;
use crate::text::escape;
use crate::tree::entry::{Content, Entry};
use crate::tree::{inner, leaf, order};

/// What a page costs: paths below it that cannot be restored whole. Pages are shared by many snapshots, so each is read once.
type Losses = HashMap<ChunkId, Arc<Vec<String>>>;

pub(super) async fn check(
    repository: &Arc<Repository>,
    index: &Arc<Index>,
    bad: &Bad,
    report: &mut CheckReport,
) -> Result<(), Error> {
    let mut survey = Survey { repository, index, bad, losses: Losses::new(), faults: BTreeMap::new() };
    for added in &repository.history().snapshots {
        let name = object::hashed_name(ObjectType::Snapshot, &added.snapshot);
        let read = open_stored(repository, added.snapshot, &name).await;
        let Some(root) = report.note(&name, read)? else {
            report.affected.push(Affected { snapshot: added.snapshot, path: "everything".into() });
            continue;
        };
        let Some(root) = root else { continue };
        let lost = survey.page(root, "everything".into()).await?;
        report.affected.extend(lost.iter().map(|path| Affected { snapshot: added.snapshot, path: path.clone() }));
    }
    for (object, fault) in survey.faults {
        report.fault(object, fault);
    }
    if report.faults.is_empty() && !report.affected.is_empty() {
        report.fault(
            "index",
            "it does not know chunks or pages that snapshots need: run 'strongroom repo rebuild-index'",
        );
    }
    Ok(())
}

/// Opens a snapshot as it is stored, not as it is cached; returns its root.
async fn open_stored(repository: &Arc<Repository>, id: ObjectId, name: &str) -> Result<Option<ChunkId>, Error> {
    let secrets = repository.key.secrets("check what is stored")?;
    let bytes = get(&*repository.store, name).await?;
    let sealed = Sealed::check(&bytes, id, &repository.id())?;
    repository.signer_name(&sealed.signer).await?;
    sealed.inventory(&repository.id(), &repository.key.shared.inventory)?;
    sealed.manifest(&repository.id(), &secrets.epochs).map(|manifest| manifest.root)
}

struct Survey<'a> {
    repository: &'a Arc<Repository>,
    index: &'a Arc<Index>,
    bad: &'a Bad,
    losses: Losses,
    /// What is wrong with packs whose pages were read on the way, the first fault of each.
    faults: BTreeMap<String, String>,
}

impl Survey<'_> {
    /// The losses at and below a page; `range` says in words what the page holds, in case nobody can read it any more.
    async fn page(&mut self, id: ChunkId, range: String) -> Result<Arc<Vec<String>>, Error> {
        if let Some(known) = self.losses.get(&id) {
            return Ok(Arc::clone(known));
        }
        let lost = match self.read(&id).await? {
            None => vec![range],
            Some(bytes) if bytes.first() == Some(&leaf::KIND) => self.leaf(&id, &bytes).await?,
            Some(bytes) => self.inner(&id, &bytes, &range).await?,
        };
        let lost = Arc::new(lost);
        self.losses.insert(id, Arc::clone(&lost));
        Ok(lost)
    }

    async fn read(&mut self, id: &ChunkId) -> Result<Option<bytes::Bytes>, Error> {
        if self.is_lost(id) {
            return Ok(None);
        }
        match self.repository.read_page_of(self.index, id).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let frame = self.index.find(id).and_then(|place| self.index.frame(place.frame));
                let object = frame.map_or("index".into(), |frame| object::hashed_name(frame.pack.kind, &frame.pack.id));
                self.faults.entry(object).or_insert_with(|| chain(&error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn is_lost(&self, id: &ChunkId) -> bool {
        self.index.places(id).iter().all(|place| self.bad.contains(&(place.frame, place.offset)))
    }

    async fn inner(&mut self, id: &ChunkId, bytes: &[u8], range: &str) -> Result<Vec<String>, Error> {
        let (_, children) = inner::decode(bytes).map_err(Error::malformed(format!("page {id}")))?;
        let mut lost = Vec::new();
        for (at, child) in children.iter().enumerate() {
            let from = escape(&order::join(&child.first_directory, &child.first_name));
            let until = children.get(at + 1).map(|next| escape(&order::join(&next.first_directory, &next.first_name)));
            let until = until.map_or_else(|| format!("the end of ({range})"), |until| format!("just before /{until}"));
            let words = format!("{} entries from /{from} to {until}", child.entries);
            lost.extend(Box::pin(self.page(child.id, words)).await?.iter().cloned());
        }
        Ok(lost)
    }

    async fn leaf(&mut self, id: &ChunkId, bytes: &[u8]) -> Result<Vec<String>, Error> {
        let mut lost = Vec::new();
        for (directory, entry) in leaf::decode(bytes).map_err(Error::malformed(format!("page {id}")))? {
            if !self.is_whole(&entry).await? {
                lost.push(format!("/{}", escape(&order::join(&directory, &entry.name))));
            }
        }
        Ok(lost)
    }

    async fn is_whole(&mut self, entry: &Entry) -> Result<bool, Error> {
        let pages = match &entry.content {
            Content::None => return Ok(true),
            Content::Whole => {
                return Ok(self.repository.whole_chunk(entry).is_some_and(|chunk| !self.is_lost(&chunk.id)));
            }
            Content::Chunks(chunks) => return Ok(!chunks.iter().any(|chunk| self.is_lost(&chunk.id))),
            Content::Pages(pages) => pages,
        };
        for page in pages {
            let Some(bytes) = self.read(&page.id).await? else { return Ok(false) };
            let chunks = inner::decode_chunk_list(&bytes).map_err(Error::malformed(format!("page {}", page.id)))?;
            if chunks.iter().any(|chunk| self.is_lost(&chunk.id)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
