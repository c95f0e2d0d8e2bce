//! The controller's parts as its programs use them, in one program: each one more would be linked with all that the crate needs.

mod crashes;
mod gateway;
mod hosts;
mod journal;
mod lending;
mod maintenance;
mod notices;
mod permissions;
mod remote;
mod restore_job;
mod restore_plans;
mod restore_requests;
mod run;
mod scheduler;
mod simulated;
mod small_repository;
