//! The dead man's switch: pings that go out as long as the controller's loop turns and its journal can be written.
//!
//! The loop says so by a beat, after it has written; a loop that is stuck sends none, and then nothing goes out. A ping is tried a few times, so that one lost on the way alarms nobody.

use std::sync::Arc;
use std::time::Duration;

use strongroom_plans::{Site, Url};
use tokio::sync::watch;

use super::http;

const TRIES_MAX: u32 = 3;
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Pings at each beat, where the site has a dead man's switch; ends with the loop.
pub async fn keep_pinging(mut beats: watch::Receiver<u64>, site: watch::Receiver<Arc<Site>>) {
    // Beats that come while a ping is on its way are one.
    while beats.changed().await.is_ok() {
        let url = site.borrow().dead_man().map(|dead_man| dead_man.url().clone());
        if let Some(url) = url {
            ping(&url).await;
        }
    }
}

async fn ping(url: &Url) {
    for attempt in 1..=TRIES_MAX {
        let called = match http::client(None) {
            Ok(client) => http::call(client.get(url.as_str())).await,
            Err(why) => Err(why),
        };
        match called {
            Ok(_) => return,
            Err(why) => tracing::warn!(%url, attempt, why, "the dead man's switch could not be pinged"),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}
