//! `strongroom repo health`: whether a store is as it should be, one line for each question.

use std::future::Future;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions};
use serde::Serialize;
use strongroom_controller::capacity::AlarmLevels;
use strongroom_plans::TimeSpan;
use strongroom_repository::store::{self, ErrorKind, LockMode, ObjectLock, S3Store};
use strongroom_repository::{Error, ObjectId, Repository, RepositoryId, chain};
use tokio::time::timeout;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::place_memory::{Known, PlaceMemory};
use crate::room;
use crate::shown::{self, Align, Table, size, time};
use crate::store_place::StorePlace;

/// Show whether a store is as it should be
#[derive(Debug, Args)]
#[command(after_help = "\
Needs no key. Writes one small object below `probe/`, reads it and deletes it. Ends with 4 where \
something should be looked at soon, and with 5 where the store cannot be used.

Examples:
  strongroom repo health /srv/backup
  strongroom repo health s3://bucket/prefix --immutable 30d
  strongroom repo health s3://bucket/prefix --json | jq '.checks[] | select(.state != \"ok\")'")]
pub(crate) struct HealthArgs {
    /// The store: a path, file:///path, s3://bucket/prefix or sftp://user@host/path
    #[arg(value_name = "URL", env = "STRONGROOM_REPOSITORY", hide_env_values = true)]
    url: String,

    /// Warn of keys and certificates that end within so many days
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    expiry_days: u32,

    /// Percents of the room: warn from the first on, fail from the last on
    #[arg(long, value_name = "PERCENTS", default_value = "75,85,95", value_parser = AlarmLevels::parse)]
    alarm_at: AlarmLevels,

    /// Fail unless what is written can be deleted by nobody for this long, as in a bucket with object lock
    #[arg(long, value_name = "TIME")]
    immutable: Option<TimeSpan>,
}

/// A store that takes longer for a few bytes cannot be worked with.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// A round trip across the world takes a third of this.
const LATENCY_FINE: Duration = Duration::from_secs(1);

/// The server's clock may be so far behind ours.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(5 * 60);

const UNLOCKED: &str = "what is written is not locked: it is in no bucket with object lock and a default retention, or this key may not \
                        see locks (s3:GetObjectRetention)";

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Warn,
    Fail,
}

/// One question.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    state: State,
    seen: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Health {
    location: String,
    repository: Option<RepositoryId>,
    checks: Vec<Check>,
}

pub(crate) fn run(args: &HealthArgs, context: &Context) -> Result<Exit, Failure> {
    let place = StorePlace::open(&args.url, context)?;
    let known = PlaceMemory::of_place(&place, context)?.known(context)?;
    let space = room::of_place(&place, context)?;
    let what = format!("look at the health of {}", shown::location(&args.url));
    let health = context.wait(&what, async {
        let mut health = Health { location: place.location.to_string(), repository: None, checks: Vec::new() };
        health.look(&place, known.as_ref(), args).await;
        Ok::<_, Error>(health)
    });
    let mut health = health?;
    if let Some(space) = space {
        let used = space.used_bytes() as f64 / space.total_bytes.max(1) as f64;
        let state = match args.alarm_at.reached(used) {
            None => State::Ok,
            Some(level) if args.alarm_at.is_last(level) => State::Fail,
            Some(_) => State::Warn,
        };
        let seen =
            format!("{:.1} % used, {} free of {}", used * 100.0, size(space.free_bytes), size(space.total_bytes));
        health.add("room", state, seen);
    }
    let worst = health.checks.iter().map(|check| check.state).max();
    context.output.answer(&health)?;
    Ok(match worst {
        Some(State::Fail) => Exit::StoreOutOfReach,
        Some(State::Warn) => Exit::Damaged,
        Some(State::Ok) | None => Exit::Success,
    })
}

impl Health {
    fn add(&mut self, what: &'static str, state: State, seen: impl Into<String>) {
        self.checks.push(Check { what, state, seen: seen.into() });
    }

