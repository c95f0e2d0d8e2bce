//! Which paths of a client lie in the folder, and what they are there.

use std::path::{Component, Path};

use object_store::path::Path as Name;
use strongroom_repository::object::HINT;
use strongroom_repository::store::is_object_name;

use super::Rights;

/// The folder of unfinished objects. The store of the client chooses it (`repository/src/store/local/names.rs`).
const TEMPORARY: &str = "tmp";
/// What whoever adds also deletes again: what asked the store whether it works, and the word that a session rests, when that goes on.
const PASSING: [&str; 2] = ["probe/", "rests/"];

/// A place in the served folder, named from there on; the folder itself has no name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The folder itself, or that of unfinished objects.
    Folder(String),
    /// An object that is not whole yet.
    Unfinished(String),
    /// An object, or a folder of some.
    Object(String),
}

/// The path of a folder as clients write it, if they can.
pub(super) fn served(folder: &Path) -> Option<String> {
    let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    let path = folder.to_str().filter(|_| folder.is_absolute() && folder.components().all(is_plain))?;
    Some(path.trim_end_matches('/').to_owned())
}

/// What a client's path is in the folder; nothing if it is outside, or can be no name there.
pub(super) fn place(served: &str, path: &str) -> Option<Place> {
    let inside = path.strip_prefix(served)?;
    if inside.is_empty() || inside == "/" {
        return Some(Place::Folder(".".into()));
    }
    let name = inside.strip_prefix('/')?;
    if name == TEMPORARY {
        return Some(Place::Folder(name.into()));
    }
    if let Some(random) = name.strip_prefix(TEMPORARY).and_then(|rest| rest.strip_prefix('/')) {
        let is_one = !random.is_empty() && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return is_one.then(|| Place::Unfinished(name.into()));
    }
    let parsed = Name::parse(name).ok()?;
    (parsed.as_ref() == name && is_object_name(&parsed)).then(|| Place::Object(name.into()))
}

impl Place {
    /// Its name in the folder.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Folder(name) | Self::Unfinished(name) | Self::Object(name) => name,
        }
    }

    /// Whether it may be deleted.
    pub(super) fn may_go(&self, rights: Rights) -> bool {
        match self {
            Self::Folder(_) => false,
            Self::Unfinished(_) => true,
            Self::Object(name) => rights == Rights::Delete || PASSING.iter().any(|folder| name.starts_with(folder)),
        }
    }

    /// Whether it may be put in place of what is there.
    pub(super) fn may_be_replaced(&self) -> bool {
        self.name() == HINT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_folder() {
        let object = |name: &str| Some(Place::Object(name.into()));
        let rows = [
            ("/srv/backup", Some(Place::Folder(".".into()))),
            ("/srv/backup/", Some(Place::Folder(".".into()))),
            ("/srv/backup/config", object("config")),
            ("/srv/backup/packs/ab", object("packs/ab")),
            ("/srv/backup/tmp", Some(Place::Folder("tmp".into()))),
            ("/srv/backup/tmp/0af3", Some(Place::Unfinished("tmp/0af3".into()))),
            ("/srv/backup/tmp/", None),
            ("/srv/backup/tmp/a/b", None),
            ("/srv/backup/tmp/../config", None),
            ("/srv/backup/packs/../config", None),
            ("/srv/backup/./config", None),
            ("/srv/backup//config", None),
            ("/srv/backup/.ssh/authorized_keys", None),
            ("/srv/backup2/config", None),
            ("/srv", None),
            ("srv/backup/config", None),
            ("", None),
        ];
        for (path, expect) in rows {
            assert_eq!(place("/srv/backup", path), expect, "{path}");
        }
        assert_eq!(place("", "/config"), object("config"), "the root of a disk");
    }

    #[test]
    fn a_folder_is_served_by_its_whole_path() {
        let rows = [
            ("/srv/backup", Some("/srv/backup")),
            ("/srv/backup/", Some("/srv/backup")),
            ("/", Some("")),
            ("srv", None),
            ("/srv/../etc", None),
        ];
        for (folder, expect) in rows {
            assert_eq!(served(Path::new(folder)).as_deref(), expect, "{folder}");
        }
    }

    #[test]
    fn who_only_adds_deletes_what_is_passing() {
        let may = |path: &str, rights| place("/srv", path).is_some_and(|place| place.may_go(rights));
        for (path, add, delete) in [
            ("/srv/tmp/01", true, true),
            ("/srv/probe/health-1", true, true),
            ("/srv/rests/00000000000000000000000000000001", true, true),
            ("/srv/packs/ab/1", false, true),
            ("/srv/commits/0000000000000001", false, true),
            ("/srv/hint", false, true),
            ("/srv/tmp", false, false),
            ("/srv", false, false),
        ] {
            assert_eq!((may(path, Rights::Add), may(path, Rights::Delete)), (add, delete), "{path}");
        }
    }
}
