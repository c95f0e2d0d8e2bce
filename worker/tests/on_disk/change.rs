//! Changes of files: what a crash leaves of them, what is refused, and what becomes of real files.

mod crashes;
mod page_cache;
mod real;
mod refused;

use std::path::PathBuf;

use jiff::Timestamp;
use strongroom_worker::change::{Attributes, ChangeId, ChangeSet, Content, Moment, Wanted};

fn set(wanted: impl IntoIterator<Item = (PathBuf, Content)>) -> ChangeSet {
    ChangeSet { wanted: wanted.into_iter().map(|(path, content)| Wanted { path, content }).collect() }
}

fn file(bytes: &str) -> Content {
    Content::File { bytes: bytes.into(), attributes: Attributes::private(0o640) }
}

fn directory() -> Content {
    Content::Directory { attributes: Attributes::private(0o750) }
}

fn link(target: &str) -> Content {
    let Attributes { uid, gid, .. } = Attributes::private(0);
    Content::Symlink { target: target.into(), uid, gid }
}

fn id(text: &str) -> ChangeId {
    text.parse().unwrap()
}

fn moment(milliseconds: u64) -> Moment {
    Moment { boot: "first".to_owned(), milliseconds }
}

/// After the host has been started again.
fn later() -> Moment {
    Moment { boot: "second".to_owned(), milliseconds: 1 }
}

const NOW: fn() -> Timestamp = || Timestamp::UNIX_EPOCH;
