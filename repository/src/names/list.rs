//! The names of one leaf page: for each directory `/` and its path, then the names in it, a zero byte behind each. No name has a slash or a zero byte in it.

use std::sync::Arc;

use memchr::{memchr, memmem};

use crate::codec::Malformed;
use crate::tree::leaf::LeafReader;

const END: u8 = 0;
const DIRECTORY: u8 = b'/';

/// The list of a page. A name that no file system has, which only a faulty writer makes, is left out.
pub(super) fn of_page(page: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut list = Vec::new();
    let mut current: Option<Arc<[u8]>> = None;
    let mut leaf = LeafReader::new(page)?;
    while let Some((directory, entry)) = leaf.next_entry()? {
        if directory.contains(&END) || entry.name.iter().any(|byte| [END, DIRECTORY].contains(byte)) {
            continue;
        }
        if current.as_ref() != Some(&directory) {
            list.push(DIRECTORY);
            list.extend_from_slice(&directory);
            list.push(END);
            current = Some(directory);
        }
        list.extend_from_slice(&entry.name);
        list.push(END);
    }
    Ok(list)
}

/// Each name of a list with its directory, of those directories that are entered.
pub(super) fn each<'l>(
    list: &'l [u8],
    mut enters: impl FnMut(&'l [u8]) -> bool,
    mut told: impl FnMut(&'l [u8], &'l [u8]),
) {
    let (mut directory, mut rest) = (&b""[..], list);
    while let Some(end) = memchr(END, rest) {
        let word = &rest[..end];
        match word.split_first() {
            // No name begins so: what comes behind a zero byte is the next directory.
            Some((&DIRECTORY, path)) if !enters(path) => {
                rest = memmem::find(&rest[end..], &[END, DIRECTORY]).map_or(&[][..], |next| &rest[end + next + 1..]);
                continue;
            }
            Some((&DIRECTORY, path)) => directory = path,
            Some(_) => told(directory, word),
            None => {}
        }
        rest = &rest[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_with_their_directories_and_those_not_entered_are_passed_over() {
        // The top, an empty directory, two with names, the first words of a list that was cut off.
        let list = b"/\0a\0/a\0/b\0c\0d\0/b/e\0f\0/g";
        let told = |enters: &dyn Fn(&[u8]) -> bool| {
            let mut told = Vec::new();
            each(list, enters, |directory, name| {
                told.push([directory, name].map(|part| String::from_utf8_lossy(part).into_owned()).join(":"));
            });
            told.join(" ")
        };
        assert_eq!(told(&|_| true), ":a b:c b:d b/e:f");
        assert_eq!(told(&|directory| directory == b"b"), "b:c b:d");
        assert_eq!(told(&|directory| directory == b"b/e"), "b/e:f");
        assert_eq!(told(&|directory| directory.is_empty()), ":a");
        assert_eq!(told(&|_| false), "");
    }
}
