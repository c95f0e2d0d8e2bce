//! What the journal knows of the maintenance of repositories, and of what runs have proven.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::event::Event;
use super::store::{Journal, JournalError, database, unreadable};
use crate::maintenance::MaintenanceEnding;
use crate::status::LastMaintenance;
use crate::upkeep::Past;

/// The index by which a repository's entries are found.
pub(super) const LAYOUT: &str = "
    create index entries_by_repository on entries (json_extract(text, '$.repository'), number)
        where json_extract(text, '$.repository') is not null;
";

/// What is known of the maintenance of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownMaintenance {
    /// For the times at which it is due.
    pub past: Past,
    /// The last one that ended.
    pub last: Option<LastMaintenance>,
    /// When the last one began that ended well.
    pub good: Option<Timestamp>,
}

impl Journal {
    /// What is known of the maintenance of a repository.
    pub async fn known_maintenance(&self, repository: &str) -> Result<KnownMaintenance, JournalError> {
        let mut writer = self.writer.lock().await;
        let failed = || database("read", &self.path);
        let begun = sqlx::query(
            "select max(number) from entries where json_extract(text, '$.repository') = ? \
             and json_extract(text, '$.event') = 'maintenance-started'",
        );
        let begun: Option<i64> =
            begun.bind(repository).fetch_one(&mut writer.connection).await.map_err(failed())?.get(0);
        let ended = newest_end(&mut writer.connection, repository, "%").await.map_err(failed())?;
        let good = newest_end(&mut writer.connection, repository, "done").await.map_err(failed())?;
        let last = ended.as_ref().map(|row| self.last_of(row)).transpose()?;
        let good = good.as_ref().map(|row| self.last_of(row)).transpose()?;
        let ended = ended.map(|row| row.get::<i64, _>(0));
        let past = Past { began: last.as_ref().map(|last| last.began), was_cut_off: begun > ended };
        Ok(KnownMaintenance { past, last, good: good.map(|good| good.began) })
    }

    /// The snapshots of a plan that its runs or drills have proven by a restore, by their names.
    pub async fn proven_snapshots(&self, plan: &str) -> Result<Vec<String>, JournalError> {
        let query = "select snapshots.value from runs, json_each(runs.run, '$.ended.snapshots') as snapshots \
                     where runs.plan = ?1 and json_extract(runs.run, '$.ended.proof') in ('L3', 'L4', 'L5') \
                     union select snapshots.value from entries, json_each(text, '$.snapshots') as snapshots \
                     where json_extract(text, '$.drill') is not null and json_extract(text, '$.plan') = ?1 \
                     and json_extract(text, '$.event') = 'drill-ended' and json_extract(text, '$.ending') = 'proven'";
        let mut writer = self.writer.lock().await;
        let rows = sqlx::query_scalar(query).bind(plan).fetch_all(&mut writer.connection).await;
        rows.map_err(database("read", &self.path))
    }

    fn last_of(&self, row: &SqliteRow) -> Result<LastMaintenance, JournalError> {
        let number = row.get::<i64, _>(0).cast_unsigned();
        let bad = |why: String| unreadable(&self.path, number, why);
        let ended = row.get::<&str, _>(1).parse().map_err(|why: jiff::Error| bad(why.to_string()))?;
        match serde_json::from_str(row.get(2)).map_err(|why| bad(why.to_string()))? {
            Event::MaintenanceEnded { began, ending, reason, figures, .. } => {
                Ok(LastMaintenance { began, ended, ending, reason, figures: *figures })
            }
            _ => Err(bad("it is no end of a maintenance".into())),
        }
    }
}

/// The newest end of a maintenance, of those that ended so.
async fn newest_end(
    connection: &mut SqliteConnection,
    repository: &str,
    ending: &str,
) -> Result<Option<SqliteRow>, sqlx::Error> {
    let query = sqlx::query(
        "select number, time, text from entries where json_extract(text, '$.repository') = ? \
         and json_extract(text, '$.event') = 'maintenance-ended' and json_extract(text, '$.ending') like ? \
         order by number desc limit 1",
    );
    query.bind(repository).bind(ending).fetch_optional(connection).await
}

/// How the newest maintenance of a repository ended.
pub(super) async fn latest_ending(
    connection: &mut SqliteConnection,
    repository: &str,
) -> Result<Option<MaintenanceEnding>, sqlx::Error> {
    let Some(row) = newest_end(connection, repository, "%").await? else { return Ok(None) };
    match serde_json::from_str(row.get(2)) {
        Ok(Event::MaintenanceEnded { ending, .. }) => Ok(Some(ending)),
        Ok(_) => Ok(None),
        Err(error) => Err(sqlx::Error::Decode(error.into())),
    }
}
