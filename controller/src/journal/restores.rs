//! What the journal knows of restores on hosts.

use super::chain::Entry;
use super::store::{Journal, JournalError, database, entry_of};

/// The index by which the entries of a restore are found.
pub(super) const LAYOUT: &str = "
    create index entries_by_restore on entries (json_extract(text, '$.restore'))
        where json_extract(text, '$.restore') is not null;
";

impl Journal {
    /// How many restores have ended whose names begin so.
    pub async fn restores_ended(&self, prefix: &str) -> Result<u64, JournalError> {
        let query = sqlx::query_scalar(
            "select count(*) from entries where json_extract(text, '$.restore') >= ?1 and json_extract(text, '$.restore') < ?1 || '~' \
             and json_extract(text, '$.event') = 'restore-ended'",
        );
        let mut writer = self.writer.lock().await;
        let count = query.bind(prefix).fetch_one(&mut writer.connection).await;
        count.map(i64::cast_unsigned).map_err(database("read", &self.path))
    }

    /// Every entry about a restore, the oldest first.
    pub async fn entries_of_restore(&self, restore: &str) -> Result<Vec<Entry>, JournalError> {
        let query = sqlx::query(
            "select number, time, text, previous, hash from entries where json_extract(text, '$.restore') = ? order by number",
        );
        let mut writer = self.writer.lock().await;
        let rows = query.bind(restore).fetch_all(&mut writer.connection).await;
        rows.map_err(database("read", &self.path))?.iter().map(|row| entry_of(row, &self.path)).collect()
    }

    /// Restores that are over and have no record, in the order in which they ended.
    pub async fn restores_unrecorded(&self) -> Result<Vec<String>, JournalError> {
        let query = sqlx::query_scalar(
            "select json_extract(text, '$.restore') as restore from entries as ended \
             where restore is not null and json_extract(text, '$.event') in ('restore-ended', 'restore-promoted') and not exists \
             (select 1 from entries where json_extract(text, '$.restore') = json_extract(ended.text, '$.restore') \
             and json_extract(text, '$.event') = 'restore-recorded' and entries.number > ended.number) order by number",
        );
        let mut writer = self.writer.lock().await;
        query.fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))
    }

    /// The entries that tell of records, the oldest first.
    pub async fn records_of_restores(&self) -> Result<Vec<Entry>, JournalError> {
        let query = sqlx::query(
            "select number, time, text, previous, hash from entries where json_extract(text, '$.restore') is not null \
             and json_extract(text, '$.event') = 'restore-recorded' order by number",
        );
        let mut writer = self.writer.lock().await;
        let rows = query.fetch_all(&mut writer.connection).await;
        rows.map_err(database("read", &self.path))?.iter().map(|row| entry_of(row, &self.path)).collect()
    }
}
