//! Whether a restore can write to a place on this host at all.

use std::path::Path;

use rustix::fs::StatVfsMountFlags;
use strongroom_repository::text::escape;

/// Says why nothing can be restored to a place, if that is so. Blocking.
pub(super) fn check(target: &Path) -> Result<(), String> {
    let shown = || escape(target.as_os_str().as_encoded_bytes());
    let existing = target.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    if !existing.is_dir() {
        return Err(format!(
            "'{}' is not a directory, so nothing can be restored to '{}'",
            escape(existing.as_os_str().as_encoded_bytes()),
            shown()
        ));
    }
    let space = rustix::fs::statvfs(existing).map_err(|error| format!("cannot look at '{}': {error}", shown()))?;
    if space.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(format!(
            "the worker cannot write to '{}' on this host: its file system is read-only, or, as /usr, /boot and /etc are, kept from the worker by its unit. \
             Restore to another directory, and move from there what is wanted",
            shown()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_written_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(check(&folder.path().join("not/yet")), Ok(()));
        std::fs::write(folder.path().join("file"), "").unwrap();
        let said = check(&folder.path().join("file/below")).unwrap_err();
        assert!(said.contains("is not a directory"), "{said}");
        // What every Linux machine has mounted read-only; none that has not is told a lie.
        let read_only = std::fs::read_to_string("/proc/mounts").unwrap();
        let read_only = read_only.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (place, options) = (fields.next()?, fields.nth(1)?);
            let is_readable = Path::new(place).is_dir() && std::fs::read_dir(place).is_ok();
            (options.split(',').any(|option| option == "ro") && is_readable).then(|| place.to_owned())
        });
        for place in read_only {
            let said = check(Path::new(&place)).unwrap_err();
            assert!(said.contains(&place) && said.contains("read-only") && said.contains("/etc"), "{said}");
        }
    }
}
