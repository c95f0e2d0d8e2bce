//! Work that takes minutes to hours and belongs to no run: the loop says when it is due, and others do it, each piece on a thread of its own.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::drill_report::DrillOrder;
use crate::maintenance::MaintenanceOrder;
use crate::own_state::StateOrder;
use crate::state_proofs::StateProofOrder;

/// Where the orders go.
#[derive(Debug)]
pub struct Chores {
    /// To maintain a repository.
    pub maintenance: UnboundedSender<MaintenanceOrder>,
    /// To store the controller's own state.
    pub own_state: UnboundedSender<StateOrder>,
    /// To try to begin again from that state.
    pub state_proofs: UnboundedSender<StateProofOrder>,
    /// To drill a restore point.
    pub drills: UnboundedSender<DrillOrder>,
}

/// Where they come out.
#[derive(Debug)]
pub struct ChoresDue {
    /// See [`Chores::maintenance`].
    pub maintenance: UnboundedReceiver<MaintenanceOrder>,
    /// See [`Chores::own_state`].
    pub own_state: UnboundedReceiver<StateOrder>,
    /// See [`Chores::state_proofs`].
    pub state_proofs: UnboundedReceiver<StateProofOrder>,
    /// See [`Chores::drills`].
    pub drills: UnboundedReceiver<DrillOrder>,
}

impl Chores {
    /// Both ends.
    #[must_use]
    pub fn channels() -> (Self, ChoresDue) {
        let (maintenance, maintenance_due) = unbounded_channel();
        let (own_state, own_state_due) = unbounded_channel();
        let (state_proofs, state_proofs_due) = unbounded_channel();
        let (drills, drills_due) = unbounded_channel();
        let due = ChoresDue {
            maintenance: maintenance_due,
            own_state: own_state_due,
            state_proofs: state_proofs_due,
            drills: drills_due,
        };
        (Self { maintenance, own_state, state_proofs, drills }, due)
    }
}
