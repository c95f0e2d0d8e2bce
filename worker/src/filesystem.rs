//! The host's files, looked at without being led astray.
//!
//! Every path is opened from one root directory and no symbolic link on the way is followed, so a directory that is swapped for a link during a
//! run cannot make the run read other files under its name. Names and paths are raw bytes, relative to the root, without a leading slash.

pub mod attributes;
pub mod holes;
pub mod inode_flags;
pub mod open;
pub mod pseudo;
pub mod stat;

pub use open::Root;
pub use stat::Stat;
