//! The program on a host: reads files into a repository and writes them back.
//!
//! A byte out meets, in this order, [`sources`], [`walk`] (with [`exclude`] and [`state`]), [`read`], [`capture`], [`backup`]. A byte back meets
//! [`restore`], and the [`checks`] of what was restored, of which some are [ready-made](ready_check); [`promote`] puts it where it is used.
//!
//! What holds everywhere: a fault of a source file is a value ([`remarks`]) and never ends a run; a fault of the repository does, and is never
//! reported as the fault of a file. The source is only read: not even its access times change, where the system allows that.

pub mod backup;
pub mod capture;
pub mod change;
pub mod checks;
pub mod command;
pub mod exclude;
pub mod filesystem;
pub mod mount;
mod open_files;
pub mod owners;
pub mod pace;
pub mod progress;
pub mod promote;
pub mod read;
pub mod ready_check;
pub mod remarks;
pub mod restore;
pub mod service_manager;
pub mod sources;
pub mod state;
pub mod walk;
