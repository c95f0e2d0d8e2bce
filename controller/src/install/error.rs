//! What can go wrong while a host is set up.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::proof::Attempt;
use crate::ssh::SshError;

/// Why a host is not as it should be.
#[derive(Debug, Error)]
pub enum InstallError {
    /// The way to the host.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The login is nobody who may.
    #[error("{user} is not root on {place} and may not use sudo without a password: {complaint}")]
    NotAdmin { place: String, user: String, complaint: String },
    /// The worker's program, here.
    #[error("the worker's program {} cannot be read", path.display())]
    Program { path: PathBuf, source: io::Error },
    /// It is for no Linux machine, or not a program at all.
    #[error("{} is no program for Linux that this release knows", path.display())]
    NotAProgram { path: PathBuf },
    /// A step did not succeed on the host.
    #[error("could not {step} on {place}: {complaint}")]
    Step { place: String, step: String, complaint: String },
    /// It did not end.
    #[error("could not {step} on {place}: it did not end within {seconds} s")]
    TimedOut { place: String, step: String, seconds: u64 },
    /// It said that it succeeded, and the check still says no.
    #[error("could not {step} on {place}: it was done, but a look afterwards does not find it so")]
    NotSo { place: String, step: String },
    /// The key can do more than it must.
    #[error("the controller's key is not restricted on {place}: {}", listed(attempts))]
    Unrestricted { place: String, attempts: Vec<Attempt> },
}

fn listed(attempts: &[Attempt]) -> String {
    let bad = attempts.iter().filter(|attempt| !attempt.outcome.refused());
    bad.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
