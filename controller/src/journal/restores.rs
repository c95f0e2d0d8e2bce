//! What the journal knows of restores on hosts.

use super::store::{Journal, JournalError, database};

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
}
