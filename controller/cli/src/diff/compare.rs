//! In what two entries of the same path differ. Pure.

use serde::Serialize;
use strongroom_repository::{Entry, Kind};

/// Something in which two entries can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Aspect {
    Type,
    Content,
    Target,
    Device,
    Mode,
    Owner,
    Times,
    Attributes,
    Flags,
}

impl Aspect {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Content => "content",
            Self::Target => "target",
            Self::Device => "device",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Times => "time",
            Self::Attributes => "attributes",
            Self::Flags => "flags",
        }
    }
}

/// All differences that a restore would make visible. Left out on purpose: where the bytes lie (the same content can be cut otherwise), the numbers of hard links,
/// the time of birth (nobody can set it), and the times of directories.
pub(super) fn compare(old: &Entry, new: &Entry) -> Vec<Aspect> {
    if old.kind != new.kind {
        return vec![Aspect::Type];
    }
    let owner = |entry: &Entry| (entry.uid, entry.gid, entry.user.clone(), entry.group.clone());
    let times_differ = old.mtime != new.mtime && new.kind != Kind::Directory;
    let differences = [
        (Aspect::Content, content_differs(old, new)),
        (Aspect::Target, old.target != new.target),
        (Aspect::Device, old.device != new.device),
        (Aspect::Mode, old.mode != new.mode),
        (Aspect::Owner, owner(old) != owner(new)),
        (Aspect::Times, times_differ),
        (Aspect::Attributes, old.xattrs != new.xattrs),
        (Aspect::Flags, (old.flags, old.project) != (new.flags, new.project)),
    ];
    differences.into_iter().filter_map(|(aspect, differs)| differs.then_some(aspect)).collect()
}

/// By the hash of the whole file; a file without one (all of it a hole, or of an older writer) by what it refers to.
fn content_differs(old: &Entry, new: &Entry) -> bool {
    match (old.hash, new.hash) {
        (Some(old), Some(new)) => old != new,
        _ => old.size != new.size || old.content != new.content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Entry), expect: &[Aspect]) {
        let mut old = Entry::new(b"f".to_vec(), Kind::File);
        old.hash = Some([1; 32]);
        let mut new = old.clone();
        change(&mut new);
        assert_eq!(compare(&old, &new), expect);
    }

    #[test]
    fn every_visible_difference_is_named() {
        check(|_| {}, &[]);
        check(|new| new.hash = Some([2; 32]), &[Aspect::Content]);
        check(|new| (new.mode, new.uid) = (0o600, 5), &[Aspect::Mode, Aspect::Owner]);
        check(|new| new.mtime.seconds = 9, &[Aspect::Times]);
        check(|new| new.kind = Kind::Symlink, &[Aspect::Type]);
        check(|new| new.xattrs.push((b"user.a".to_vec(), b"b".to_vec())), &[Aspect::Attributes]);
        check(|new| new.flags = Some(16), &[Aspect::Flags]);
        check(|new| (new.hardlink, new.birth) = (Some((1, 2)), Some(Default::default())), &[]);
    }
}
