//! What a probe has found, for this process and in a file for later ones.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::cache;
use crate::store::{Commits, blocking};

/// A store that keeps the promise is asked again after this time: servers are exchanged and updated.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// One that does not, or that could not be asked, so soon: the answer costs it speed, and may have been a fault of the moment.
const BROKEN: SignedDuration = SignedDuration::from_hours(24);

/// The file's shape.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Remembered {
    commits: Commits,
    probed: Timestamp,
}

impl Remembered {
    fn is_fresh(&self) -> bool {
        let good_for = match self.commits {
            Commits::Race => KEPT,
            Commits::ControllerOnly => BROKEN,
        };
        // A time that is still to come is that of a clock which was wrong.
        let age = Timestamp::now().duration_since(self.probed);
        !age.is_negative() && age < good_for
    }
}

#[derive(Debug)]
pub(super) struct Verdict {
    file: Option<PathBuf>,
    remembered: Mutex<Option<Remembered>>,
}

impl Verdict {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file, remembered: Mutex::default() }
    }

    /// The last answer, while it is good.
    pub(super) async fn known(&self) -> Option<Commits> {
        let mut remembered = self.remembered.lock().await;
        if remembered.is_none()
            && let Some(file) = self.file.clone()
        {
            let read = blocking::run(move || Ok(cache::read(&file))).await;
            *remembered = read.ok().and_then(|read| serde_json::from_slice(&read.ok()?).ok());
        }
        remembered.filter(Remembered::is_fresh).map(|remembered| remembered.commits)
    }

    pub(super) async fn remember(&self, commits: Commits) {
        let new = Remembered { commits, probed: Timestamp::now() };
        *self.remembered.lock().await = Some(new);
        let Some(file) = self.file.clone() else { return };
        // BUG if it fails: the shape serialises.
        let json = serde_json::to_vec(&new).expect("a verdict serialises");
        let written = blocking::run(move || Ok(cache::write(&file, &json))).await;
        if let Ok(Err(error)) = written {
            tracing::debug!(%error, "what the probe found is not remembered");
        }
    }
}
