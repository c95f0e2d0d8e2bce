//! How the controller reaches a host: over the host's own sshd, as one connection with many channels.
//!
//! A connection's way through this module, which is also the order of its files:
//!
//! 1. [`target`]: where the host is, who logs in, and by which keys its sshd is known.
//! 2. [`known_hosts`]: what a `known_hosts` file says about a key that a host shows (pure), and its lines for a host.
//! 3. `trust`: the moment in the handshake at which that is asked.
//! 4. `dial`, `login`, `certificate`: the transport, also through jump hosts; the keys that are tried, and their certificates.
//! 5. [`connection`]: channels; [`command`], which runs to its end; [`stream`], which begins with the worker's [`greeting`].
//! 6. [`upload`]: files, by SFTP or by `cat`; [`sftp`], for repositories that lie on a host.
//! 7. [`scan`]: the keys that a host shows, before anything is trusted.
//! 8. [`backoff`]: when to try again.
//!
//! Invariants:
//!
//! * Host keys are strict: nothing is trusted at first sight, and no option says otherwise. Only algorithms of recorded keys are offered to the host.
//! * Every wait has an end, but for streams and commands: those belong to whoever opened them.
//! * An error says whether a later try may do, or a person is needed ([`SshErrorKind`]).
//!
//! Deliberately absent: passwords; RSA keys (their only implementation here leaks by timing); `ssh_config` (a site's inventory says where hosts are); and any
//! knowledge of what the worker speaks behind its greeting.

pub mod backoff;
mod certificate;
pub mod command;
pub mod connection;
mod dial;
mod error;
pub mod greeting;
pub mod key_pair;
pub mod known_hosts;
mod login;
pub mod quoting;
pub mod scan;
pub mod sftp;
pub mod stream;
pub mod target;
mod trust;
pub mod upload;

pub use backoff::{Backoff, Reconnector};
pub use command::{Exit, Finished};
pub use connection::Connection;
pub use dial::connect;
pub use error::{RecordedKey, ShownKey, SshError, SshErrorKind};
pub use key_pair::{ControllerKey, ensure_key};
pub use known_hosts::KnownHosts;
pub use russh::keys::PublicKey;
pub use scan::scan;
pub use sftp::SftpServer;
pub use stream::Stream;
pub use target::{HostKeys, Identity, Target};
