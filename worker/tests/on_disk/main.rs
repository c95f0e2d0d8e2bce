//! Backups and restores of real directories, in one program: each one more would be linked with all that the crate needs.

mod backup;
mod backup_rot;
mod change;
mod common;
mod mount;
mod read;
mod restore_faults;
mod restore_hostile_snapshot;
mod restore_overwrite;
mod restore_round_trip;
mod restoring;
mod state;
mod walk;
