//! Names and modes of files.

use std::path::Path;

use strongroom_repository::text::escape;
use strongroom_repository::tree::order::join;
use strongroom_repository::{Entry, Kind};

/// The path of an entry, as it can be typed back.
pub(crate) fn path(directory: &[u8], entry: &Entry) -> String {
    escape(&join(directory, &entry.name))
}

/// A location as it was given, without a user and password that it may hold.
pub(crate) fn location(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find('/').unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://…{}", &rest[at..]),
        None => url.to_owned(),
    }
}

/// A path as one word for a shell.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// As `ls -l` has it: `drwxr-x--T`.
pub(crate) fn mode(entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::File => '-',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
        Kind::CharacterDevice => 'c',
        Kind::BlockDevice => 'b',
    };
    let special = [(0o4000, 's'), (0o2000, 's'), (0o1000, 't')];
    let mut shown = String::from(kind);
    for (at, (bit, letter)) in special.into_iter().enumerate() {
        let bits = entry.mode >> (6 - 3 * at) & 0o7;
        shown.push(if bits & 4 == 0 { '-' } else { 'r' });
        shown.push(if bits & 2 == 0 { '-' } else { 'w' });
        shown.push(match (entry.mode & bit != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_location_is_not_shown() {
        let cases = [
            ("/srv/a@b", "/srv/a@b"),
            ("file:///srv/a@b", "file:///srv/a@b"),
            ("sftp://me:pass@host/srv", "sftp://…@host/srv"),
            ("s3://key:a@b@bucket", "s3://…@bucket"),
        ];
        for (url, expect) in cases {
            assert_eq!(location(url), expect);
        }
    }

    #[test]
    fn paths_survive_a_shell() {
        assert_eq!(shell_word(Path::new("/srv/backup-1")), "/srv/backup-1");
        assert_eq!(shell_word(Path::new("/srv/a b's")), r"'/srv/a b'\''s'");
    }

    #[test]
    fn modes_look_as_ls_shows_them() {
        let cases = [
            (Kind::File, 0o644, "-rw-r--r--"),
            (Kind::Directory, 0o1777, "drwxrwxrwt"),
            (Kind::File, 0o6750, "-rwsr-s---"),
            (Kind::Fifo, 0o7000, "p--S--S--T"),
        ];
        for (kind, bits, expect) in cases {
            let mut entry = Entry::new(Vec::new(), kind);
            entry.mode = bits;
            assert_eq!(mode(&entry), expect);
        }
    }
}
