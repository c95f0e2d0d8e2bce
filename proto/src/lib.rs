//! The wire between controller and worker: `.proto` files, generated code, conversions, and nothing else.
//!
//! Deliberately absent, today, is all of it: one machine needs no wire, so the crate only holds its place in the order of the crates until hosts are reached over SSH.
