//! How things look to people: sizes, times, names, tables.

mod difference;
mod findings;
mod name;
mod size;
mod table;
mod time;

pub(crate) use difference::{write_difference, write_protected_less};
pub(crate) use findings::{write_grouped, write_listed};
pub(crate) use name::{location, mode, path, shell_word};
pub(crate) use size::{count, ratio, size};
pub(crate) use table::{Align, Table};
pub(crate) use time::{duration, entry_time, time};
