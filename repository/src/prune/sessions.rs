//! The sessions that are open: begun, and neither committed nor fenced.

use std::collections::HashSet;
use std::sync::Arc;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::path::Path;
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::history::History;
use crate::ids::{ObjectId, SessionId};
use crate::keys::random;
use crate::object::{self, ObjectType};
use crate::repository::{Repository, get_optional, remove, store_error};
use crate::session::{SessionRecord, put_session};

/// A session that may still commit.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OpenSession {
    /// Its id.
    pub session: SessionId,
    /// The newest commit when it began; 0 if its record cannot be read.
    pub base: u64,
    /// The snapshot that it builds on.
    pub parent: Option<ObjectId>,
    /// When its record was written, by the store's clock.
    pub since: Timestamp,
    /// What becomes of it.
    pub fate: SessionFate,
}

/// What a prune does about an open session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionFate {
    /// It is waited for: what it may have built on is not deleted.
    WaitedFor,
    /// It is too old: it may no longer commit.
    Fenced,
}

/// The records of sessions, parted by whether they have ended.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    pub(super) open: Vec<OpenSession>,
    /// Names of records that nobody needs any more.
    pub(super) ended: Vec<String>,
}

impl Sessions {
    /// Whether a pack that this commit condemned may still be built upon.
    pub(super) fn older_than(&self, commit: u64) -> impl Iterator<Item = &OpenSession> {
        self.open.iter().filter(move |open| open.fate == SessionFate::WaitedFor && open.base < commit)
    }
}

/// Reads the records. Whoever listed objects before this, and takes the history after it, has seen the record of every session that they may belong to.
pub(super) async fn read(repository: &Arc<Repository>, but: Option<SessionId>) -> Result<Sessions, Error> {
    let mut found = Vec::new();
    let mut listing = repository.store.list(Some(&Path::from(ObjectType::Session.folder())));
    while let Some(meta) = listing.try_next().await.map_err(store_error("list", ObjectType::Session.folder()))? {
        found.push((meta.location.to_string(), meta.last_modified.timestamp()));
    }
    drop(listing);
    repository.refresh().await?;
    let history = repository.history();
    let committed: HashSet<SessionId> = history.snapshots.iter().map(|added| added.session).collect();
    let mut sessions = Sessions::default();
    for (name, written) in found {
        // What is no session's name is nobody's record.
        let Some(id) = object::session_of(&name) else { continue };
        if Some(id) == but {
            continue;
        }
        if has_ended(&history, &committed, &id) {
            sessions.ended.push(name);
            continue;
        }
        let Some(record) = record(repository, &name).await? else { continue };
        let since = Timestamp::from_second(written).unwrap_or(Timestamp::UNIX_EPOCH);
        let (base, parent) = record.map_or((0, None), |record| (record.base, record.parent));
        sessions.open.push(OpenSession { session: id, base, parent, since, fate: SessionFate::WaitedFor });
    }
    Ok(sessions)
}

fn has_ended(history: &History, committed: &HashSet<SessionId>, id: &SessionId) -> bool {
    committed.contains(id) || history.ended.contains(id) || history.fenced.contains(id)
}

/// Nothing where it is gone by now; nothing in it where it cannot be read.
async fn record(repository: &Repository, name: &str) -> Result<Option<Option<SessionRecord>>, Error> {
    let Some(bytes) = get_optional(&*repository.store, name).await? else { return Ok(None) };
    match repository.open_session(name, &bytes) {
        Ok(record) => Ok(Some(Some(record))),
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Key) => {
            tracing::warn!(%error, "an open session is waited for, but nobody knows what it builds on");
            Ok(Some(None))
        }
        Err(error) => Err(error),
    }
}

impl Repository {
    /// Writes the record of a session that commits no snapshot: what maintenance has stored and not yet committed is nobody's stray as long as it stands.
    pub(crate) async fn begin_maintenance(&self, now: Timestamp) -> Result<SessionId, Error> {
        let session = SessionId(random());
        let record = SessionRecord { session, base: self.history().newest, parent: None, started: now };
        put_session(self, &record).await?;
        Ok(session)
    }

    /// Ends it. A record that stays is waited for until it is too old, which costs space and nothing else.
    pub(crate) async fn end_maintenance(&self, session: SessionId) {
        let name = object::session_name(&session);
        if let Err(error) = remove(&*self.store, &name).await {
            tracing::warn!(%error, "the record of a maintenance session stays: the next prune waits for it");
        }
    }
}
