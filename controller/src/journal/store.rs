//! The journal's database: SQLite, one file, one connection that writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use tokio::sync::{Mutex, Notify};

use super::chain::{Broken, Entry, EntryHash};
use super::drills;
use super::event::Event;
use super::hosts;
use super::lapses;
use super::outbox::{self, FollowError};
use super::requests;
use super::restores;
use super::upkeep;
use crate::requests::{Request, RequestNumber, fold as fold_request};
use crate::runs::{Impossible, Run, RunId, fold};

/// The layout of the database. A newer one is refused; an older one is brought up to date by the statements after its own.
const LAYOUTS: [&str; 10] = ["
    create table entries (
        number   integer primary key,
        time     text    not null,
        text     text    not null,
        previous blob    not null,
        hash     blob    not null
    ) strict;
    create trigger entries_are_not_changed before update on entries begin select raise(abort, 'entries are not changed'); end;
    create trigger entries_are_not_removed before delete on entries begin select raise(abort, 'entries are not removed'); end;
    create table runs (
        id      text    primary key,
        plan    text    not null,
        host    text    not null,
        due     integer not null,
        ending  text,
        number  integer not null,
        run     text    not null
    ) strict;
    create index runs_by_due on runs (due desc);
    create index runs_by_plan on runs (plan, host, due desc);
    create index runs_open on runs (due) where ending is null;
", outbox::LAYOUT, hosts::LAYOUT, "
    create index entries_by_run on entries (json_extract(text, '$.run')) where json_extract(text, '$.run') is not null;
", hosts::SIGHTINGS, upkeep::LAYOUT, restores::LAYOUT, requests::LAYOUT, drills::LAYOUT, lapses::LAYOUT];

/// The journal. One process writes it, the controller that owns the socket; others may read meanwhile. Should two write, the second one's entry has a number that is taken,
/// and is refused.
#[derive(Debug)]
pub struct Journal {
    pub(super) path: PathBuf,
    pub(super) writer: Mutex<Writer>,
    /// Woken when there is something to tell.
    pub(super) news: Notify,
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: SqliteConnection,
    newest: u64,
    hash: EntryHash,
    /// After a failed write nobody knows what is on the disk: nothing more is written.
    poisoned: bool,
}

/// The journal cannot be read or written, or does not hold together.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The database refused.
    #[error("cannot {doing} the journal {path}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// A release after this one wrote it.
    #[error("the journal {path} has layout {found}, and this release knows {known}: use the release that wrote it")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: i64,
        /// What is known here.
        known: usize,
    },
    /// It is not what was written.
    #[error("the journal {path} was changed")]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where and how.
        source: Broken,
    },
    /// An entry cannot be read.
    #[error("entry {number} of the journal {path} cannot be read: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Which.
        number: u64,
        /// Why.
        why: String,
    },
    /// What is to be written cannot have happened.
    #[error("an entry that contradicts the journal was not written")]
    Impossible(#[from] Impossible),
    /// An earlier write failed.
    #[error("an earlier write to the journal {path} failed; the controller must be started again")]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
}

impl Journal {
    /// Opens the journal, or makes it.
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |doing| database(doing, path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let mut connection = options.connect().await.map_err(failed("open"))?;
        lay_out(&mut connection, path).await?;
        let newest = sqlx::query("select number, hash from entries order by number desc limit 1");
        let newest = newest.fetch_optional(&mut connection).await.map_err(failed("read"))?;
        let (newest, hash) = newest.map_or(Ok((0, EntryHash::START)), |row| head(&row, path))?;
        let writer = Mutex::new(Writer { connection, newest, hash, poisoned: false });
        Ok(Self { path: path.to_owned(), writer, news: Notify::new() })
    }

    /// Writes an entry and what it changes; durable when this returns. An error means that nothing may be done that the entry announces.
    pub async fn append(&self, time: Timestamp, event: Event) -> Result<(), JournalError> {
        self.append_all(time, vec![event]).await
    }

    /// Writes several entries, all or none.
    pub async fn append_all(&self, time: Timestamp, events: Vec<Event>) -> Result<(), JournalError> {
        let mut writer = self.writer.lock().await;
        self.append_to(&mut writer, time, events).await
    }

