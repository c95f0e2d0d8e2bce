//! The way to a host, against a real OpenSSH server.

mod host_keys;
mod login;
mod sshd;
mod streams;
mod uploads;
