//! The one order of a snapshot's tree: directory by directory, directory paths component by component, names bytewise.

use std::cmp::Ordering;

/// Compares directory paths as if `/` were the byte 0, so that a directory comes before everything below it, and all that before its next sibling.
#[must_use]
pub fn directories(left: &[u8], right: &[u8]) -> Ordering {
    let same = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    match (left.get(same), right.get(same)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(l), Some(r)) => slash_first(*l).cmp(&slash_first(*r)),
    }
}

fn slash_first(byte: u8) -> u16 {
    if byte == b'/' { 0 } else { u16::from(byte) + 1 }
}

/// Compares two entries by (directory, name).
#[must_use]
pub fn keys(left: (&[u8], &[u8]), right: (&[u8], &[u8])) -> Ordering {
    directories(left.0, right.0).then_with(|| left.1.cmp(right.1))
}

/// Whether `directory` is `top` or lies below it.
#[must_use]
pub fn is_within(directory: &[u8], top: &[u8]) -> bool {
    top.is_empty() || directory.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Splits a path into its directory and its name.
#[must_use]
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// Joins a directory and a name.
#[must_use]
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    [directory, b"/", name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_comes_before_its_children_and_they_before_its_sibling() {
        let mut paths: Vec<&[u8]> = vec![b"a-b", b"a", b"b", b"", b"a/b", b"a/b/c", b"a/d", b"a\x01"];
        paths.sort_by(|l, r| directories(l, r));
        let expect: Vec<&[u8]> = vec![b"", b"a", b"a/b", b"a/b/c", b"a/d", b"a\x01", b"a-b", b"b"];
        assert_eq!(paths, expect);
    }

    #[test]
    fn within_means_whole_components() {
        assert!(is_within(b"a/b", b"a") && is_within(b"a", b"a") && is_within(b"x", b""));
        assert!(!is_within(b"ab", b"a") && !is_within(b"a", b"a/b"));
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"c"), (&b""[..], &b"c"[..]));
    }
}
