//! What the journal knows of restores that need agreement.

use std::path::Path;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::chain::Entry;
use super::event::Event;
use super::store::{Journal, JournalError, database, entry_of, unreadable};
use crate::requests::{Request, RequestNumber, fold};
use crate::runs::Impossible;

/// The requests, and the index by which their entries are found.
pub(super) const LAYOUT: &str = "
    create table requests (
        year    integer not null,
        count   integer not null,
        request text    not null,
        primary key (year, count)
    ) strict, without rowid;
    create index entries_by_request on entries (json_extract(text, '$.request'))
        where json_extract(text, '$.request') is not null;
";

impl Journal {
    /// Writes a request with the next number of its year. The number is given in the transaction that writes it, so none is left out and none comes twice.
    pub async fn file_request(
        &self,
        time: Timestamp,
        year: i16,
        event: impl FnOnce(RequestNumber) -> Event,
    ) -> Result<Request, JournalError> {
        let mut writer = self.writer.lock().await;
        let count = newest_count(&mut writer.connection, year).await.map_err(database("read", &self.path))?;
        let number = RequestNumber::new(year, count + 1);
        self.append_to(&mut writer, time, vec![event(number)]).await?;
        self.written(&mut writer.connection, number).await
    }

    /// Writes what is decided about a request as it is at that moment: nobody else decides in between. None if there is no such request.
    pub async fn decide_request<E>(
        &self,
        time: Timestamp,
        number: RequestNumber,
        decide: impl FnOnce(&Request) -> Result<Event, E>,
    ) -> Result<Option<Result<Request, E>>, JournalError> {
        let mut writer = self.writer.lock().await;
        let Some(before) = read(&mut writer.connection, number, &self.path).await? else { return Ok(None) };
        let event = match decide(&before) {
            Ok(event) => event,
            Err(refusal) => return Ok(Some(Err(refusal))),
        };
        self.append_to(&mut writer, time, vec![event]).await?;
        self.written(&mut writer.connection, number).await.map(|request| Some(Ok(request)))
    }

    /// One request.
    pub async fn request(&self, number: RequestNumber) -> Result<Option<Request>, JournalError> {
        read(&mut self.writer.lock().await.connection, number, &self.path).await
    }

    /// Requests, the newest first.
    pub async fn requests(&self, count_max: u32) -> Result<Vec<Request>, JournalError> {
        self.fetch_requests(
            sqlx::query("select request from requests order by year desc, count desc limit ?").bind(count_max),
        )
        .await
    }

    /// Those that were run by break-glass and have not been looked at since.
    pub async fn requests_owed(&self) -> Result<Vec<Request>, JournalError> {
        let query = "select request from requests where json_extract(request, '$.application.scope.break-glass') \
                     and json_extract(request, '$.closed') is null order by year, count";
        let found = self.fetch_requests(sqlx::query(query)).await?;
        Ok(found.into_iter().filter(Request::is_owed).collect())
    }

    /// Every entry about a request, refusals among them, the oldest first.
    pub async fn entries_of_request(&self, number: RequestNumber) -> Result<Vec<Entry>, JournalError> {
        let query = sqlx::query(
            "select number, time, text, previous, hash from entries where json_extract(text, '$.request') = ? order by number",
        );
        let mut writer = self.writer.lock().await;
        let rows = query.bind(number.to_string()).fetch_all(&mut writer.connection).await;
        rows.map_err(database("read", &self.path))?.iter().map(|row| entry_of(row, &self.path)).collect()
    }

    pub(super) async fn fetch_requests(
        &self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<Vec<Request>, JournalError> {
        let mut writer = self.writer.lock().await;
        let rows = query.fetch_all(&mut writer.connection).await.map_err(database("read", &self.path))?;
        rows.iter().map(|row| request_of(row, &self.path)).collect()
    }

    async fn written(&self, connection: &mut SqliteConnection, number: RequestNumber) -> Result<Request, JournalError> {
        let found = read(connection, number, &self.path).await?;
        found.ok_or_else(|| unreadable(&self.path, 0, format!("{number} is not where it was written")))
    }
}

/// The request after an entry, written beside it; none if the entry is about no request.
pub(super) async fn follow(
    connection: &mut SqliteConnection,
    entry: &Entry,
    path: &Path,
) -> Result<Option<Request>, JournalError> {
    let Some(number) = entry.event.request() else { return Ok(None) };
    let before = read(connection, number, path).await?;
    if matches!(entry.event, Event::RestoreRequested { .. }) && before.is_none() {
        let newest = newest_count(connection, number.year()).await.map_err(database("read", path))?;
        if number.count() != newest + 1 {
            let about = format!("request {number}");
            return Err(Impossible { about, what: "have this number: it is not the next one" }.into());
        }
    }
    let request = fold(before, entry)?;
    // BUG if it fails: a request serialises.
    let text = serde_json::to_string(&request).expect("a request serialises");
    let upsert = sqlx::query(
        "insert into requests (year, count, request) values (?1, ?2, ?3) on conflict (year, count) do update set request = ?3",
    );
    let upsert = upsert.bind(number.year()).bind(number.count()).bind(text).execute(connection).await;
    upsert.map_err(database("write", path))?;
    Ok(Some(request))
}

async fn newest_count(connection: &mut SqliteConnection, year: i16) -> Result<u32, sqlx::Error> {
    let query = sqlx::query_scalar("select coalesce(max(count), 0) from requests where year = ?");
    query.bind(year).fetch_one(connection).await
}

async fn read(
    connection: &mut SqliteConnection,
    number: RequestNumber,
    path: &Path,
) -> Result<Option<Request>, JournalError> {
    let query = sqlx::query("select request from requests where year = ? and count = ?");
    let row = query.bind(number.year()).bind(number.count()).fetch_optional(connection).await;
    row.map_err(database("read", path))?.map(|row| request_of(&row, path)).transpose()
}

fn request_of(row: &SqliteRow, path: &Path) -> Result<Request, JournalError> {
    let text: &str = row.get(0);
    serde_json::from_str(text).map_err(|why| unreadable(path, 0, format!("a request of it: {why}")))
}
