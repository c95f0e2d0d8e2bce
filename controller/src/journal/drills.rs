//! What the journal knows of drills, and of what they have proven.

use std::path::Path;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::chain::Entry;
use super::event::Event;
use super::store::{Journal, JournalError, database, unreadable};
use crate::drill_report::{DrillEnding, PastDrill};
use crate::runs::{Impossible, Run};
use crate::sampling::Sampled;

/// The indexes by which a pair's drills are found, and the newest of all.
pub(super) const LAYOUT: &str = "
    create index entries_by_drill on entries (json_extract(text, '$.plan'), json_extract(text, '$.host'), number)
        where json_extract(text, '$.drill') is not null;
    create index entries_of_drills on entries (number) where json_extract(text, '$.drill') is not null;
";

/// What is known of the drills of one plan on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownDrills {
    /// The last one that came to its own end.
    pub last: Option<PastDrill>,
    /// The last one that proved.
    pub good: Option<PastDrill>,
    /// What the last one restored that had a sample, and how far they have come.
    pub sampled: Option<Sampled>,
    /// Whether one began after the last one and has no end of its own.
    pub was_cut_off: bool,
}

/// So many drills are looked back at, for those who want to see them all.
const DRILLS_MAX: u32 = 10_000;

/// An end without its record, which may be large.
const WITHOUT_RECORD: &str = "number, time, json_remove(text, '$.record')";

/// Which ends are meant, as it stands in a query.
const PROVEN: &str = "json_extract(text, '$.ending') = 'proven'";
const OF_ITS_OWN: &str = "json_extract(text, '$.ending') in ('proven', 'unproven', 'failed')";
const SAMPLED: &str = "json_extract(text, '$.sample') is not null";
const ANY: &str = "true";

impl Journal {
    /// What is known of a plan's drills on a host.
    pub async fn known_drills(&self, plan: &str, host: &str) -> Result<KnownDrills, JournalError> {
        let mut writer = self.writer.lock().await;
        let failed = || database("read", &self.path);
        let begun = sqlx::query(
            "select max(number) from entries where json_extract(text, '$.drill') is not null \
             and json_extract(text, '$.plan') = ? and json_extract(text, '$.host') = ? \
             and json_extract(text, '$.event') = 'drill-started'",
        );
        let begun = begun.bind(plan).bind(host).fetch_one(&mut writer.connection).await;
        let begun: Option<i64> = begun.map_err(failed())?.get(0);
        let last = newest_end(&mut writer.connection, (plan, host), OF_ITS_OWN).await.map_err(failed())?;
        let good = newest_end(&mut writer.connection, (plan, host), PROVEN).await.map_err(failed())?;
        let sampled = newest_end(&mut writer.connection, (plan, host), SAMPLED).await.map_err(failed())?;
        let was_cut_off = begun > last.as_ref().map(|row| row.get::<i64, _>(0));
        let past = |row: Option<SqliteRow>| row.map(|row| self.past_of(&row)).transpose();
        let sampled = past(sampled)?.and_then(|drill| drill.sample);
        Ok(KnownDrills { last: past(last)?, good: past(good)?, sampled, was_cut_off })
    }

    /// The newest drill of a plan on a host that has an end of any kind.
    pub async fn newest_drill(&self, plan: &str, host: &str) -> Result<Option<PastDrill>, JournalError> {
        let mut writer = self.writer.lock().await;
        let row = newest_end(&mut writer.connection, (plan, host), ANY).await.map_err(database("read", &self.path))?;
        row.map(|row| self.past_of(&row)).transpose()
    }

    /// The drill that was going on when the last controller was killed: one goes on at a time.
    pub async fn open_drill(&self) -> Result<Option<(Timestamp, Event)>, JournalError> {
        let mut writer = self.writer.lock().await;
        let row = open(&mut writer.connection).await.map_err(database("read", &self.path))?;
        let Some(row) = row else { return Ok(None) };
        let bad = |why: String| unreadable(&self.path, row.get::<i64, _>(0).cast_unsigned(), why);
        let began = row.get::<&str, _>(1).parse().map_err(|why: jiff::Error| bad(why.to_string()))?;
        let event = serde_json::from_str(row.get(2)).map_err(|why| bad(why.to_string()))?;
        Ok(Some((began, event)))
    }

    /// Drills that came to an end, the newest first.
    pub async fn drills(&self, plan: Option<&str>, host: Option<&str>) -> Result<Vec<PastDrill>, JournalError> {
        let query = sqlx::AssertSqlSafe(format!(
            "select {WITHOUT_RECORD} from entries where json_extract(text, '$.drill') is not null \
             and json_extract(text, '$.event') = 'drill-ended' \
             and (?1 is null or json_extract(text, '$.plan') = ?1) \
             and (?2 is null or json_extract(text, '$.host') = ?2) order by number desc limit ?3"
        ));
        let mut writer = self.writer.lock().await;
        let rows = sqlx::query(query).bind(plan).bind(host).bind(DRILLS_MAX).fetch_all(&mut writer.connection).await;
        rows.map_err(database("read", &self.path))?.iter().map(|row| self.past_of(row)).collect()
    }