    async fn look(&mut self, place: &StorePlace, known: Option<&Known>, args: &HealthArgs) {
        let begun = Instant::now();
        let config = within(Repository::read_config(&*place.store)).await;
        let took = begun.elapsed();
        match config {
            Ok(Ok(config)) => {
                self.add("reachable", State::Ok, "it answers");
                self.repository = Some(config.repository);
                self.compare(config.repository, known);
                self.canary(place, args.immutable).await;
                let state = if took > LATENCY_FINE { State::Warn } else { State::Ok };
                self.add("latency", state, format!("{} ms for one object", took.as_millis()));
            }
            Ok(Err(Error::NoRepository)) => {
                self.add("reachable", State::Ok, "it answers");
                let was = known.map_or_else(String::new, |known| format!(", where {} was", known.repository));
                self.add("repository", State::Fail, format!("none is there{was}: its disk may not be mounted"));
            }
            Ok(Err(error)) => self.add("reachable", State::Fail, chain(&error)),
            Err(late) => self.add("reachable", State::Fail, late),
        }
        if let Some(store) = &place.measured.s3 {
            self.expiries(store, args.expiry_days).await;
        }
    }

    fn compare(&mut self, found: RepositoryId, known: Option<&Known>) {
        match known {
            Some(known) if known.repository == found => {
                self.add("repository", State::Ok, format!("{found}, as before"))
            }
            Some(known) => {
                self.add("repository", State::Fail, format!("{found} is there, where {} was", known.repository));
            }
            None => self.add("repository", State::Ok, format!("{found}; this machine sees it for the first time")),
        }
    }

    /// Puts, reads and deletes an object whose name nobody else has.
    async fn canary(&mut self, place: &StorePlace, immutable: Option<TimeSpan>) {
        let store = &*place.store;
        let begun = Timestamp::now();
        let who = format!("{} {} {:?}", std::process::id(), Timestamp::now(), std::thread::current().id());
        let id = ObjectId::of(who.as_bytes()).hex();
        let name = Path::from(format!("probe/health-{id}"));
        let written = within(store.put_opts(&name, id.clone().into(), PutOptions::from(PutMode::Create))).await;
        if let Err(why) = flat(written) {
            return self.add("write", State::Fail, why);
        }
        let read = within(async { store.get(&name).await?.bytes().await }).await;
        self.lock(place, &name, begun, immutable.map(Duration::from)).await;
        let deleted = within(store.delete(&name)).await;
        match flat(read) {
            Ok(bytes) if bytes == id.as_bytes() => self.add("write", State::Ok, "what is written is read"),
            Ok(_) => self.add("write", State::Fail, "what was written is not what is read"),
            Err(why) => self.add("write", State::Fail, format!("what was written cannot be read: {why}")),
        }
        match deleted {
            Ok(Ok(())) => self.add("delete", State::Ok, "it is gone again"),
            // To add backups nobody need delete.
            Ok(Err(error)) if store::kind(&error) == ErrorKind::PermissionDenied => {
                self.add("delete", State::Ok, format!("this key may not delete; {name} stays"));
            }
            Ok(Err(error)) => self.add("delete", State::Warn, format!("{name} stays: {}", chain(&error))),
            Err(late) => self.add("delete", State::Warn, format!("{name} stays: {late}")),
        }
    }

    /// What the server says of the object that was written just now; nothing where there is no lock and nobody asks for one.
    async fn lock(&mut self, place: &StorePlace, name: &Path, begun: Timestamp, wanted: Option<Duration>) {
        let seen = match &place.measured.s3 {
            Some(store) => flat(within(store.lock_of(name)).await),
            None => Ok(None),
        };
        let (state, seen) = match (seen, wanted) {
            (Ok(None), None) => return,
            (Ok(None), Some(_)) => (State::Fail, UNLOCKED.to_owned()),
            (Ok(Some(lock)), wanted) => locked(lock, begun, wanted.unwrap_or_default()),
            (Err(why), _) => (State::Fail, why),
        };
        self.add("immutable", state, seen);
    }

