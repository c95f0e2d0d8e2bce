//! Proofs that became too old, and promises of drills that were broken: what was told of them.

use sqlx::{Row, SqliteConnection};

use super::chain::Entry;
use super::event::{Event, OverdueEnd};
use super::outbox::FollowError;
use super::store::{Journal, JournalError, database, unreadable};
use crate::notify::{Notice, Occasion};
use crate::runs::Impossible;
use crate::status::Lapsed;

/// The table.
pub(super) const LAYOUT: &str = "
    create table lapsed (
        plan text not null,
        host text not null,
        what text not null,
        primary key (plan, host, what)
    ) strict, without rowid;
";

/// A plan, a host, and what is proven no more.
pub(crate) type Noted = (String, String, Lapsed);

impl Journal {
    /// What time has undone, as it was told.
    pub(crate) async fn lapses(&self) -> Result<Vec<Noted>, JournalError> {
        let mut writer = self.writer.lock().await;
        let rows = sqlx::query("select plan, host, what from lapsed order by plan, host, what");
        let rows = rows.fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))?;
        let noted = |row: &sqlx::sqlite::SqliteRow| {
            let what = serde_json::from_value(row.get::<String, _>(2).into());
            Ok((row.get(0), row.get(1), what.map_err(|why| unreadable(&self.path, 0, format!("what lapsed: {why}")))?))
        };
        rows.iter().map(noted).collect()
    }
}

/// What an entry means for the table, and whom it is news to.
pub(super) async fn follow(
    connection: &mut SqliteConnection,
    entry: &Entry,
    id: String,
) -> Result<Option<Notice>, FollowError> {
    let (change, plan, host, what) = match &entry.event {
        Event::ProofLapsed { plan, host, what, .. } => {
            ("insert or ignore into lapsed (plan, host, what) values (?, ?, ?)", plan, host, *what)
        }
        Event::LapseEnded { plan, host, what, .. } => {
            ("delete from lapsed where plan = ? and host = ? and what = ?", plan, host, *what)
        }
        _ => return Ok(None),
    };
    let changed = sqlx::query(change).bind(plan).bind(host).bind(what.word()).execute(connection).await?;
    if changed.rows_affected() == 0 {
        let about = format!("the {what} of {plan} on {host}");
        return Err(Impossible { about, what: "lapse twice, or end without that" }.into());
    }
    let (occasion, subject) = match &entry.event {
        Event::ProofLapsed { reason, .. } => {
            (Occasion::Overdue, format!("the {what} of {plan} on {host} does not hold any more: {reason}"))
        }
        Event::LapseEnded { how: OverdueEnd::Recovered, .. } => {
            (Occasion::Recovered, format!("the {what} of {plan} on {host} holds again"))
        }
        _ => return Ok(None),
    };
    let (plan, host) = (plan.clone(), host.clone());
    Ok(Some(Notice { id, time: entry.time, occasion, subject, plan, host, run: None }))
}
