//! The patience of one call.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status};

use super::Refusals;
use super::error::{GatewayError, Meaning, meaning};
use super::links::{Link, Links};

/// Before the second try on a link that lives: the gateway itself is in trouble.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Between later tries: soon enough after a store recovers.
const PAUSE_LONGEST: Duration = Duration::from_secs(10);

/// One call's tries.
#[derive(Debug)]
pub(super) struct Retry {
    links: Links,
    name: String,
    patience: Duration,
    /// Patience counts from here.
    since: Instant,
    /// Before the next try, unless that link is cut meanwhile.
    pause: Option<(Duration, Link)>,
    last: Option<Status>,
    given_up: watch::Receiver<bool>,
    refusals: Refusals,
}

impl Retry {
    pub(super) fn new(links: Links, name: &str, patience: Duration, given_up: watch::Receiver<bool>) -> Self {
        let (since, name) = (Instant::now(), name.to_owned());
        Self { links, name, patience, since, pause: None, last: None, given_up, refusals: Refusals::Final }
    }

    /// The same, with what a refusal means.
    pub(super) fn taking(self, refusals: Refusals) -> Self {
        Self { refusals, ..self }
    }

    /// A link for the next try.
    pub(super) async fn link(&mut self) -> object_store::Result<Link> {
        let deadline = self.since + self.patience;
        let (links, pause) = (self.links.clone(), self.pause.take());
        let usable = async move {
            if let Some((pause, link)) = pause {
                // A call can fail a moment before its link is seen to be cut.
                drop(timeout(pause, link.cut()).await);
            }
            links.usable().await
        };
        match self.unless_given_up(timeout_at(deadline, usable)).await? {
            Ok(link) if Instant::now() < deadline => Ok(link),
            _ => Err(self.fail(GatewayError::NoLink { waited: self.patience, source: self.last.clone() })),
        }
    }

    /// Waits for a call, but not after everything was given up.
    pub(super) async fn unless_given_up<T>(&self, call: impl Future<Output = T>) -> object_store::Result<T> {
        let mut given_up = self.given_up.clone();
        let over = async move {
            // Whoever can give up is gone, so nobody will.
            if given_up.wait_for(|given_up| *given_up).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = over => Err(self.fail(GatewayError::GivenUp)),
            done = call => Ok(done),
        }
    }

    /// After a failed try: an error if another one is of no use.
    pub(super) fn failed(&mut self, link: &Link, status: Status) -> object_store::Result<()> {
        let is_passing = self.refusals == Refusals::Passing && status.code() == Code::PermissionDenied;
        if !is_passing && meaning(&status, link.is_cut()) == Meaning::Final {
            return Err(self.fail(GatewayError::Answer(status)));
        }
        self.again(link, status);
        Ok(())
    }

    /// There will be another try whatever the status says.
    pub(super) fn again(&mut self, link: &Link, status: Status) {
        tracing::debug!(name = self.name, %status, "a call of the gateway failed and is tried again");
        // On a new link at once; on the same one after a while, and longer each time.
        if !link.is_cut() {
            let waited = self.since.elapsed();
            self.pause = Some((waited.clamp(PAUSE_FIRST, PAUSE_LONGEST), link.clone()));
        }
        self.last = Some(status);
    }

    /// The last try got further: patience begins anew.
    pub(super) fn progressed(&mut self) {
        self.since = Instant::now();
    }

    pub(super) fn fail(&self, error: GatewayError) -> object_store::Error {
        error.about(&self.name)
    }
}
