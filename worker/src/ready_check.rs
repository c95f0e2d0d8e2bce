//! Checks that this program makes itself: counts of files and their newest time, answers of databases, units, ports, web servers.
//!
//! A plan's typed check is the command line of one of them, and both programs have them, so that a person can type the same. Each looks once and changes nothing. What
//! could not be looked at does not agree, with the reason: that nobody could look is never taken for good.

mod answer;
mod files;
mod query;
mod service;
mod web;

use std::fmt;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use strongroom_plans::TimeSpan;
use strongroom_repository::text::escape;

use answer::AnswerArgs;
use query::{PostgresqlArgs, SqliteArgs};
use service::{PortArgs, UnitArgs};
use web::HttpArgs;

/// The variable by which every check is told the time of the restore point.
pub const TIME: &str = "STRONGROOM_TIME";

/// Look at files, databases and services, and compare with what is expected
#[derive(Debug, Subcommand)]
#[command(after_help = "\
What a typed check of a plan runs ({ files: srv/www, at-least: 100 }). On a host the same is to be had as \
'strongroom-worker check'.

Exit codes:
  0  what was found agrees with what is expected
  1  it does not, or could not be looked at
  2  the command line is wrong")]
pub enum ReadyCheck {
    /// Count the regular files below a path; links are not followed
    #[command(after_help = "\
Examples:
  strongroom check files srv/www --at-least 100
  strongroom check files var/spool --at-most 50 --at-least 1")]
    Files(FilesArgs),
    /// See how old the newest file below a path is; links are not followed
    #[command(after_help = "\
By the time of its content (mtime), compared with the time of the restore point. That is in STRONGROOM_TIME where a \
plan's check runs.

Examples:
  strongroom check newest srv/ledger --within 1d
  strongroom check newest srv/ledger --within 6h --time 2026-11-20T03:00:00Z")]
    Newest(NewestArgs),
    /// Ask a SQLite file, by sqlite3 and only reading
    #[command(after_help = "\
A file beside which there is no journal is read as it stands, and nothing is made beside it.

Examples:
  strongroom check sqlite srv/billing.db --query 'select count(*) from bookings' --at-least 1000
  strongroom check sqlite srv/billing.db --query 'select max(day) from bookings' --within 2d")]
    Sqlite(SqliteArgs),
    /// Ask a database of PostgreSQL, by psql
    #[command(after_help = "\
Examples:
  strongroom check postgresql billing --as postgres --query 'select count(*) from bookings' --at-least 1000
  strongroom check postgresql 'host=db1 user=probe dbname=billing' --query 'show transaction_read_only' --prints off")]
    Postgresql(PostgresqlArgs),
    /// See whether a unit of systemd is active
    #[command(after_help = "\
Examples:
  strongroom check unit billing.service")]
    Unit(UnitArgs),
    /// See whether a TCP port takes a connection
    #[command(after_help = "\
Examples:
  strongroom check port 5432
  strongroom check port db1:5432")]
    Port(PortArgs),
    /// See what a web server answers; redirections are not followed
    #[command(after_help = "\
Examples:
  strongroom check http http://127.0.0.1:8080/health
  strongroom check http https://portal.example.org/ --status 302
  strongroom check http http://127.0.0.1:8080/health --contains '\"db\":\"up\"'")]
    Http(HttpArgs),
}

/// What was found, and what was to be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Whether the one is the other.
    pub agrees: bool,
    /// In a sentence's words.
    pub actual: String,
    /// The same.
    pub expected: String,
}

#[derive(Debug, Args)]
pub struct FilesArgs {
    /// A directory, or a file
    #[arg(allow_hyphen_values = true)]
    path: String,
    #[command(flatten)]
    amount: AmountArgs,
}

#[derive(Debug, Args)]
pub struct NewestArgs {
    /// A directory, or a file
    #[arg(allow_hyphen_values = true)]
    path: String,
    /// How old it may be, such as 6h or 1d
    #[arg(long, value_name = "SPAN")]
    within: TimeSpan,
    #[command(flatten)]
    time: TimeArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct AmountArgs {
    /// No fewer
    #[arg(long, value_name = "N")]
    at_least: Option<u32>,
    /// No more
    #[arg(long, value_name = "N")]
    at_most: Option<u32>,
}

#[derive(Debug, Args)]
struct TimeArgs {
    /// What ages are reckoned from: the time of the restore point [default: now]
    #[arg(long, value_name = "TIME", env = TIME, hide_env_values = true)]
    time: Option<Timestamp>,
}

impl ReadyCheck {
    /// Looks. Where no other time is said, ages are reckoned from `now`.
    #[must_use]
    pub fn look(&self, now: Timestamp) -> Finding {
        match self {
            Self::Files(args) => files::count(&args.path, &args.amount.as_amount()),
            Self::Newest(args) => files::newest(&args.path, &Recent { within: args.within, of: args.time.or(now) }),
            Self::Sqlite(args) => args.look(now),
            Self::Postgresql(args) => args.look(now),
            Self::Unit(args) => args.look(),
            Self::Port(args) => args.look(),
            Self::Http(args) => args.look(),
        }
    }
}

impl Finding {
    fn of(agrees: bool, actual: impl Into<String>, expected: impl ToString) -> Self {
        Self { agrees, actual: actual.into(), expected: expected.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; expected {}", self.actual, self.expected)
    }
}

impl AmountArgs {
    fn as_amount(&self) -> Amount {
        Amount { at_least: self.at_least, at_most: self.at_most }
    }
}

impl TimeArgs {
    fn or(&self, now: Timestamp) -> Timestamp {
        self.time.unwrap_or(now)
    }
}

/// What a program said, in one line.
fn one_line(said: &[u8]) -> String {
    let lines = said.split(|byte| *byte == b'\n').map(|line| escape(line.trim_ascii()));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// How many something may be.
#[derive(Debug, Clone, Copy)]
struct Amount {
    at_least: Option<u32>,
    at_most: Option<u32>,
}

impl Amount {
    /// Sums of databases have fractions.
    fn holds(&self, number: f64) -> bool {
        self.at_least.is_none_or(|least| number >= least.into())
            && self.at_most.is_none_or(|most| number <= most.into())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) => write!(out, "at least {least} and at most {most}"),
            (Some(least), None) => write!(out, "at least {least}"),
            (None, Some(most)) => write!(out, "at most {most}"),
            (None, None) => out.write_str("any number"),
        }
    }
}

/// How old something may be at a time. What is younger than that time is not too old.
#[derive(Debug, Clone, Copy)]
struct Recent {
    within: TimeSpan,
    of: Timestamp,
}

impl Recent {
    fn holds(&self, time: Timestamp) -> bool {
        let oldest = i64::try_from(self.within.seconds()).ok().map(SignedDuration::from_secs);
        // What is allowed to be older than time itself may be of any age.
        oldest.and_then(|within| self.of.checked_sub(within).ok()).is_none_or(|oldest| time >= oldest)
    }
}

impl fmt::Display for Recent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no more than {} before {:.0}", self.within, self.of)
    }
}

#[cfg(test)]
mod tests;
