//! What was restored is put where it is used: only what was verified, once, and at the place that was agreed to with the restore.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Moment, Refusal, Request, Standing};
use crate::journal::Event;
use crate::restores::RestoreEnding;

/// Somebody had it put in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Promotion {
    /// Who.
    pub by: crate::journal::Who,
    /// When it was there.
    pub at: Timestamp,
    /// Where.
    pub to: String,
    /// Where what was there before lies now, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<String>,
}

impl Request {
    /// Beginning it. `to` is the place as it is asked for now.
    pub fn promote(&self, moment: Moment<'_>, to: &str) -> Result<Event, Refusal> {
        if let Some(before) = &self.promotion {
            let what = format!("was put at {} on {}: once is enough", before.to, before.at);
            return Err(Refusal::Over(self.number, what));
        }
        match self.application.scope.restore.promote_to.as_deref() {
            Some(agreed) if agreed == to => {}
            Some(agreed) => return Err(self.unagreed(to, &format!("to '{agreed}'"))),
            None => return Err(self.unagreed(to, "to no place")),
        }
        let Some(begun) = self.begun.last().filter(|_| self.is_verified()) else {
            return Err(Refusal::NotVerified(self.number));
        };
        let (restore, by, to) = (begun.restore.clone(), moment.by.clone(), to.to_owned());
        Ok(Event::RestorePromoting { request: self.number, restore, by, to })
    }

    /// Whether it is verified, agreed to, and not there yet.
    #[must_use]
    pub fn may_still_be_promoted(&self) -> bool {
        self.is_verified() && self.promotion.is_none() && self.application.scope.restore.promote_to.is_some()
    }

    /// Whether everything came back as it was, and no check said otherwise.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        matches!(self.standing, Standing::Finished { ending: RestoreEnding::Restored, .. })
    }

    fn unagreed(&self, asked: &str, agreed: &str) -> Refusal {
        Refusal::OtherPlace { request: self.number, asked: asked.to_owned(), agreed: agreed.to_owned() }
    }
}
