//! What the journal knows of restores of all kinds: what they proved, and how long they took.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::store::{Journal, JournalError, database, unreadable};
use crate::pace::PastRestore;

/// What was proven of a snapshot, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proven {
    /// The level: `L3` and above is a verified restore.
    pub level: String,
    /// When that was over.
    pub at: Timestamp,
}

/// So far back is looked for restores: what they took years ago says little, and entries with records are large.
const ENTRIES: u32 = 5_000;
/// So many of them tell how fast the next one is.
const RESTORES: u32 = 50;

impl Journal {
    /// What was proven last of each snapshot of which anything was; the newest attempt counts, also where it proved nothing.
    pub async fn proven(&self) -> Result<HashMap<String, Proven>, JournalError> {
        let query = sqlx::query(
            "select value as snapshot, json_extract(run, '$.ended.proof') as level, json_extract(run, '$.ended.at') as at, number \
             from runs, json_each(runs.run, '$.ended.snapshots') \
             union all select value, json_extract(text, '$.proof'), time, number from entries, json_each(text, '$.snapshots') \
             where json_extract(text, '$.drill') is not null and json_extract(text, '$.event') = 'drill-ended' \
             and json_extract(text, '$.ending') in ('proven', 'unproven', 'failed') order by number",
        );
        let mut writer = self.writer.lock().await;
        let rows = query.fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))?;
        let mut newest = HashMap::new();
        for row in &rows {
            let snapshot: String = row.get(0);
            match self.proven_by(row)? {
                Some(proven) => newest.insert(snapshot, proven),
                None => newest.remove(&snapshot),
            };
        }
        Ok(newest)
    }

    fn proven_by(&self, row: &SqliteRow) -> Result<Option<Proven>, JournalError> {
        let Some(level) = row.get::<Option<String>, _>(1).filter(|level| level.as_str() >= "L3") else {
            return Ok(None);
        };
        let bad = |why: jiff::Error| unreadable(&self.path, row.get::<i64, _>(3).cast_unsigned(), why.to_string());
        Ok(Some(Proven { level, at: row.get::<&str, _>(2).parse().map_err(bad)? }))
    }

    /// The last restores that were verified: of runs' proofs, of drills, and on hosts.
    pub async fn past_restores(&self) -> Result<Vec<PastRestore>, JournalError> {
        let query = sqlx::query(
            "with recent as (select * from entries where number > (select max(number) from entries) - ?1) \
             select json_extract(value, '$.started'), json_extract(value, '$.finished'), \
             json_extract(value, '$.outcome.verification.bytes-equal'), number \
             from recent, json_each(text, '$.record.steps') where json_extract(text, '$.event') in ('run-ended', 'drill-ended') \
             and json_extract(value, '$.outcome.result') = 'restored' \
             union all select (select time from entries as begun where json_extract(begun.text, '$.restore') = json_extract(recent.text, '$.restore') \
             and json_extract(begun.text, '$.event') = 'restore-started' and begun.number < recent.number order by begun.number desc limit 1), \
             time, json_extract(text, '$.report.verification.verified-bytes'), number \
             from recent where json_extract(text, '$.event') = 'restore-ended' and json_extract(text, '$.ending') in ('restored', 'deviating') \
             order by number desc limit ?2",
        );
        let mut writer = self.writer.lock().await;
        let rows = query.bind(ENTRIES).bind(RESTORES).fetch_all(&mut writer.connection).await;
        // An entry of another release that says less tells nothing.
        Ok(rows.map_err(database("read", &self.path))?.iter().filter_map(past).collect())
    }
}

fn past(row: &SqliteRow) -> Option<PastRestore> {
    let time = |column| row.get::<Option<&str>, _>(column)?.parse::<Timestamp>().ok();
    let took = Duration::try_from(time(1)?.duration_since(time(0)?)).ok()?;
    let bytes = row.get::<Option<i64>, _>(2)?;
    Some(PastRestore { bytes: bytes.cast_unsigned(), took })
}
