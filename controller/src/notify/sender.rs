//! From the outbox to people: each way and occasion is a lane of its own, with at most one message on its way.
//!
//! What waits in a lane goes out as one message. A lane whose way fails waits longer and longer, and holds up no other one. What nobody took within a stated time is given up, and
//! the journal says so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_plans::{Notification, Site};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Message, Notice, Occasion, send};
use crate::journal::{Journal, JournalError, Waiting};
use crate::run::Clock;

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For further notices, before the first message of a lane.
    pub gather: SignedDuration,
    /// Between two messages of a lane.
    pub apart: SignedDuration,
    /// After the first failure; twice as long after each further one.
    pub again_first: SignedDuration,
    /// But never longer.
    pub again_max: SignedDuration,
    /// After so long a notice is given up: what was not taken over a weekend is no news any more.
    pub give_up_after: SignedDuration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gather: SignedDuration::from_secs(10),
            apart: SignedDuration::from_mins(1),
            again_first: SignedDuration::from_secs(10),
            again_max: SignedDuration::from_mins(30),
            give_up_after: SignedDuration::from_hours(72),
        }
    }
}

/// Notices in one message: a list that is longer is nobody's to read, and a message has a size that servers take.
const TOGETHER_MAX: u32 = 500;
/// A clock that was set meanwhile is noticed after that.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// What is on its way when the controller is told to end has that long to arrive, so that it need not be sent twice.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Sends what is in the outbox.
#[derive(Debug)]
pub struct Sender<C> {
    journal: Arc<Journal>,
    clock: C,
    site: watch::Receiver<Arc<Site>>,
    pace: Pace,
    lanes: HashMap<LaneKey, Lane>,
    on_their_way: JoinSet<Arrival>,
}

/// A way, by its name, and an occasion.
type LaneKey = (String, Occasion);

#[derive(Debug, Default)]
struct Lane {
    is_busy: bool,
    failures: u32,
    /// Why the last message was not taken.
    fault: Option<String>,
    not_before: Option<Timestamp>,
}

/// What became of a message.
#[derive(Debug)]
struct Arrival {
    lane: LaneKey,
    numbers: Vec<i64>,
    result: Result<(), String>,
}

impl<C: Clock> Sender<C> {
    /// A sender for the ways of the site that is in force.
    pub fn new(journal: Arc<Journal>, clock: C, site: watch::Receiver<Arc<Site>>, pace: Pace) -> Self {
        Self { journal, clock, site, pace, lanes: HashMap::new(), on_their_way: JoinSet::new() }
    }

    /// Sends until `shutdown`, and then what is on its way already.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), JournalError> {
        tokio::pin!(shutdown);
        let journal = Arc::clone(&self.journal);
        loop {
            let next = self.look().await?;
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(arrived) = self.on_their_way.join_next() => self.arrived(arrived).await?,
                () = journal.news() => {}
                () = tokio::time::sleep(next) => {}
            }
        }
        let last = async {
            while let Some(arrived) = self.on_their_way.join_next().await {
                self.arrived(arrived).await?;
            }
            Ok(())
        };
        tokio::time::timeout(LAST_WORDS, last).await.unwrap_or(Ok(()))
    }

    /// Hands out what is new, gives up what is old, sends what is due; returns when to look again.
    async fn look(&mut self) -> Result<Duration, JournalError> {
        let site = Arc::clone(&self.site.borrow_and_update());
        self.journal.hand_out(site.notifications()).await?;
        let now = self.clock.now();
        let mut next = LOOK_AGAIN;
        for (way, occasion) in self.journal.lanes().await? {
            let waiting = self.journal.waiting(&way, occasion, TOGETHER_MAX).await?;
            let found = site.notifications().iter().find(|found| found.name().as_str() == way);
            let key = (way, occasion);
            let waiting = self.without_old(&key, found.is_some(), waiting, now).await?;
            if let (Some(way), Some(first)) = (found, waiting.first()) {
                let lane = self.lanes.entry(key.clone()).or_default();
                let gathered = first.notice.time.checked_add(self.pace.gather).unwrap_or(now);
                let at = lane.not_before.map_or(gathered, |not_before| not_before.max(gathered));
                match at.duration_since(now) {
                    _ if lane.is_busy => {}
                    wait if wait.is_positive() => next = next.min(wait.unsigned_abs()),
                    _ => self.send(key, way, site.name().as_str(), waiting),
                }
            }
        }
        Ok(next)
    }

    /// Gives up what has waited for too long, or for a way that the site no longer has.
    async fn without_old(
        &self,
        (way, _): &LaneKey,
        is_known: bool,
        waiting: Vec<Waiting>,
        now: Timestamp,
    ) -> Result<Vec<Waiting>, JournalError> {
        let is_old = |one: &Waiting| now.duration_since(one.notice.time) > self.pace.give_up_after;
        let (old, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|one| !is_known || is_old(one));
        let lane = self.lanes.iter().find(|((name, _), lane)| name == way && lane.fault.is_some());
        let fault = lane.and_then(|(_, lane)| lane.fault.as_deref()).unwrap_or("it was not taken in time");
        let why = if is_known { fault } else { "the site has no such way any more" };
        for one in &old {
            tracing::error!(way, subject = one.notice.subject, why, "a notice was given up");
        }
        self.journal.give_up(now, way, why, old).await?;
        Ok(waiting)
    }

    fn send(&mut self, lane: LaneKey, way: &Notification, site: &str, waiting: Vec<Waiting>) {
        let (numbers, notices): (Vec<i64>, Vec<Notice>) =
            waiting.into_iter().map(|one| (one.number, one.notice)).unzip();
        let message = Message::of(site, notices);
        let way = way.clone();
        self.lanes.entry(lane.clone()).or_default().is_busy = true;
        self.on_their_way.spawn(async move {
            let result = send(&way, &message).await;
            Arrival { lane, numbers, result }
        });
    }

    async fn arrived(&mut self, arrived: Result<Arrival, tokio::task::JoinError>) -> Result<(), JournalError> {
        // BUG if it panicked: sending takes whatever a server says. Nothing of it is lost: it waits in the outbox.
        let Arrival { lane: key, numbers, result } = arrived.expect("a task that sends does not panic");
        let now = self.clock.now();
        let lane = self.lanes.entry(key.clone()).or_default();
        lane.is_busy = false;
        let wait = match result {
            Ok(()) => {
                tracing::info!(way = key.0, occasion = key.1.word(), notices = numbers.len(), "told");
                (lane.failures, lane.fault) = (0, None);
                self.journal.sent(&numbers).await?;
                self.pace.apart
            }
            Err(why) => {
                tracing::warn!(way = key.0, why, "notices could not be sent");
                let doubled = self.pace.again_first * (1 << lane.failures.min(16));
                (lane.failures, lane.fault) = (lane.failures + 1, Some(why));
                doubled.min(self.pace.again_max)
            }
        };
        lane.not_before = now.checked_add(wait).ok();
        Ok(())
    }
}