    async fn expiries(&mut self, store: &S3Store, days: u32) {
        match within(store.key_expires()).await {
            Ok(Ok(Some(end))) => {
                let (state, seen) = expiry(end, Timestamp::now(), days);
                // Whoever gives keys that end soon gives a new one when it is asked.
                self.add("key", if state == State::Fail { state } else { State::Ok }, seen);
            }
            Ok(Ok(None)) => self.add("key", State::Ok, "it does not say that it ends"),
            Ok(Err(error)) => self.add("key", State::Fail, chain(&error)),
            Err(late) => self.add("key", State::Fail, late),
        }
        if let Ok(Some(end)) = within(store.certificate_expires()).await {
            let (state, seen) = expiry(end, Timestamp::now(), days);
            self.add("certificate", state, seen);
        }
    }
}

fn expiry(end: Timestamp, now: Timestamp, days: u32) -> (State, String) {
    let left = end.duration_since(now).as_hours();
    let state = match left {
        ..=0 => State::Fail,
        left if left < i64::from(days) * 24 => State::Warn,
        _ => State::Ok,
    };
    let word = if end > now { "ends" } else { "ended" };
    (state, format!("{word} {}", time(end)))
}

/// A lock must hold for so long from before its object was written.
fn locked(lock: ObjectLock, begun: Timestamp, wanted: Duration) -> (State, String) {
    let ObjectLock { mode, until } = lock;
    let length = Duration::try_from(until.duration_since(begun)).unwrap_or_default();
    match mode {
        _ if length + CLOCKS_APART_MAX < wanted => {
            (State::Fail, format!("what is written can be deleted after {}", time(until)))
        }
        LockMode::Governance => {
            let seen = format!("locked until {}, but for whoever may bypass governance", time(until));
            (if wanted.is_zero() { State::Ok } else { State::Warn }, seen)
        }
        LockMode::Compliance => (State::Ok, format!("nobody can delete before {} what is written now", time(until))),
    }
}

async fn within<T>(what: impl Future<Output = T>) -> Result<T, String> {
    timeout(ANSWER_TIME_MAX, what).await.map_err(|_| format!("no answer in {} s", ANSWER_TIME_MAX.as_secs()))
}

fn flat<T>(done: Result<object_store::Result<T>, String>) -> Result<T, String> {
    done.and_then(|done| done.map_err(|error| chain(&error)))
}

impl Answer for Health {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[("CHECK", Align::Left), ("STATE", Align::Left), ("SEEN", Align::Left)]);
        for Check { what, state, seen } in &self.checks {
            let state = match state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            table.row([(*what).to_owned(), state.to_owned(), seen.clone()]);
        }
        table.write(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_soon_is_told_before_it_does() {
        let now: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        let states = ["2026-11-21T00:00:00Z", "2026-11-25T00:00:00Z", "2027-11-25T00:00:00Z"]
            .map(|end| expiry(end.parse().unwrap(), now, 14).0);
        assert_eq!(states, [State::Fail, State::Warn, State::Ok]);
    }

    #[test]
    fn a_lock_that_is_too_short_or_can_be_lifted_is_told() {
        let begun: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        let lock = |mode, until: &str| ObjectLock { mode, until: until.parse().unwrap() };
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        let cases = [
            (lock(LockMode::Compliance, "2026-12-21T00:00:00Z"), month, State::Fail),
            (lock(LockMode::Compliance, "2026-12-22T00:00:00Z"), month, State::Ok),
            (lock(LockMode::Governance, "2026-12-21T00:00:00Z"), month, State::Fail),
            (lock(LockMode::Governance, "2027-12-22T00:00:00Z"), month, State::Warn),
            (lock(LockMode::Governance, "2026-11-23T00:00:00Z"), Duration::ZERO, State::Ok),
            (lock(LockMode::Compliance, "2026-11-21T00:00:00Z"), month, State::Fail),
        ];
        for (lock, wanted, expect) in cases {
            assert_eq!(locked(lock, begun, wanted).0, expect, "{lock:?}");
        }
    }
}
