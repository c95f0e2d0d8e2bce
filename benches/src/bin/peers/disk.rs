//! Looking at trees: how big, how many, are they equal. Nothing here keeps a tree in memory.

use anyhow::{Context as _, Result, bail, ensure};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use strongroom_benches::dice::Dice;

/// Regular files below a folder, and the bytes in them (lengths, not blocks).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

pub(crate) fn extent(folder: &Path) -> Result<Extent> {
    let mut extent = Extent::default();
    walk(folder, &mut |path| {
        extent.files += 1;
        extent.bytes += fs::symlink_metadata(path)?.len();
        Ok(())
    })?;
    Ok(extent)
}

/// Reads every byte once, so that the measured runs find it in memory.
pub(crate) fn warm(folder: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    walk(folder, &mut |path| {
        let mut file = File::open(path)?;
        while file.read(&mut buffer)? > 0 {}
        Ok(())
    })
}

/// Whether a restore brought everything: as many files with as many bytes, and the content of a sample (all, when there are few).
pub(crate) fn compare(source: &Path, restored: &Path) -> Result<()> {
    let (wanted, got) = (extent(source)?, extent(restored)?);
    ensure!(wanted == got, "restored {got:?} of {wanted:?}");
    let sample = if wanted.files < 100 { 1 } else { 64 };
    walk(source, &mut |path| {
        let relative = path.strip_prefix(source)?;
        if Dice::named(0, relative.as_os_str().as_encoded_bytes()).once_in(sample) {
            same_content(path, &restored.join(relative))?;
        }
        Ok(())
    })
}

/// Compares two files byte for byte.
pub(crate) fn same_content(left: &Path, right: &Path) -> Result<()> {
    let open = |path: &Path| File::open(path).with_context(|| format!("opening {}", path.display()));
    let (mut left_file, mut right_file) = (open(left)?, open(right)?);
    let (mut left_bytes, mut right_bytes) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    loop {
        let read = left_file.read(&mut left_bytes)?;
        if read == 0 {
            ensure!(right_file.read(&mut right_bytes)? == 0, "{} is longer than its source", right.display());
            return Ok(());
        }
        right_file.read_exact(&mut right_bytes[..read]).with_context(|| format!("{} is too short", right.display()))?;
        if left_bytes[..read] != right_bytes[..read] {
            bail!("{} differs from its source", right.display());
        }
    }
}

/// Below which folder of `target` the tree of `source` came to lie: tools differ in whether they keep the path to it.
pub(crate) fn restored_root(target: &Path, source: &Path, one_file: &Path) -> Option<PathBuf> {
    let absolute = source.strip_prefix("/").unwrap_or(source);
    let last = source.file_name().unwrap_or_default();
    [target.to_owned(), target.join(absolute), target.join(last)].into_iter().find(|root| root.join(one_file).exists())
}

/// Calls `visit` with every regular file below a folder.
fn walk(folder: &Path, visit: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let listing = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    for entry in listing {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), visit)?;
        } else if kind.is_file() {
            visit(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_restore_with_any_difference_is_found() {
        let source = tree(&[("a/one", "12345"), ("two", "")]);
        assert!(compare(source.path(), tree(&[("a/one", "12345"), ("two", "")]).path()).is_ok());
        for broken in [
            tree(&[("a/one", "12345")]),
            tree(&[("a/one", "12x45"), ("two", "")]),
            tree(&[("a/one", "1234"), ("two", "5")]),
            tree(&[("b/one", "12345"), ("two", "")]),
            tree(&[("a/one", "12345"), ("two", ""), ("three", "")]),
        ] {
            assert!(compare(source.path(), broken.path()).is_err());
        }
    }

    #[test]
    fn a_restored_tree_is_found_where_tools_put_it() {
        let (source, one) = (Path::new("/data/tree"), Path::new("a/one"));
        for place in ["", "data/tree/", "tree/"] {
            let target = tree(&[(&format!("{place}a/one"), "")]);
            assert_eq!(restored_root(target.path(), source, one), Some(target.path().join(place)));
        }
        assert_eq!(restored_root(tree(&[("x", "")]).path(), source, one), None);
    }
}
