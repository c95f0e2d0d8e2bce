//! The engine as its users see it, in one program: each one more would be linked with all that the crate needs.

mod bit_rot;
mod common;
mod costs;
mod faults;
mod golden;
mod groups;
mod loans;
mod names;
mod parsers;
mod prune;
mod round_trip;
mod taken_up;