    /// The same for whoever has locked it already, so that nothing comes in between.
    pub(super) async fn append_to(
        &self,
        writer: &mut Writer,
        time: Timestamp,
        events: Vec<Event>,
    ) -> Result<(), JournalError> {
        if writer.poisoned {
            return Err(JournalError::Poisoned { path: self.path.clone() });
        }
        let (newest, hash) = (writer.newest, writer.hash);
        let entries = events.into_iter().scan((newest, hash), |(number, hash), event| {
            let entry = Entry::following(*hash, *number + 1, time, event);
            (*number, *hash) = (entry.number, entry.hash);
            Some(entry)
        });
        let entries: Vec<Entry> = entries.collect();
        let Some(last) = entries.last() else { return Ok(()) };
        match self.write(&mut writer.connection, &entries).await {
            Ok(()) => {
                (writer.newest, writer.hash) = (last.number, last.hash);
                Ok(())
            }
            Err(error) => {
                writer.poisoned = matches!(error, JournalError::Database { .. });
                Err(error)
            }
        }
    }

    async fn write(&self, connection: &mut SqliteConnection, entries: &[Entry]) -> Result<(), JournalError> {
        let failed = || database("write", &self.path);
        let mut transaction = connection.begin().await.map_err(failed())?;
        let mut has_news = false;
        for entry in entries {
            let run = match entry.event.run() {
                Some(id) => Some(fold(read_run(&mut transaction, id, &self.path).await?, entry)?),
                None => None,
            };
            drills::follow(&mut transaction, entry, &self.path).await?;
            let request = requests::follow(&mut transaction, entry, &self.path).await?;
            let after = outbox::After { run: run.as_ref(), request: request.as_ref() };
            has_news |= outbox::follow(&mut transaction, entry, after).await.map_err(|error| match error {
                FollowError::Database(source) => failed()(source),
                FollowError::Impossible(impossible) => impossible.into(),
            })?;
            if let Some(run) = run {
                write_run(&mut transaction, &run, entry.number).await.map_err(failed())?;
            }
            let insert = sqlx::query("insert into entries (number, time, text, previous, hash) values (?, ?, ?, ?, ?)")
                .bind(entry.number.cast_signed())
                .bind(entry.time.to_string())
                .bind(&*entry.text)
                .bind(entry.previous.as_slice())
                .bind(entry.hash.as_slice());
            insert.execute(&mut *transaction).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())?;
        if has_news {
            self.news.notify_one();
        }
        Ok(())
    }

