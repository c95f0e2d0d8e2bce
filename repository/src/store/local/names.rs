//! Which names an object can have, and where in the folder it lies.

use std::path::{Path, PathBuf};

use object_store::path::Path as Name;

use super::error::LocalError;

/// The folder of unfinished objects, below the root.
pub(in crate::store) const TEMPORARY: &str = "tmp";

/// Whether `name` is one that this store gives: components of letters, digits, `-`, `_` and `.`,
/// the last not in front. Anything else in the folder (`lost+found`, an editor's leftovers,
/// `.nfs0000`) is not ours: it is not shown and cannot be addressed.
#[must_use]
pub fn is_object_name(name: &Name) -> bool {
    let mut components = name.as_ref().split('/');
    components.clone().all(is_component) && components.next() != Some(TEMPORARY)
}

fn is_component(text: &str) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    !text.is_empty() && !text.starts_with('.') && text.as_bytes().iter().all(allowed)
}

/// The file of an object.
pub(super) fn file_of(root: &Path, name: &Name) -> Result<PathBuf, LocalError> {
    if is_object_name(name) { Ok(root.join(name.as_ref())) } else { Err(LocalError::Name { name: name.to_string() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expect: Option<&str>) {
        let file = file_of(Path::new("/srv"), &Name::from(name)).ok();
        assert_eq!(file.as_deref(), expect.map(Path::new), "{name}");
    }

    #[test]
    fn names_stay_inside_the_folder_and_out_of_its_corners() {
        check("config", Some("/srv/config"));
        check("packs/a0/a0f3", Some("/srv/packs/a0/a0f3"));
        check("keys/tmp", Some("/srv/keys/tmp"));
        check("tmp/x", None);
        check("tmp", None);
        check("", None);
        check("../x", None);
        check("packs/.hidden", None);
        check("packs/a#1", None);
        check("packs/仓", None);
    }
}
