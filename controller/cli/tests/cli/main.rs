//! The real program, run as people run it. `UPDATE_GOLDEN=1` writes the golden files anew; look at the difference before you keep it.

mod errors;
mod find;
mod fleet;
mod forget;
mod help;
mod jump;
mod keys;
mod mount;
mod notify;
mod people;
mod plan;
mod plan_language;
mod round_trip;
mod schedules;
mod signals;
#[expect(dead_code, reason = "the controller's tests of connections ask more of it")]
#[path = "../../../tests/ssh/sshd.rs"]
mod sshd;
mod support;