    /// The latest time that stands in an entry; a clock that was set back does not move it.
    pub async fn latest_time(&self) -> Result<Option<Timestamp>, JournalError> {
        // The times are written with as many digits as they need: compared as instants, not as text.
        let mut writer = self.writer.lock().await;
        let rows = sqlx::query("select number, time from entries order by number desc limit 1000");
        let rows = rows.fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))?;
        let time = |row: &SqliteRow| {
            let number = row.get::<i64, _>(0).cast_unsigned();
            let time = row.get::<&str, _>(1).parse::<Timestamp>();
            time.map_err(|why| unreadable(&self.path, number, why.to_string()))
        };
        rows.iter().map(time).try_fold(None, |latest, time| Ok(latest.max(Some(time?))))
    }

    /// One run.
    pub async fn run(&self, id: &RunId) -> Result<Option<Run>, JournalError> {
        read_run(&mut self.writer.lock().await.connection, id, &self.path).await
    }

    /// Runs, the latest due first.
    pub async fn runs(&self, plan: Option<&str>, host: Option<&str>, count_max: u32) -> Result<Vec<Run>, JournalError> {
        let query = sqlx::query(
            "select run from runs where (?1 is null or plan = ?1) and (?2 is null or host = ?2) order by due desc, id limit ?3",
        );
        self.fetch_runs(query.bind(plan).bind(host).bind(count_max)).await
    }

    /// The latest run of each plan on each host.
    pub async fn latest_of_each(&self) -> Result<Vec<Run>, JournalError> {
        let query = "select run from runs as latest where due = \
                     (select max(due) from runs where plan = latest.plan and host = latest.host)";
        self.fetch_runs(sqlx::query(query)).await
    }

    /// The same among those that left a restore point.
    pub async fn latest_good_of_each(&self) -> Result<Vec<Run>, JournalError> {
        let query = "select run from runs as latest where ending in ('done', 'partial', 'unproven') and due = \
                     (select max(due) from runs where plan = latest.plan and host = latest.host \
                     and ending in ('done', 'partial', 'unproven'))";
        self.fetch_runs(sqlx::query(query)).await
    }

    /// When the first run of each plan on each host was due.
    pub async fn first_due_of_each(&self) -> Result<HashMap<(String, String), Timestamp>, JournalError> {
        let mut writer = self.writer.lock().await;
        let rows = sqlx::query("select plan, host, min(due) from runs group by plan, host");
        let rows = rows.fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))?;
        let first = |row: &SqliteRow| Some(((row.get(0), row.get(1)), Timestamp::from_second(row.get(2)).ok()?));
        Ok(rows.iter().filter_map(first).collect())
    }

    /// Runs that have not ended.
    pub async fn open_runs(&self) -> Result<Vec<Run>, JournalError> {
        self.fetch_runs(sqlx::query("select run from runs where ending is null order by due, id")).await
    }

    /// What a scheduler goes on from: the runs that have not ended, those due since an instant, and the latest of each plan and host.
    pub async fn runs_to_go_on_from(&self, since: Timestamp) -> Result<Vec<Run>, JournalError> {
        let query = "select run from runs as latest where ending is null or due >= ? or due = \
                     (select max(due) from runs where plan = latest.plan and host = latest.host) order by due, id";
        self.fetch_runs(sqlx::query(query).bind(since.as_second())).await
    }

    pub(super) async fn fetch_runs(
        &self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<Vec<Run>, JournalError> {
        let mut writer = self.writer.lock().await;
        let rows = query.fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))?;
        rows.iter().map(|row| run_of(row, &self.path)).collect()
    }

    /// The number of the newest entry; 0 if there is none.
    pub async fn newest(&self) -> Result<u64, JournalError> {
        let mut writer = self.writer.lock().await;
        let newest =
            sqlx::query_scalar("select coalesce(max(number), 0) from entries").fetch_one(&mut writer.connection);
        newest.await.map(i64::cast_unsigned).map_err(database("read", &self.path))
    }

    /// Entries from a number on, at most so many.
    pub async fn entries(&self, from: u64, count_max: u32) -> Result<Vec<Entry>, JournalError> {
        let query = sqlx::query(
            "select number, time, text, previous, hash from entries where number >= ? order by number limit ?",
        );
        let query = query.bind(from.cast_signed()).bind(count_max);
        let mut writer = self.writer.lock().await;
        let rows = query.fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))?;
        rows.iter().map(|row| entry_of(row, &self.path)).collect()
    }

    /// Every entry about a run, the oldest first.
    pub async fn entries_of(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        let query = sqlx::query(
            "select number, time, text, previous, hash from entries where json_extract(text, '$.run') = ? order by number",
        );
        let mut writer = self.writer.lock().await;
        let rows = query.bind(run.as_str()).fetch_all(&mut writer.connection).await;
        rows.map_err(database("read", &self.path))?.iter().map(|row| entry_of(row, &self.path)).collect()
    }

    /// Reads every entry, checks that they hang together, and that the tables are their sum. Returns the number of entries and the newest hash, which may be written down
    /// elsewhere: a journal that was exchanged as a whole is not found out without.
    pub async fn verify(&self) -> Result<(u64, EntryHash), JournalError> {
        const AT_ONCE: u32 = 10_000;
        let (mut number, mut hash) = (0, EntryHash::START);
        let mut runs: BTreeMap<RunId, Run> = BTreeMap::new();
        let mut requests: BTreeMap<RequestNumber, Request> = BTreeMap::new();
        let mut overdue: BTreeSet<(String, String)> = BTreeSet::new();
        let mut lapsed: BTreeSet<lapses::Noted> = BTreeSet::new();
        loop {
            let entries = self.entries(number + 1, AT_ONCE).await?;
            let Some(last) = entries.last() else { break };
            let (last_number, last_hash) = (last.number, last.hash);
            for entry in &entries {
                entry.check(number, hash).map_err(|source| JournalError::Broken { path: self.path.clone(), source })?;
                (number, hash) = (entry.number, entry.hash);
                if let Some(id) = entry.event.run() {
                    let run = fold(runs.remove(id), entry)?;
                    runs.insert(id.clone(), run);
                }
                if let Some(number) = entry.event.request() {
                    let request = fold_request(requests.remove(&number), entry)?;
                    requests.insert(number, request);
                }
                match &entry.event {
                    Event::BecameOverdue { plan, host, .. } => drop(overdue.insert((plan.clone(), host.clone()))),
                    Event::OverdueEnded { plan, host, .. } => drop(overdue.remove(&(plan.clone(), host.clone()))),
                    Event::ProofLapsed { plan, host, what, .. } => {
                        lapsed.insert((plan.clone(), host.clone(), *what));
                    }
                    Event::LapseEnded { plan, host, what, .. } => {
                        lapsed.remove(&(plan.clone(), host.clone(), *what));
                    }
                    _ => {}
                }
            }
            debug_assert_eq!((number, hash), (last_number, last_hash));
        }
        let stored = self.fetch_runs(sqlx::query("select run from runs order by id")).await?;
        let asked = self.fetch_requests(sqlx::query("select request from requests order by year, count")).await?;
        let is_their_sum = stored.iter().eq(runs.values())
            && asked.iter().eq(requests.values())
            && self.overdue().await?.iter().eq(&overdue)
            && self.lapses().await?.iter().eq(&lapsed);
        match is_their_sum {
            true => Ok((number, hash)),
            false => Err(JournalError::Broken { path: self.path.clone(), source: Broken::Changed(number) }),
        }
    }
}

