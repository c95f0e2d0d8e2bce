//! Telling people: what failed, what was missed, what has recovered. Told by commands that the site names; what cannot be told now is tried again, in order.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::runs::{Ending, Run};

/// Something that people want to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notice {
    /// What kind of news it is.
    pub occasion: Occasion,
    /// In one line.
    pub subject: String,
    /// The run that it is about.
    pub run: Run,
}

/// Kinds of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A run left no restore point, or one that did not prove.
    Failed,
    /// A run could not be begun in time.
    Missed,
    /// A run left a restore point, and the one before had not.
    Recovered,
}

impl Notice {
    /// The news of a run that has ended; `before` is how the one before it ended. Most ends are no news.
    #[must_use]
    pub fn of(run: &Run, before: Option<Ending>) -> Option<Self> {
        let ended = run.ended.as_ref()?;
        let was_bad = before.is_some_and(|before| occasion(before).is_some());
        let occasion = match occasion(ended.ending) {
            Some(occasion) => occasion,
            None if ended.ending.is_good() && was_bad => Occasion::Recovered,
            None => return None,
        };
        let because = ended.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let subject = format!("{} on {}, due {}: {}{because}", run.plan, run.host, run.due, ended.ending);
        Some(Self { occasion, subject, run: run.clone() })
    }
}

fn occasion(ending: Ending) -> Option<Occasion> {
    match ending {
        Ending::Failed | Ending::Unproven => Some(Occasion::Failed),
        Ending::Missed => Some(Occasion::Missed),
        Ending::Done | Ending::Partial | Ending::Cancelled | Ending::Skipped | Ending::Superseded => None,
    }
}

/// A command that is told: it gets the notice as JSON on its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The program and its arguments, started without a shell.
    pub command: Vec<String>,
    /// What it is told of.
    pub on: Vec<Occasion>,
}

/// Where notices go.
#[derive(Debug, Clone)]
pub struct Notices(mpsc::Sender<Notice>);

/// More news than anybody reads; further ones are in the journal, and in the log.
const WAITING_MAX: usize = 10_000;
/// A mail server is back by then.
const TRIES_MAX: u32 = 10;
const AGAIN_FIRST: Duration = Duration::from_secs(5);
const COMMAND_SECONDS_MAX: Duration = Duration::from_secs(60);

impl Notices {
    /// Where notices go, and what sends them on until this is dropped.
    pub fn new(ways: tokio::sync::watch::Receiver<Arc<[Way]>>) -> (Self, impl Future<Output = ()>) {
        let (send, mut receive) = mpsc::channel::<Notice>(WAITING_MAX);
        let sending = async move {
            while let Some(notice) = receive.recv().await {
                let ways: Arc<[Way]> = Arc::clone(&ways.borrow());
                for way in ways.iter().filter(|way| way.on.contains(&notice.occasion)) {
                    insist(way, &notice).await;
                }
            }
        };
        (Self(send), sending)
    }

    /// Tells, if there is something to tell. Never waits.
    pub fn tell(&self, notice: Option<Notice>) {
        let Some(notice) = notice else { return };
        tracing::warn!(subject = notice.subject, "notice");
        if let Err(mpsc::error::TrySendError::Full(notice)) = self.0.try_send(notice) {
            tracing::error!(subject = notice.subject, "too many notices wait to be sent: this one is not");
        }
    }
}

async fn insist(way: &Way, notice: &Notice) {
    let mut again = AGAIN_FIRST;
    for attempt in 1..=TRIES_MAX {
        match send(way, notice).await {
            Ok(()) => return,
            Err(why) => tracing::warn!(command = ?way.command, attempt, why, "a notice could not be sent"),
        }
        tokio::time::sleep(again).await;
        again *= 2;
    }
    tracing::error!(subject = notice.subject, "a notice was given up");
}

async fn send(way: &Way, notice: &Notice) -> Result<(), String> {
    let (program, arguments) = way.command.split_first().ok_or("the command is empty")?;
    let child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| format!("{program} could not be started: {error}"))?;
    // BUG if it fails: a notice serialises.
    let text = serde_json::to_vec(notice).expect("a notice serialises");
    let run = async {
        if let Some(mut input) = child.stdin.take() {
            // A command that does not read its input may still have done its work.
            let _ = input.write_all(&text).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(COMMAND_SECONDS_MAX, run).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("{program} did not end within {} s", COMMAND_SECONDS_MAX.as_secs())),
    }
}
