//! The daemon from outside: its store over links that break, its jobs, its end by force, and its forced command.

#[expect(dead_code, reason = "the promises of stores that a host has no business with")]
#[path = "../../../../repository/tests/store_conformance/cases.rs"]
mod cases;

mod conformance;
mod connect;
mod cut;
mod cuts;
mod direct;
mod gateway;
mod host;
mod jobs;
mod kill;
mod restore;

use std::sync::Arc;

use object_store::ObjectStore;

type Store = Arc<dyn ObjectStore>;
