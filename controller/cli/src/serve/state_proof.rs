//! Whether the controller could begin again from a repository, on a thread of its own: what `recover --dry-run` does, with the key that the controller has.

use strongroom_controller::state_proofs::{ProvenState, StateProofOrder};

use super::drill;
use super::runner::Runner;
use crate::failure::{Cause, Failure};
use crate::recover;

impl Runner<'_> {
    /// Does it, and reports the end.
    pub(super) fn prove_state(&self, order: StateProofOrder) {
        let end = self.do_prove_state(&order);
        // The controller is about to end: it is due again at the next start.
        if end.is_ok() || self.context.signals.received().is_none() {
            order.end(end.map_err(|failure| failure.to_string()));
        }
    }

    fn do_prove_state(&self, order: &StateProofOrder) -> Result<ProvenState, Failure> {
        let Some(opened) = self.repositories.get(&order.repository) else {
            let why = Cause::Usage("the repository is not open".into());
            return Err(Failure::new("begin again from the controller's own state", why));
        };
        self.context.wait("read what hosts committed", opened.repository.refresh())?;
        let scratch = drill::scratch(&self.context.state_dir()?, &format!("own-state-{}", order.repository));
        recover::rehearse(opened, order.site.as_str(), scratch, self.context)
    }
}
