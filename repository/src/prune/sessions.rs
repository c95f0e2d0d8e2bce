//! The sessions that are open: begun, and neither committed nor fenced.
//!
//! One *rests* when its process has ended and has left word of it. It can be taken up again, so what it stored stays; but whoever takes it up looks at the index anew, so that
//! nothing else need wait for it. Should that be going on just now, it loses no more than one that slept: its commit looks whether all is there.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::path::Path;
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::history::History;
use crate::ids::{ObjectId, PublicKey, SessionId};
use crate::keys::random;
use crate::object::{self, ObjectType};
use crate::repository::{Repository, get_optional, list, remove, store_error};
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
    /// It rests: what it stored stays, and nothing else waits for it.
    Rests,
    /// It is too old: it may no longer commit.
    Fenced,
}

/// The records of sessions, parted by whether they have ended.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    pub(super) open: Vec<OpenSession>,
    /// Names of records that nobody needs any more, and of words that belong to none.
    pub(super) ended: Vec<String>,
}

impl Sessions {
    /// Whether a pack that this commit condemned may still be built upon.
    pub(super) fn older_than(&self, commit: u64) -> impl Iterator<Item = &OpenSession> {
        self.open.iter().filter(move |open| open.fate == SessionFate::WaitedFor && open.base < commit)
    }

    /// The snapshots that open sessions build on. One that rests builds on none: it is taken up with a parent that is in force then.
    pub(super) fn parents(&self) -> impl Iterator<Item = ObjectId> {
        self.open.iter().filter(|open| open.fate != SessionFate::Rests).filter_map(|open| open.parent)
    }
}

/// Reads the records. Whoever listed objects before this, and takes the history after it, has seen the record of every session that they may belong to.
pub(super) async fn read(repository: &Arc<Repository>, but: Option<SessionId>) -> Result<Sessions, Error> {
    // Before the records: the record of whoever left word is older than the word.
    let mut words = words(repository).await?;
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
        let Some(id) = object::session_of(ObjectType::Session, &name) else { continue };
        if Some(id) == but {
            continue;
        }
        if has_ended(&history, &committed, &id) {
            sessions.ended.push(name);
            continue;
        }
        let Some(record) = record(repository, &name).await? else { continue };
        let since = Timestamp::from_second(written).unwrap_or(Timestamp::UNIX_EPOCH);
        let rests = match (&record, words.remove(&id)) {
            (Some((_, signer)), Some(word)) => has_said(repository, &word, signer).await?,
            _ => false,
        };
        let fate = if rests { SessionFate::Rests } else { SessionFate::WaitedFor };
        let (base, parent) = record.map_or((0, None), |(record, _)| (record.base, record.parent));
        sessions.open.push(OpenSession { session: id, base, parent, since, fate });
    }
    sessions.ended.extend(words.into_values());
    Ok(sessions)
}

/// The names of the words that sessions rest, by session.
async fn words(repository: &Repository) -> Result<BTreeMap<SessionId, String>, Error> {
    let listed = list(&*repository.store, ObjectType::Rest.folder()).await?;
    let word = |(name, _): (String, u64)| Some((object::session_of(ObjectType::Rest, &name)?, name));
    Ok(listed.into_iter().filter_map(word).collect())
}

/// Whether that word is the session's own. A damaged one says nothing.
async fn has_said(repository: &Repository, word: &str, signer: &PublicKey) -> Result<bool, Error> {
    let Some(bytes) = get_optional(&*repository.store, word).await? else { return Ok(false) };
    match repository.open_rest(word, &bytes) {
        Ok(by) => Ok(by == *signer),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(false),
        Err(error) => Err(error),
    }
}

fn has_ended(history: &History, committed: &HashSet<SessionId>, id: &SessionId) -> bool {
    committed.contains(id) || history.ended.contains(id) || history.fenced.contains(id)
}

/// Nothing where it is gone by now; nothing in it where it cannot be read.
async fn record(repository: &Repository, name: &str) -> Result<Option<Option<(SessionRecord, PublicKey)>>, Error> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::scene::{made, open};
    use crate::repository::{WriterIdentity, put_new};

    /// A word is its session's own: another host, and even the owner, would only stop its work.
    #[tokio::test]
    async fn a_word_counts_from_whoever_signed_the_record() {
        let (store, key) = made().await;
        let owner = open(&store, &key).await;
        let writer = owner.add_writer(&WriterIdentity { holder: "host".into() }).await.unwrap();
        let writer = open(&store, &writer).await;
        for (by, fate) in [(&owner, SessionFate::WaitedFor), (&writer, SessionFate::Rests)] {
            let session = SessionId(random());
            let record = SessionRecord { session, base: 0, parent: None, started: Timestamp::UNIX_EPOCH };
            put_session(&writer, &record).await.unwrap();
            put_new(&*store, &object::rest_name(&session), by.seal_rest(&session)).await.unwrap();
            let open = read(&owner, None).await.unwrap().open;
            assert_eq!(open.iter().find(|open| open.session == session).unwrap().fate, fate);
        }
    }
}
