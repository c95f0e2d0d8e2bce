//! What is known of hosts: when each was last seen, by which worker, and its facts as they were gathered. No history and no decision hangs on it: it may be lost, and is gathered again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row};

use super::store::{Journal, JournalError, database};

/// The table.
pub(super) const LAYOUT: &str = "
    create table hosts (
        host  text primary key,
        known text not null
    ) strict, without rowid;
";

/// When each was last seen, by what: written every minute for all hosts, and so apart from their facts, which are a hundred times as long.
pub(super) const SIGHTINGS: &str = "
    create table sightings (
        host    text primary key,
        seen    text not null,
        worker  text not null,
        boot_id text not null
    ) strict, without rowid;
";

/// What is known of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KnownHost {
    /// When it last answered.
    pub seen: Timestamp,
    /// The version of its worker.
    pub worker: String,
    /// Changes with each boot.
    pub boot_id: String,
    /// Its facts, if it was ever asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gathered: Option<Gathered>,
}

/// Facts, and when they were such.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Gathered {
    /// By the controller's clock.
    pub at: Timestamp,
    /// In which boot.
    pub boot_id: String,
    /// By which worker.
    pub worker: String,
    /// By how much the host's clock is ahead of the controller's, in milliseconds.
    pub clock_ahead_ms: i64,
    /// What that may be wrong by: half of the time that the question took.
    pub clock_error_ms: i64,
    /// As `strongroom-worker facts` prints them.
    pub facts: serde_json::Value,
}

impl Journal {
    /// What is known of each host.
    pub async fn known_hosts(&self) -> Result<BTreeMap<String, KnownHost>, JournalError> {
        let mut writer = self.writer.lock().await;
        let rows = sqlx::query("select host, known from hosts").fetch_all(&mut writer.connection).await;
        // What another release wrote and this one cannot read is gathered again.
        let known = |row: &SqliteRow| Some((row.get(0), serde_json::from_str(row.get(1)).ok()?));
        let mut all: BTreeMap<String, KnownHost> =
            rows.map_err(database("read", &self.path))?.iter().filter_map(known).collect();
        let seen = sqlx::query("select host, seen, worker, boot_id from sightings").fetch_all(&mut writer.connection);
        for row in seen.await.map_err(database("read", &self.path))? {
            let Ok(seen) = row.get::<String, _>(1).parse::<Timestamp>() else { continue };
            let gathered = all.remove(row.get::<&str, _>(0));
            let is_newer = gathered.as_ref().is_none_or(|known| known.seen < seen);
            let sighted = KnownHost { seen, worker: row.get(2), boot_id: row.get(3), gathered: None };
            let known = match gathered {
                Some(known) if is_newer => KnownHost { gathered: known.gathered, ..sighted },
                Some(known) => known,
                None => sighted,
            };
            all.insert(row.get(0), known);
        }
        Ok(all)
    }

    /// Notes that these hosts answer: each with its worker's version and its boot.
    pub async fn saw_hosts(&self, now: Timestamp, hosts: &[(String, String, String)]) -> Result<(), JournalError> {
        let mut writer = self.writer.lock().await;
        let failed = || database("write", &self.path);
        let mut transaction = writer.connection.begin().await.map_err(failed())?;
        let query = "insert into sightings (host, seen, worker, boot_id) values (?1, ?2, ?3, ?4)
            on conflict (host) do update set seen = ?2, worker = ?3, boot_id = ?4";
        for (host, worker, boot_id) in hosts {
            let written = sqlx::query(query).bind(host).bind(now.to_string()).bind(worker).bind(boot_id);
            written.execute(&mut *transaction).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Replaces what is known of a host.
    pub async fn know_host(&self, host: &str, known: &KnownHost) -> Result<(), JournalError> {
        // BUG if it fails: strings and numbers serialise.
        let text = serde_json::to_string(known).expect("what is known of a host serialises");
        let query = "insert into hosts (host, known) values (?1, ?2) on conflict (host) do update set known = ?2";
        let mut writer = self.writer.lock().await;
        let written = sqlx::query(query).bind(host).bind(text).execute(&mut writer.connection).await;
        written.map(drop).map_err(database("write", &self.path))
    }
}
