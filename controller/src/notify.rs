//! Telling people: what failed, what was missed, what is overdue, what has recovered.
//!
//! A notice is written into the outbox in the transaction of the entry that is its cause, so that nothing that happened is forgotten, whatever is killed in between
//! ([`crate::journal`]). From there `sender` takes it: to each way that the site names, again and again until it was taken or given up. What a way does is `command`, `webhook` or
//! `mail`. A notice may arrive twice, never knowingly: its id tells.
//!
//! The dead man's switch (`dead_man`) is the other way round: it tells as long as all is well.

mod command;
mod dead_man;
mod http;
mod mail;
mod message;
mod secret;
mod sender;
mod webhook;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_plans::{Notification, Occasion as Wanted, Site, Way};

pub use dead_man::keep_pinging;
pub use message::Message;
pub use sender::{Pace, Sender};

use crate::drill_report::DrillEnding;
use crate::journal::{Entry, Event};
use crate::maintenance::MaintenanceEnding;
use crate::requests::Request;
use crate::runs::{Ending, Run};
use crate::status::StateProof;

/// Something that people want to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notice {
    /// The same whenever and by whatever way it arrives.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// What kind of news it is.
    pub occasion: Occasion,
    /// In one line.
    pub subject: String,
    /// The plan that it is about; `repo maintain` if it is about a repository's maintenance.
    pub plan: String,
    /// The host that it is about, or the repository.
    pub host: String,
    /// The run that it is about, if it is one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

/// Kinds of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A run left no restore point, or one that did not prove.
    Failed,
    /// A run could not be begun in time.
    Missed,
    /// A plan has no restore point on a host that is as new as it should be.
    Overdue,
    /// A run left a restore point, and the one before had not; or what was overdue is no more.
    Recovered,
    /// Somebody on call has data restored with the agreement of one other; or that was looked at afterwards. Every way is told, whatever it wants.
    BreakGlass,
    /// Somebody wants to know whether the way is open.
    Test,
}

impl Occasion {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Overdue => "overdue",
            Self::Recovered => "recovered",
            Self::BreakGlass => "break-glass",
            Self::Test => "test",
        }
    }

    /// Whether it is among what somebody wants to be told.
    #[must_use]
    pub fn is_wanted(self, wanted: &[Wanted]) -> bool {
        let of = |wanted: &Wanted| match wanted {
            Wanted::Failed => Self::Failed,
            Wanted::Missed => Self::Missed,
            Wanted::Overdue => Self::Overdue,
            Wanted::Recovered => Self::Recovered,
        };
        matches!(self, Self::Test | Self::BreakGlass) || wanted.iter().any(|wanted| of(wanted) == self)
    }

    /// What the end of a run is, by itself; most ends are no news.
    fn of(ending: Ending) -> Option<Self> {
        match ending {
            Ending::Failed | Ending::Unproven => Some(Self::Failed),
            Ending::Missed => Some(Self::Missed),
            Ending::Done | Ending::Partial | Ending::Cancelled | Ending::Skipped | Ending::Superseded => None,
        }
    }
}

impl Notice {
    /// The news of a run that has ended; `before` is how the one before it ended. While the plan is overdue on the host, a good run alone is no recovery: its end is told then.
    pub(crate) fn of_run(id: String, run: &Run, before: Option<Ending>, is_overdue: bool) -> Option<Self> {
        let ended = run.ended.as_ref()?;
        let was_bad = before.is_some_and(|before| Occasion::of(before).is_some());
        let occasion = match Occasion::of(ended.ending) {
            Some(occasion) => occasion,
            None if ended.ending.is_good() && was_bad && !is_overdue => Occasion::Recovered,
            None => return None,
        };
        let because = ended.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let due = run.due.strftime("%Y-%m-%d %H:%M UTC");
        let subject = format!("{} on {}, due {due}: {}{because}", run.plan, run.host, ended.ending);
        let (plan, host, run) = (run.plan.clone(), run.host.clone(), Some(run.clone()));
        Some(Self { id, time: ended.at, occasion, subject, plan, host, run })
    }
}

/// What stands as the plan of a notice that is about a repository's maintenance. No plan has this name.
const MAINTENANCE: &str = "repo maintain";

impl Notice {
    /// The news of a maintenance that has ended; `before` is how the one before it ended.
    pub(crate) fn of_maintenance(
        id: String,
        time: Timestamp,
        repository: &str,
        (ending, reason): (MaintenanceEnding, Option<&str>),
        before: Option<MaintenanceEnding>,
    ) -> Option<Self> {
        let occasion = match ending {
            MaintenanceEnding::Done if before.is_none_or(|before| before == MaintenanceEnding::Done) => return None,
            MaintenanceEnding::Done => Occasion::Recovered,
            _ => Occasion::Failed,
        };
        let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let subject = format!("the maintenance of the repository {repository}: {ending}{because}");
        Some(Self { id, time, occasion, subject, plan: MAINTENANCE.into(), host: repository.into(), run: None })
    }
}

