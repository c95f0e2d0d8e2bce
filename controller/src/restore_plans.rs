//! Restores of several systems by a plan of the site: which requests belong together, how far they are, and what begins when.
//!
//! Each system is a request of its own, as any other restore that needs agreement: with its number, its class, its hash and its record. What ties them is the [`PlanPart`]
//! in their scope: the requests of one restore of a plan name the same plan and the same time.
//!
//! Pure. Deliberately absent: who does it. Whoever has a plan run stays with it, as with one restore; cut off, the same command goes on from what the journal says.
//!
//! [`PlanPart`]: crate::restores::PlanPart

mod course;
mod standing;

pub use course::{Course, LeftOut};
pub use standing::{PlanStanding, Stands, SystemStanding, unmet_needs};
