//! What the suites share: a place of their own on a real disk, the program as its users call it, disks that fill up or break, trees to back up,
//! an independent opinion on whether two trees are the same, and real hosts with an operator to drive them.
//!
//! Nothing here knows the storage format or calls the product's code: whatever these suites claim, they claim of the `strongroom` binary.
//! Deliberately absent: sleeps in place of a state, fixed paths, shared state between tests.

pub mod client;
pub mod compare;
pub mod disk;
pub mod hostile;
pub mod lab;
pub mod operator;
pub mod program;
pub mod random;
pub mod record;
pub mod s3;
pub mod sandbox;
pub mod skip;
pub mod stored;
pub mod tree;
pub mod wait;

pub use client::Client;
pub use lab::Lab;
pub use program::Outcome;
pub use sandbox::Sandbox;