/// What stands as the plan of a notice that is about the controller's own state. No plan has this name.
const OWN_STATE: &str = "recover --dry-run";

impl Notice {
    /// The news of an attempt to begin again from a repository; `before` is the one before it.
    pub(crate) fn of_state_proof(
        id: String,
        time: Timestamp,
        repository: &str,
        reason: Option<&str>,
        before: Option<&StateProof>,
    ) -> Option<Self> {
        let was_bad = before.is_some_and(|before| before.proven.is_none());
        let (occasion, how) = match reason {
            Some(reason) => (Occasion::Failed, format!("could not: {reason}")),
            None if was_bad => (Occasion::Recovered, "can".to_owned()),
            None => return None,
        };
        let subject = format!("beginning again from the controller's state in {repository}: {how}");
        Some(Self { id, time, occasion, subject, plan: OWN_STATE.into(), host: repository.into(), run: None })
    }
}

impl Notice {
    /// The news of a drill that has ended; `before` is how the one before it ended. What was interrupted is done again, and is no news.
    pub(crate) fn of_drill(
        id: String,
        time: Timestamp,
        (plan, host): (&str, &str),
        (ending, reason): (DrillEnding, Option<&str>),
        before: Option<DrillEnding>,
    ) -> Option<Self> {
        let occasion = match ending {
            DrillEnding::Interrupted => return None,
            DrillEnding::Proven if before.is_none_or(|before| before == DrillEnding::Proven) => return None,
            DrillEnding::Proven => Occasion::Recovered,
            DrillEnding::Unproven | DrillEnding::Failed => Occasion::Failed,
        };
        let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let subject = format!("the drill of {plan} on {host}: {ending}{because}");
        Some(Self { id, time, occasion, subject, plan: plan.into(), host: host.into(), run: None })
    }
}

/// What stands as the plan of a notice that is about a restore. No plan has this name.
const RESTORE: &str = "restore request";

impl Notice {
    /// The news of a restore by break-glass: that it was asked for, begun, and looked at afterwards. All others are their people's business.
    pub(crate) fn of_break_glass(id: String, entry: &Entry, request: &Request) -> Option<Self> {
        let application = &request.application;
        let scope = &application.scope.restore;
        let what = match &entry.event {
            Event::RestoreRequested { by, .. } => format!("{by} asks for it"),
            Event::RestoreStarted { by, .. } => format!("{by} has it run"),
            Event::RestoreClosed { by, note, .. } => format!("{by} has looked at it: {note}"),
            _ => return None,
        };
        let subject = format!(
            "{}, a restore by break-glass from {} to {}: {what}; its reason: {}",
            request.number, scope.source, scope.host, application.reason
        );
        let (time, plan, host) = (entry.time, RESTORE.into(), scope.host.clone());
        let notice = Self { id, time, occasion: Occasion::BreakGlass, subject, plan, host, run: None };
        application.scope.break_glass.then_some(notice)
    }
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tested {
    /// The way's name.
    pub way: String,
    /// What it does.
    pub by: String,
    /// Whether something was sent.
    pub sent: bool,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Tested {
    /// A way by which nothing was sent.
    pub(crate) fn not_sent(way: &Notification) -> Self {
        Self { way: way.name().to_string(), by: means(way), sent: false, fault: None }
    }
}

/// Sends a test notice by each of the ways, all at once.
pub async fn test(site: &Site, ways: Vec<Notification>, now: Timestamp) -> Vec<Tested> {
    let notice = Notice {
        id: format!("test-{}", now.as_second()),
        time: now,
        occasion: Occasion::Test,
        subject: "a test: nothing happened, and this way is open".into(),
        plan: String::new(),
        host: String::new(),
        run: None,
    };
    let message = Message::of(site.name().as_str(), vec![notice]);
    let one = async |way: Notification| {
        let fault = send(&way, &message).await.err();
        Tested { sent: fault.is_none(), fault, ..Tested::not_sent(&way) }
    };
    futures::future::join_all(ways.into_iter().map(one)).await
}

/// What a way does, for people; no secret.
fn means(way: &Notification) -> String {
    match way.way() {
        Way::Command(command) => format!("command {}", command.program()),
        Way::Webhook(hook) => format!("webhook {}", webhook::shown(hook)),
        Way::Smtp(mail) => format!("mail by {}", mail.host()),
    }
}

/// A server that takes longer has hung, and nobody waits for it.
const SENDING_MAX: Duration = Duration::from_secs(60);

/// Sends a message by a way; an error says why it was not taken.
async fn send(way: &Notification, message: &Message) -> Result<(), String> {
    let sending = async {
        match way.way() {
            Way::Command(command) => command::send(command, message).await,
            Way::Webhook(hook) => webhook::send(hook, message).await,
            Way::Smtp(mail) => mail::send(mail, message).await,
        }
    };
    let late = |_| format!("it was not done within {} s", SENDING_MAX.as_secs());
    tokio::time::timeout(SENDING_MAX, sending).await.map_err(late)?
}
