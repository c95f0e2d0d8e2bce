//! Notices that wait to be sent. They are written with the entry that is their cause, and go when they were taken or given up; what was told stands in nobody's memory but the receiver's.
//!
//! A notice is first for everybody; [`Journal::hand_out`] makes one of it for each way that wants it, so that the journal need not know the ways.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};
use strongroom_plans::Notification;

use super::chain::Entry;
use super::drills;
use super::event::{Event, OverdueEnd};
use super::lapses;
use super::own_state;
use super::store::{Journal, JournalError, database, unreadable};
use super::upkeep;
use crate::notify::{Notice, Occasion};
use crate::requests::Request;
use crate::runs::{Ending, Impossible, Run};

/// The tables.
pub(super) const LAYOUT: &str = "
    create table outbox (
        number   integer primary key,
        way      text,
        id       text    not null,
        occasion text    not null,
        notice   text    not null
    ) strict;
    create index outbox_by_lane on outbox (way, occasion, number);
    create table overdue (
        plan text not null,
        host text not null,
        primary key (plan, host)
    ) strict, without rowid;
    create table alive (
        one integer primary key check (one = 1),
        at  text    not null
    ) strict;
";

/// A notice that waits for a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number in the outbox.
    pub number: i64,
    /// What is to be told.
    pub notice: Notice,
}

impl Journal {
    /// Waits for the next notice, or returns at once if there was one since the last time.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Gives each notice that is new to the ways that want it.
    pub async fn hand_out(&self, ways: &[Notification]) -> Result<(), JournalError> {
        let mut writer = self.writer.lock().await;
        let failed = || database("write", &self.path);
        let mut transaction = writer.connection.begin().await.map_err(failed())?;
        let rows = sqlx::query("select number, notice from outbox where way is null order by number");
        let rows = rows.fetch_all(&mut *transaction).await.map_err(failed())?;
        for waiting in rows.iter().map(|row| self.waiting_of(row)) {
            let Waiting { number, notice } = waiting?;
            for way in ways.iter().filter(|way| notice.occasion.is_wanted(way.on())) {
                insert(&mut transaction, Some(way.name().as_str()), &notice).await.map_err(failed())?;
            }
            remove(&mut transaction, number).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// How many notices wait, for whomever.
    pub async fn untold(&self) -> Result<u64, JournalError> {
        let mut writer = self.writer.lock().await;
        let count = sqlx::query_scalar("select count(*) from outbox").fetch_one(&mut writer.connection).await;
        count.map(i64::cast_unsigned).map_err(database("read", &self.path))
    }

    /// The ways and occasions for which something waits, the longest waiting first.
    pub async fn lanes(&self) -> Result<Vec<(String, Occasion)>, JournalError> {
        let query =
            "select way, occasion from outbox where way is not null group by way, occasion order by min(number)";
        let mut writer = self.writer.lock().await;
        let rows = sqlx::query(query).fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))?;
        let lane = |row: &SqliteRow| {
            let occasion = serde_json::from_value(row.get::<String, _>(1).into());
            Ok((row.get(0), occasion.map_err(|why| unreadable(&self.path, 0, format!("a notice of it: {why}")))?))
        };
        rows.iter().map(lane).collect()
    }

