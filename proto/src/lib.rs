//! The wire between controller, worker and operator: the schemas of `proto/schema`, the code generated from them, conversions, and nothing else.
//!
//! * [`worker`]: what the controller asks of a worker. * [`gateway`]: what a worker asks of the controller, on a second channel. * [`operator`]: what the command line asks
//!   of a running controller.
//!
//! The generated code is kept beside the schemas, so that no build needs a compiler for them; `tests/generated.rs` makes it anew and compares.
//!
//! Deliberately absent: any decision. What a message means is the business of who gets it; here it only becomes bytes and comes back.

mod convert;

/// The controller's calls of a worker.
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated: not every lint finds something in every release of the generator"
)]
pub mod worker {
    include!("generated/strongroom.worker.v1.rs");
}

/// A worker's calls of the gateway.
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated: not every lint finds something in every release of the generator"
)]
pub mod gateway {
    include!("generated/strongroom.gateway.v1.rs");
}

/// The command line's calls of a controller.
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated: not every lint finds something in every release of the generator"
)]
pub mod operator {
    include!("generated/strongroom.operator.v1.rs");
}

/// The newest protocol that this release speaks. It grows with each change that an older peer would misunderstand.
pub const PROTOCOL_NEWEST: u32 = 1;
/// The oldest protocol that this release speaks: that of the release before.
pub const PROTOCOL_OLDEST: u32 = 1;

/// What `strongroom-worker connect` prints before the first byte of the connection, so that noise before it can be told from it.
pub const GREETING: &str = "strongroom-worker 1\n";

/// What a worker says in its hello that it can do. One that does not know of something would not see that a job asks for it.
pub mod feature {
    /// What a command prints becomes a file of the snapshot.
    pub const COMMAND_SOURCE: &str = "command-source";
    /// It opens a store itself where a job says so.
    pub const DIRECT_STORE: &str = "direct-store";
    /// It stores through the controller.
    pub const GATEWAY: &str = "gateway";
    /// Commands before and after a source.
    pub const HOOKS: &str = "hooks";
    /// Bounds for what a job takes of its host and line.
    pub const LIMITS: &str = "limits";
    /// It can halt a job.
    pub const PAUSE: &str = "pause";
    /// It restores with keys that it is lent.
    pub const RESTORE: &str = "restore";
    /// It puts what it restored at the place where that is used.
    pub const PROMOTE: &str = "promote";
    /// Commands before and after a restore, and probes of what came of it.
    pub const RESTORE_AROUND: &str = "restore-around";
}

/// How `strongroom-worker connect` begins its refusal, on standard error, and the code that it ends with: that a key can do nothing else is proven by hearing this.
pub const REFUSAL: &str = "strongroom-worker: refused: ";
/// The exit code of a refusal. Of a subsystem, sshd passes on nothing else.
pub const REFUSAL_EXIT: u8 = 2;

/// The protocol that two peers speak with each other: the newest that both know.
pub fn common_protocol(theirs: std::ops::RangeInclusive<u32>) -> Option<u32> {
    let newest = PROTOCOL_NEWEST.min(*theirs.end());
    (newest >= PROTOCOL_OLDEST && newest >= *theirs.start()).then_some(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_a_release_apart_find_a_protocol() {
        assert_eq!(common_protocol(PROTOCOL_OLDEST..=PROTOCOL_NEWEST), Some(PROTOCOL_NEWEST));
        assert_eq!(common_protocol(PROTOCOL_NEWEST..=PROTOCOL_NEWEST + 1), Some(PROTOCOL_NEWEST));
        assert_eq!(common_protocol(PROTOCOL_NEWEST + 1..=PROTOCOL_NEWEST + 2), None);
    }
}
