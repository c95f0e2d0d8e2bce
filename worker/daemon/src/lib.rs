//! The program on a host: a daemon that runs the controller's jobs, and the forced command that leads to it.
//!
//! A request's way through this crate, which is also the order of the modules:
//!
//! 1. [`connect`]: the forced command joins an SSH channel to one of the daemon's sockets.
//! 2. [`serve`]: the sockets, readiness, the end. [`service`]: the calls of the controller.
//! 3. [`job_id`], [`request`]: what was asked, checked. [`wire`]: from messages, and back.
//! 4. [`jobs`]: started once, run to the end. [`ledger`]: remembered on disk. [`keys`]: where to write to.
//! 5. `command`: hooks, and commands whose output is backed up. [`gateway`]: the way of the sealed bytes to the controller. [`direct`]: the other way,
//!    into a directory that this host has.
//! 6. [`facts`]: what the host is and has.
//! 7. [`storage`]: a folder of this host as a store for others; it needs no daemon.
//!
//! What holds: the daemon can be killed at any instruction; a job outlives its connection and the daemon; the host can add backups, and reads none but what is lent to it for one restore; nor remove them, where it stores through the gateway.
//!
//! Deliberately absent: any port that is listened on, any schedule, any credential of a store but the mounts of the host.

pub mod connect;
pub mod direct;
mod durable;
pub mod facts;
pub mod gateway;
pub mod job_id;
pub mod jobs;
pub mod keys;
pub mod ledger;
pub mod request;
pub mod serve;
pub mod service;
pub mod storage;
pub mod task;
mod wire;

/// Program and version, for records.
pub const PROGRAM: &str = concat!("strongroom-worker ", env!("CARGO_PKG_VERSION"));
/// The socket of the worker's own service, in the run folder.
pub const WORKER_SOCKET: &str = "worker.sock";
/// The socket on whose connections the gateway is served to the worker.
pub const GATEWAY_SOCKET: &str = "gateway.sock";
