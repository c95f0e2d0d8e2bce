//! How things look to people: sizes, times, names, tables.

mod name;
mod size;
mod table;
mod time;

pub(crate) use name::{location, mode, path, shell_word};
pub(crate) use size::{count, ratio, size};
pub(crate) use table::{Align, Table};
pub(crate) use time::{duration, entry_time, time};