pub(super) fn database(doing: &'static str, path: &Path) -> impl FnOnce(sqlx::Error) -> JournalError {
    move |source| JournalError::Database { doing, path: path.to_owned(), source }
}

async fn lay_out(connection: &mut SqliteConnection, path: &Path) -> Result<(), JournalError> {
    let failed = |doing| database(doing, path);
    let found: i64 =
        sqlx::query_scalar("pragma user_version").fetch_one(&mut *connection).await.map_err(failed("open"))?;
    let known = LAYOUTS.len();
    let missing = usize::try_from(found).ok().and_then(|found| LAYOUTS.get(found..));
    let missing = missing.ok_or_else(|| JournalError::TooNew { path: path.to_owned(), found, known })?;
    if missing.is_empty() {
        return Ok(());
    }
    let mut transaction = connection.begin().await.map_err(failed("prepare"))?;
    for statements in missing {
        sqlx::raw_sql(*statements).execute(&mut *transaction).await.map_err(failed("prepare"))?;
    }
    let version = sqlx::AssertSqlSafe(format!("pragma user_version = {known}"));
    sqlx::raw_sql(version).execute(&mut *transaction).await.map_err(failed("prepare"))?;
    transaction.commit().await.map_err(failed("prepare"))
}

async fn read_run(connection: &mut SqliteConnection, id: &RunId, path: &Path) -> Result<Option<Run>, JournalError> {
    let row = sqlx::query("select run from runs where id = ?").bind(id.as_str()).fetch_optional(connection).await;
    row.map_err(database("read", path))?.map(|row| run_of(&row, path)).transpose()
}

async fn write_run(connection: &mut SqliteConnection, run: &Run, number: u64) -> Result<(), sqlx::Error> {
    // BUG if it fails: a run serialises.
    let text = serde_json::to_string(run).expect("a run serialises");
    let upsert = sqlx::query(
        "insert into runs (id, plan, host, due, ending, number, run) values (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         on conflict (id) do update set ending = ?5, number = ?6, run = ?7",
    );
    let upsert = upsert.bind(run.id.as_str()).bind(&run.plan).bind(&run.host).bind(run.due.as_second());
    upsert
        .bind(run.ended.as_ref().map(|ended| ended.ending.to_string()))
        .bind(number.cast_signed())
        .bind(text)
        .execute(connection)
        .await
        .map(drop)
}

pub(super) fn head(row: &SqliteRow, path: &Path) -> Result<(u64, EntryHash), JournalError> {
    let number = row.get::<i64, _>(0).cast_unsigned();
    let hash = EntryHash::from_slice(row.get::<&[u8], _>(1));
    Ok((number, hash.ok_or_else(|| unreadable(path, number, "its hash has another length"))?))
}

pub(super) fn entry_of(row: &SqliteRow, path: &Path) -> Result<Entry, JournalError> {
    let number = row.get::<i64, _>(0).cast_unsigned();
    let bad = |why: String| unreadable(path, number, why);
    let hash = |at: usize| {
        EntryHash::from_slice(row.get::<&[u8], _>(at)).ok_or_else(|| bad("a hash has another length".into()))
    };
    let text: String = row.get(2);
    Ok(Entry {
        number,
        time: row.get::<&str, _>(1).parse().map_err(|why: jiff::Error| bad(why.to_string()))?,
        event: serde_json::from_str(&text).map_err(|why| bad(why.to_string()))?,
        text,
        previous: hash(3)?,
        hash: hash(4)?,
    })
}

fn run_of(row: &SqliteRow, path: &Path) -> Result<Run, JournalError> {
    let text: &str = row.get(0);
    serde_json::from_str(text).map_err(|why| unreadable(path, 0, format!("a run of it: {why}")))
}

pub(super) fn unreadable(path: &Path, number: u64, why: impl Into<String>) -> JournalError {
    JournalError::Unreadable { path: path.to_owned(), number, why: why.into() }
}
