//! What the measurements are made on: corpora that are the same on every machine, and changes to them that are the same every time.
//!
//! Invariants: everything generated here follows from its seed alone, with arithmetic of our own, so a corpus made next year equals
//! the one behind an old figure; a corpus in the cache folder is complete (it is built beside its name and renamed), and
//! nobody writes into it, only into working copies.
//! Deliberately absent: anything that measures. That is the business of the `peers` program and of the micro benchmarks.

pub mod change;
pub mod corpus;
pub mod dice;
pub mod page;
pub mod text;
pub mod vocabulary;
