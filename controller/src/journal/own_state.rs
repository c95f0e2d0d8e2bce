//! What the journal knows of its own copies in repositories, and how such a copy is made.

use std::path::Path;

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use super::chain::EntryHash;
use super::event::Event;
use super::store::{Journal, JournalError, database, head, unreadable};
use crate::own_state::StoredState;
use crate::status::StateProof;

/// What is known of the controller's state in one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownState {
    /// The newest that was stored, and when that began.
    pub good: Option<(Timestamp, StoredState)>,
    /// Why the newest attempt came to nothing, if it did.
    pub fault: Option<String>,
}

impl Journal {
    /// Writes a copy as one file that needs no other, while everybody goes on writing: all entries up to one of them, whose number and hash it returns.
    pub async fn copy_to(&self, path: &Path) -> Result<(u64, EntryHash), JournalError> {
        // A connection of its own: readers wait for nobody, and nobody for them.
        let source = SqliteConnectOptions::new().filename(&self.path);
        let mut source = source.connect().await.map_err(database("open", &self.path))?;
        let copied = sqlx::query("vacuum into ?").bind(path.to_string_lossy()).execute(&mut source).await;
        copied.map_err(database("copy", &self.path))?;
        source.close().await.map_err(database("copy", &self.path))?;
        let copy = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut copy = copy.connect().await.map_err(database("open", path))?;
        let newest = sqlx::query("select number, hash from entries order by number desc limit 1");
        let newest = newest.fetch_optional(&mut copy).await.map_err(database("read", path))?;
        let newest = newest.map_or(Ok((0, EntryHash::START)), |row| head(&row, path));
        copy.close().await.map_err(database("read", path))?;
        newest
    }

    /// Closes the file, which is one file then.
    pub async fn close(self) -> Result<(), JournalError> {
        self.writer.into_inner().connection.close().await.map_err(database("close", &self.path))
    }

    /// What is known of the controller's state in a repository.
    pub async fn known_state(&self, repository: &str) -> Result<KnownState, JournalError> {
        let Some((_, newest)) = self.newest_state(repository, "%").await? else { return Ok(KnownState::default()) };
        let Event::StateStored { reason, .. } = newest else { return Ok(KnownState::default()) };
        let good = match self.newest_state(repository, "{%").await? {
            Some((_, Event::StateStored { began, stored: Some(stored), .. })) => Some((began, stored)),
            _ => None,
        };
        Ok(KnownState { good, fault: reason })
    }

    /// What came of the newest attempt to begin again from a repository.
    pub async fn newest_state_proof(&self, repository: &str) -> Result<Option<StateProof>, JournalError> {
        let mut writer = self.writer.lock().await;
        newest_proof(&mut writer.connection, repository).await.map_err(database("read", &self.path))
    }

    /// The newest entry about it whose `stored` looks so.
    async fn newest_state(&self, repository: &str, stored: &str) -> Result<Option<(u64, Event)>, JournalError> {
        let query = sqlx::query(
            "select number, text from entries where json_extract(text, '$.repository') = ? \
             and json_extract(text, '$.event') = 'state-stored' and coalesce(json_extract(text, '$.stored'), '') like ? \
             order by number desc limit 1",
        );
        let mut writer = self.writer.lock().await;
        let row = query.bind(repository).bind(stored).fetch_optional(&mut writer.connection).await;
        let Some(row) = row.map_err(database("read", &self.path))? else { return Ok(None) };
        let number = row.get::<i64, _>(0).cast_unsigned();
        let event = serde_json::from_str(row.get(1));
        event.map(|event| Some((number, event))).map_err(|why| unreadable(&self.path, number, why.to_string()))
    }
}

/// The newest attempt to begin again from a repository.
pub(super) async fn newest_proof(
    connection: &mut SqliteConnection,
    repository: &str,
) -> Result<Option<StateProof>, sqlx::Error> {
    let query = sqlx::query_scalar(
        "select text from entries where json_extract(text, '$.repository') = ? \
         and json_extract(text, '$.event') = 'state-proven' order by number desc limit 1",
    );
    let newest: Option<String> = query.bind(repository).fetch_optional(connection).await?;
    match newest.map(|text| serde_json::from_str(&text)).transpose() {
        Ok(Some(Event::StateProven { began, proven, reason, .. })) => Ok(Some(StateProof { began, proven, reason })),
        Ok(_) => Ok(None),
        Err(error) => Err(sqlx::Error::Decode(error.into())),
    }
}
