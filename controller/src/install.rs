//! How a host gets its worker, a newer one, or rid of it.
//!
//! 1. [`plan`]: what would be done, as a list of steps that can be printed (pure).
//! 2. `scripts`: what the steps ask of the host, as plain POSIX shell, with a check before each change.
//! 3. [`execute`]: does it, over an administrator's connection.
//! 4. [`proof`]: tries everything that the controller's key must not be able to do.
//!
//! What a host gets, and why so:
//!
//! * The daemon runs as root under a systemd unit that takes from root what no backup needs: it must read every file.
//! * The controller logs in as `strongroom`, an account without a password, without files of its own and without any right but to reach the daemon's sockets.
//!   Its key runs one command, whatever is asked for. The account cannot change that: its key file and the folders above belong to root.
//! * `/usr/local/lib/strongroom` holds the program, `/var/lib/strongroom` what the daemon must not lose, `/var/cache/strongroom` what it may lose.
//!
//! Invariants: a step that finds its work done does nothing, so that the same list installs, resumes and repairs; nothing becomes visible before it is whole;
//! a step counts as done only when its check says so afterwards; and a key of which a restriction was not proven is an error, never a warning.
//!
//! Deliberately absent: which host keys to trust (a person confirmed them before), the worker's own protocol, and any terminal.

mod error;
mod execute;
mod plan;
pub mod program;
pub mod proof;
mod scripts;

pub use error::InstallError;
pub use execute::{Admin, Done, Notice, carry_out};
pub use plan::{Action, AddOrder, Plan, RemoveOrder, State, Step, UpgradeOrder, add, remove, upgrade};
pub use program::Program;
pub use proof::{Attempt, Outcome};
pub use scripts::{FORCED_COMMAND, Script, WORKER_USER};
