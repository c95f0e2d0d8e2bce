//! The way to a host, against a real OpenSSH server.

mod behind;
mod certificates;
mod host_keys;
mod installing;
mod login;
mod restriction;
mod sshd;
mod streams;
mod uploads;
