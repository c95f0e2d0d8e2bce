//! The scheduler without anything around it: tables of single rules, and whole quarters against an independent
//! calculation.

mod expected;
mod quarter;
mod rules;
mod world;
