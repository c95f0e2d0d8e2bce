//! What a person types becomes a snapshot, or a path in one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use jiff::tz::TimeZone;
use strongroom_repository::text::{escape, unescape};
use strongroom_repository::{Entry, Snapshot, Snapshots, Tree, Unreadable, chain};

use crate::access::Opened;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};

/// How `SNAP` is explained in every help.
#[derive(Debug, Clone, Args)]
pub(crate) struct SnapshotArg {
    /// Which snapshot: `latest`, `latest@HOST`, `latest@HOST:/PATH`, the first digits of its id, or a time such as 2026-11-21T03:00, each with @HOST where that is to be said
    #[arg(value_name = "SNAP")]
    pub(crate) snapshot: String,
}

/// All snapshots; those that cannot be read are told to the person.
pub(crate) fn all(opened: &Opened, context: &Context) -> Result<Snapshots, Failure> {
    let found = context.wait(&format!("read the snapshots of {}", opened.location), opened.repository.snapshots())?;
    for Unreadable { id, error, .. } in &found.unreadable {
        tracing::warn!("snapshot {} cannot be read: {}", short_id(&id.hex()), chain(error));
    }
    Ok(found)
}

/// The snapshot that `spec` means.
pub(crate) fn snapshot(opened: &Opened, context: &Context, spec: &str) -> Result<Snapshot, Failure> {
    let zone = TimeZone::system();
    let chosen = context.wait(&format!("choose the snapshot '{spec}'"), opened.repository.choose(spec, &zone));
    chosen.map_err(|failure| match failure.exit() {
        Exit::NotFound => failure.advise("`strongroom snapshots` lists what there is"),
        _ => failure,
    })
}

/// A path as it stands in a tree: with or without a slash in front, as it is or as we show it.
pub(crate) fn tree_path(typed: &OsStr) -> Result<Vec<u8>, Failure> {
    let bytes = match typed.to_str() {
        Some(text) => unescape(text),
        None => typed.as_bytes().to_vec(),
    };
    let parts: Vec<&[u8]> =
        bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&&b".."[..]) {
        let why = Cause::Usage("there is '..' in it, which means nothing in a snapshot".into());
        return Err(
            Failure::new(format!("look for '{}'", escape(&bytes)), why).advise("write the path that it leads to")
        );
    }
    Ok(parts.join(&b'/'))
}

/// The same for paths that are optional: nothing means everything.
pub(crate) fn tree_path_or_top(typed: Option<&OsString>) -> Result<Vec<u8>, Failure> {
    typed.map_or(Ok(Vec::new()), |typed| tree_path(typed))
}

/// The entry at a path, which must be there.
pub(crate) fn entry(context: &Context, tree: &Tree, snapshot: &Snapshot, path: &[u8]) -> Result<Entry, Failure> {
    let what = format!("find '/{}' in snapshot {}", escape(path), short(snapshot));
    let found = context.wait(&what, tree.lookup(path))?;
    found.ok_or_else(|| {
        let why =
            Cause::Absent(format!("it is not in this snapshot, which is of {}", snapshot.manifest.sources.join(" ")));
        let next =
            format!("`strongroom ls {0}` shows what is in it, `strongroom find {0} NAME` searches", short(snapshot));
        Failure::new(what, why).advise(next)
    })
}

/// An id as people see it: the first twelve digits, which meet once in sixteen million snapshots.
pub(crate) fn short(snapshot: &Snapshot) -> String {
    short_id(&snapshot.id.hex())
}

/// The same for any id in hex.
pub(crate) fn short_id(hex: &str) -> String {
    hex.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_typed_and_as_shown() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"/etc/hosts", b"etc/hosts"),
            (b"etc//hosts/", b"etc/hosts"),
            (b"./etc", b"etc"),
            (b"/", b""),
            (br"srv/\xc5\xcc", b"srv/\xc5\xcc"),
            (b"srv/\xc5\xcc", b"srv/\xc5\xcc"),
        ];
        for (typed, expect) in cases {
            assert_eq!(tree_path(OsStr::from_bytes(typed)).unwrap(), expect, "{}", escape(typed));
        }
        assert!(tree_path(OsStr::new("etc/../srv")).is_err());
    }
}
