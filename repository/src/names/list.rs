//! The names of one leaf page: for each directory `/` and its path, then the names in it, a zero byte behind each. No name has a slash or a zero byte in it.

use std::sync::Arc;

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

/// Each name of a list with its directory.
pub(super) fn each<'l>(list: &'l [u8], mut told: impl FnMut(&'l [u8], &'l [u8])) {
    let mut directory = &b""[..];
    for word in list.split(|byte| *byte == END) {
        match word.split_first() {
            Some((&DIRECTORY, path)) => directory = path,
            Some(_) => told(directory, word),
            None => {}
        }
    }
}