    /// What waits there, the oldest first.
    pub async fn waiting(&self, way: &str, occasion: Occasion, count_max: u32) -> Result<Vec<Waiting>, JournalError> {
        let query = "select number, notice from outbox where way = ? and occasion = ? order by number limit ?";
        let query = sqlx::query(query).bind(way).bind(occasion.word()).bind(count_max);
        let mut writer = self.writer.lock().await;
        let rows = query.fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))?;
        rows.iter().map(|row| self.waiting_of(row)).collect()
    }

    /// These were taken.
    pub async fn sent(&self, numbers: &[i64]) -> Result<(), JournalError> {
        let mut writer = self.writer.lock().await;
        let failed = || database("write", &self.path);
        let mut transaction = writer.connection.begin().await.map_err(failed())?;
        for number in numbers {
            remove(&mut transaction, *number).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// These will not be sent: for each there is an entry that says why.
    pub async fn give_up(
        &self,
        time: Timestamp,
        way: &str,
        why: &str,
        waiting: Vec<Waiting>,
    ) -> Result<(), JournalError> {
        let event = |Waiting { notice, .. }: Waiting| {
            let (way, reason) = (way.to_owned(), why.to_owned());
            Event::NoticeGivenUp { notice: notice.id, way, subject: notice.subject, reason }
        };
        self.append_all(time, waiting.into_iter().map(event).collect()).await
    }

    /// The plans that are overdue on hosts, as it was told.
    pub async fn overdue(&self) -> Result<Vec<(String, String)>, JournalError> {
        let mut writer = self.writer.lock().await;
        let rows = sqlx::query("select plan, host from overdue order by plan, host");
        let rows = rows.fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Writes, durably, nothing that anybody reads: that it can be done is what is asked.
    pub async fn prove_writable(&self, now: Timestamp) -> Result<(), JournalError> {
        let query = "insert into alive (one, at) values (1, ?1) on conflict (one) do update set at = ?1";
        let mut writer = self.writer.lock().await;
        let written = sqlx::query(query).bind(now.to_string()).execute(&mut writer.connection).await;
        written.map(drop).map_err(database("write", &self.path))
    }

    fn waiting_of(&self, row: &SqliteRow) -> Result<Waiting, JournalError> {
        let notice = serde_json::from_str(row.get(1));
        let notice = notice.map_err(|why| unreadable(&self.path, 0, format!("a notice of it: {why}")))?;
        Ok(Waiting { number: row.get(0), notice })
    }
}

/// What an entry is about, after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct After<'a> {
    /// The run, not yet written.
    pub(super) run: Option<&'a Run>,
    /// The request.
    pub(super) request: Option<&'a Request>,
}

/// What an entry means for the outbox and for what is overdue; whether there is something to tell.
pub(super) async fn follow(
    connection: &mut SqliteConnection,
    entry: &Entry,
    after: After<'_>,
) -> Result<bool, FollowError> {
    let id = || entry.hash.to_string()[..16].to_owned();
    let of_plan = |occasion, plan: &str, host: &str, subject| {
        let (plan, host) = (plan.to_owned(), host.to_owned());
        Some(Notice { id: id(), time: entry.time, occasion, subject, plan, host, run: None })
    };
    let notice = match (&entry.event, after.run) {
        (Event::RunEnded { .. }, Some(run)) => {
            let before = latest_end(connection, &run.plan, &run.host).await?;
            let is_overdue = is_overdue(connection, &run.plan, &run.host).await?;
            Notice::of_run(id(), run, before, is_overdue)
        }
        (Event::BecameOverdue { plan, host, reason }, _) => {
            let insert = sqlx::query("insert or ignore into overdue (plan, host) values (?, ?)").bind(plan).bind(host);
            if insert.execute(&mut *connection).await?.rows_affected() == 0 {
                return Err(impossible(plan, host, "become overdue twice"));
            }
            let because = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            of_plan(Occasion::Overdue, plan, host, format!("{plan} on {host} is overdue{because}"))
        }
        (Event::OverdueEnded { plan, host, how }, _) => {
            let delete = sqlx::query("delete from overdue where plan = ? and host = ?").bind(plan).bind(host);
            if delete.execute(&mut *connection).await?.rows_affected() == 0 {
                return Err(impossible(plan, host, "be no longer overdue: it was not"));
            }
            let subject = format!("{plan} on {host} has a restore point in time again");
            (*how == OverdueEnd::Recovered).then(|| of_plan(Occasion::Recovered, plan, host, subject)).flatten()
        }
        (Event::MaintenanceEnded { repository, ending, reason, .. }, _) => {
            let before = upkeep::latest_ending(connection, repository).await?;
            Notice::of_maintenance(id(), entry.time, repository, (*ending, reason.as_deref()), before)
        }
        (Event::StateProven { repository, reason, .. }, _) => {
            let before = own_state::newest_proof(connection, repository).await?;
            Notice::of_state_proof(id(), entry.time, repository, reason.as_deref(), before.as_ref())
        }
        (Event::DrillEnded { plan, host, ending, reason, .. }, _) => {
            let before = drills::latest_ending(connection, plan, host).await?;
            Notice::of_drill(id(), entry.time, (plan, host), (*ending, reason.as_deref()), before)
        }
        (Event::ProofLapsed { .. } | Event::LapseEnded { .. }, _) => lapses::follow(connection, entry, id()).await?,
        (Event::RestoreRequested { .. } | Event::RestoreStarted { .. } | Event::RestoreClosed { .. }, _) => {
            after.request.and_then(|request| Notice::of_break_glass(id(), entry, request))
        }
        (Event::NoticeGivenUp { notice, way, .. }, _) => {
            let delete = sqlx::query("delete from outbox where way = ? and id = ?").bind(way).bind(notice);
            delete.execute(&mut *connection).await?;
            None
        }
        _ => None,
    };
    if let Some(notice) = &notice {
        tracing::warn!(subject = notice.subject, "notice");
        insert(connection, None, notice).await?;
    }
    Ok(notice.is_some())
}

/// Why an entry has no consequence here.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Impossible(#[from] Impossible),
}

fn impossible(plan: &str, host: &str, what: &'static str) -> FollowError {
    Impossible { about: format!("{plan} on {host}"), what }.into()
}

/// How the latest run of a plan on a host ended that was more than left out.
async fn latest_end(connection: &mut SqliteConnection, plan: &str, host: &str) -> Result<Option<Ending>, sqlx::Error> {
    let query = "select ending from runs where plan = ? and host = ? \
                 and ending not in ('skipped', 'superseded', 'cancelled') order by due desc limit 1";
    let ending: Option<String> = sqlx::query_scalar(query).bind(plan).bind(host).fetch_optional(connection).await?;
    let ending = ending.map(|ending| serde_json::from_value(ending.into()));
    ending.transpose().map_err(|error| sqlx::Error::Decode(error.into()))
}

async fn is_overdue(connection: &mut SqliteConnection, plan: &str, host: &str) -> Result<bool, sqlx::Error> {
    let query = "select exists (select 1 from overdue where plan = ? and host = ?)";
    sqlx::query_scalar(query).bind(plan).bind(host).fetch_one(connection).await
}

async fn insert(connection: &mut SqliteConnection, way: Option<&str>, notice: &Notice) -> Result<(), sqlx::Error> {
    // BUG if it fails: a notice serialises.
    let text = serde_json::to_string(notice).expect("a notice serialises");
    let insert = sqlx::query("insert into outbox (way, id, occasion, notice) values (?, ?, ?, ?)");
    insert.bind(way).bind(&notice.id).bind(notice.occasion.word()).bind(text).execute(connection).await.map(drop)
}

async fn remove(connection: &mut SqliteConnection, number: i64) -> Result<(), sqlx::Error> {
    sqlx::query("delete from outbox where number = ?").bind(number).execute(connection).await.map(drop)
}