    /// What was done in a drill.
    pub async fn drill_record(&self, drill: &PastDrill) -> Result<Option<serde_json::Value>, JournalError> {
        let query = sqlx::query_scalar(
            "select json_extract(text, '$.record') from entries where json_extract(text, '$.drill') = ? \
             and json_extract(text, '$.plan') = ? and json_extract(text, '$.host') = ? \
             and json_extract(text, '$.event') = 'drill-ended'",
        );
        let query = query.bind(drill.drill.as_str()).bind(&drill.plan).bind(&drill.host);
        let mut writer = self.writer.lock().await;
        let record: Option<Option<String>> =
            query.fetch_optional(&mut writer.connection).await.map_err(database("read", &self.path))?;
        let record = record.flatten().map(|text| serde_json::from_str(&text));
        record.transpose().map_err(|why| unreadable(&self.path, 0, format!("the record of {}: {why}", drill.drill)))
    }

    /// The newest run of a plan on a host that left a restore point.
    pub async fn newest_point(&self, plan: &str, host: &str) -> Result<Option<Run>, JournalError> {
        let query = "select run from runs where plan = ? and host = ? and ending in ('done', 'partial', 'unproven') \
                     and json_array_length(run, '$.ended.snapshots') > 0 order by due desc limit 1";
        Ok(self.fetch_runs(sqlx::query(query).bind(plan).bind(host)).await?.pop())
    }

    /// Runs that made a snapshot whose name begins so.
    pub async fn runs_of_snapshot(&self, begins: &str) -> Result<Vec<Run>, JournalError> {
        let query = "select distinct run from runs, json_each(runs.run, '$.ended.snapshots') as snapshots \
                     where substr(snapshots.value, 1, length(?1)) = ?1 order by due desc limit 10";
        self.fetch_runs(sqlx::query(query).bind(begins)).await
    }

    fn past_of(&self, row: &SqliteRow) -> Result<PastDrill, JournalError> {
        let number = row.get::<i64, _>(0).cast_unsigned();
        let bad = |why: String| unreadable(&self.path, number, why);
        let ended: Timestamp = row.get::<&str, _>(1).parse().map_err(|why: jiff::Error| bad(why.to_string()))?;
        match serde_json::from_str(row.get(2)).map_err(|why| bad(why.to_string()))? {
            Event::DrillEnded { drill, plan, host, began, ending, reason, snapshots, proof, sample, .. } => {
                Ok(PastDrill { drill, plan, host, began, ended, ending, reason, snapshots, proof, sample })
            }
            _ => Err(bad("it is no end of a drill".into())),
        }
    }
}

/// The newest end of a drill, of those that are meant.
async fn newest_end(
    connection: &mut SqliteConnection,
    (plan, host): (&str, &str),
    which: &'static str,
) -> Result<Option<SqliteRow>, sqlx::Error> {
    let query = sqlx::AssertSqlSafe(format!(
        "select {WITHOUT_RECORD} from entries where json_extract(text, '$.drill') is not null \
         and json_extract(text, '$.plan') = ? and json_extract(text, '$.host') = ? \
         and json_extract(text, '$.event') = 'drill-ended' and {which} \
         order by number desc limit 1"
    ));
    sqlx::query(query).bind(plan).bind(host).fetch_optional(connection).await
}

/// The start of the drill that goes on, if one does.
async fn open(connection: &mut SqliteConnection) -> Result<Option<SqliteRow>, sqlx::Error> {
    let query = "select number, time, text, json_extract(text, '$.event'), json_extract(text, '$.drill') \
                 from entries indexed by entries_of_drills where json_extract(text, '$.drill') is not null \
                 order by number desc limit 1";
    let newest = sqlx::query(query).fetch_optional(connection).await?;
    Ok(newest.filter(|row| row.get::<&str, _>(3) == "drill-started"))
}

/// Refuses entries about drills that cannot have happened: one goes on at a time, and ends once.
pub(super) async fn follow(connection: &mut SqliteConnection, entry: &Entry, path: &Path) -> Result<(), JournalError> {
    let (drill, what) = match &entry.event {
        Event::DrillStarted { drill, .. } => (drill, "begin: another one goes on"),
        Event::DrillEnded { drill, .. } => (drill, "end: it does not go on"),
        _ => return Ok(()),
    };
    let open = open(connection).await.map_err(database("read", path))?;
    let is_possible = match (&entry.event, &open) {
        (Event::DrillStarted { .. }, open) => open.is_none(),
        (_, open) => open.as_ref().is_some_and(|row| row.get::<&str, _>(4) == drill.as_str()),
    };
    if is_possible { Ok(()) } else { Err(Impossible { about: format!("drill {drill}"), what }.into()) }
}

/// How the newest drill of a pair ended that came to an end of its own.
pub(super) async fn latest_ending(
    connection: &mut SqliteConnection,
    plan: &str,
    host: &str,
) -> Result<Option<DrillEnding>, sqlx::Error> {
    let Some(row) = newest_end(connection, (plan, host), OF_ITS_OWN).await? else { return Ok(None) };
    match serde_json::from_str(row.get(2)) {
        Ok(Event::DrillEnded { ending, .. }) => Ok(Some(ending)),
        Ok(_) => Ok(None),
        Err(error) => Err(sqlx::Error::Decode(error.into())),
    }
}
