//! What a run says when it ends without a commit: that its session rests.
//!
//! A session that may be taken up stays open, and prunes wait for open sessions. But they need not wait for one at rest: whoever takes it up looks at the index anew, and what the
//! session itself has stored stays in any case, until the session is fenced. So what was forgotten comes free at once, also where the backup failed because the store was full.
//!
//! It is a word and no more. Where it could not be left, as by a process that was killed, prunes wait as for any session; where it could not be taken back, as by a host behind the
//! gateway, which deletes nothing, a prune may sweep what the run builds on, as if it slept: its commit finds that out, and the run that follows still has all that was stored.

use std::time::Duration;

use tokio::time::timeout;

use super::Session;
use crate::error::chain;
use crate::ids::SessionId;
use crate::object;
use crate::repository::{Repository, put_new, remove};

/// How long the word may take: whoever waits for the run's end has a reason to go.
const WORD_MAX: Duration = Duration::from_secs(10);

impl Session {
    /// Ends a run that does not commit. What it has stored can be taken up, and nothing else waits for it. Where that cannot be said, it is merely waited for.
    pub async fn rest(&self) {
        self.packer.stop().await;
        let (store, name) = (&*self.repository.store, object::rest_name(&self.id));
        match timeout(WORD_MAX, put_new(store, &name, self.repository.seal_rest(&self.id))).await {
            Ok(Ok(_)) => tracing::info!(session = %self.id, "rests until its next run"),
            Ok(Err(error)) => tracing::debug!(error = %chain(&error), "prunes wait for this session"),
            Err(_) => tracing::debug!("prunes wait for this session: its store does not answer"),
        }
    }
}

impl Repository {
    /// The session is at work again.
    pub(super) async fn wake(&self, session: &SessionId) {
        if let Err(error) = remove(&*self.store, &object::rest_name(session)).await {
            tracing::debug!(error = %chain(&error), "prunes do not wait for this session");
        }
    }
}
