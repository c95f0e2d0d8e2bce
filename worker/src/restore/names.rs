//! Names and paths out of a snapshot. Whoever wrote the snapshot chose them, so none is used before it was looked at.

use std::io;

use rustix::io::Errno;
use strongroom_repository::tree::order;

/// `NAME_MAX` of every Linux file system, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Whether a name can only mean an entry of the directory that it is used in.
pub(super) fn is_safe(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// Whether a path (relative, empty for the top) stays below the directory that it starts from, as long as no symbolic link is followed.
pub(super) fn is_safe_path(path: &[u8]) -> bool {
    path.is_empty() || path.split(|byte| *byte == b'/').all(is_safe)
}

/// The path of an entry if it is safe to use.
pub(super) fn checked(directory: &[u8], name: &[u8]) -> io::Result<Vec<u8>> {
    if is_safe(name) && is_safe_path(directory) { Ok(order::join(directory, name)) } else { Err(Errno::INVAL.into()) }
}

/// A key that sorts like [`order::directories`] does: bytewise, with `/` as the lowest byte. No safe name holds a zero.
pub(super) fn sort_key(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_lead_elsewhere_is_unsafe() {
        for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", &[b'n'; 256]] {
            assert!(!is_safe(name), "{name:?}");
        }
        for name in [&b"a"[..], b"...", b"\xff\n", b" ", &[b'n'; 255]] {
            assert!(is_safe(name), "{name:?}");
        }
        for path in [&b"/etc"[..], b"a//b", b"a/../b", b"..", b"a/"] {
            assert!(!is_safe_path(path), "{path:?}");
        }
        assert_eq!(checked(b"a/b", b"c").unwrap(), b"a/b/c");
        assert!(checked(b"a/..", b"c").is_err() && checked(b"a", b"..").is_err());
    }

    #[test]
    fn keys_sort_as_the_tree_does() {
        let mut paths: Vec<&[u8]> = vec![b"a-b", b"a", b"b", b"a/b", b"a/b/c", b"a/d", b"a\x01"];
        paths.sort_by_key(|path| sort_key(path));
        let mut expect = paths.clone();
        expect.sort_by(|left, right| order::directories(left, right));
        assert_eq!(paths, expect);
    }
}
