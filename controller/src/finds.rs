//! Searches in all restore points that people have the controller do: it has the keys that they have not.

use strongroom_proto::operator::FindRequest;
use tokio::sync::oneshot;

use crate::operator::Refused;
use crate::permissions::Sight;

/// What somebody looks for, and where the answer goes.
#[derive(Debug)]
pub struct FindAsked {
    /// What.
    pub request: FindRequest,
    /// Restore points of these hosts only.
    pub sight: Sight,
    /// A document of the shape that `strongroom find --json` prints.
    pub reply: oneshot::Sender<Result<String, Refused>>,
}
