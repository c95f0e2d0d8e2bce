//! What is known of hosts: when each was last seen, by which worker, and its facts as they were gathered. No history and no decision hangs on it: it may be lost, and is gathered again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::store::{Journal, JournalError, database};

/// The table.
pub(super) const LAYOUT: &str = "
    create table hosts (
        host  text primary key,
        known text not null
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
        Ok(rows.map_err(database("read", &self.path))?.iter().filter_map(known).collect())
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
