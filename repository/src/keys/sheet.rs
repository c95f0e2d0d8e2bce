//! The key sheet: a reader's private key on paper, whole or as one of several shares.

use zeroize::Zeroizing;

use super::file::ReaderFile;
use super::lines::{LINE, from_lines, slipped, to_lines};
use super::secrets::Secret;
use super::share::KeyShare;
use crate::ids::RepositoryId;

/// What a sheet turned out to be.
#[derive(Debug, Clone)]
pub enum Sheet {
    /// A whole key.
    Key(ReaderFile),
    /// A share of one.
    Share(KeyShare),
}

/// Why a sheet could not be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSheet {
    /// A line's check letters do not match, or another letter in it would make the sheet right.
    #[error("line {0} of the key sheet was not typed as printed")]
    Line(usize),
    /// Lines are missing or too many.
    #[error("the key sheet has {found} lines, {expected} were printed")]
    Length {
        /// Lines found.
        found: usize,
        /// Lines expected.
        expected: usize,
    },
    /// Each line looks right, and the whole is not: more than one letter is wrong.
    #[error("the key sheet was not typed as printed: several letters are wrong, or its lines are of different sheets")]
    Lines,
    /// A sheet of another release.
    #[error("the key sheet is of version {0}, and this release reads 1 and 2")]
    Version(u8),
}

/// The version of a whole key's sheet: 1 ‖ repository id ‖ private key ‖ BLAKE3 of that, cut.
const KEY: u8 = 1;
/// The version of a share's sheet: 2 ‖ share ‖ BLAKE3 of that, cut.
const SHARE: u8 = 2;

/// Bytes of the check at the end of a whole key's sheet, and of a share's: as many as fill the last line.
const KEY_CHECK: usize = 11;
const SHARE_CHECK: usize = 16;

/// The printable lines of a key, numbered from 1.
#[must_use]
pub fn to_sheet(file: &ReaderFile) -> Vec<String> {
    let content = Zeroizing::new([&[KEY][..], &file.repository.0, file.private_key.expose()].concat());
    checked_lines(&content, KEY_CHECK)
}

/// The printable lines of a share, numbered from 1.
#[must_use]
pub fn to_share_sheet(share: &KeyShare) -> Vec<String> {
    checked_lines(&Zeroizing::new([&[SHARE][..], &share.to_bytes()].concat()), SHARE_CHECK)
}

fn checked_lines(content: &[u8], check: usize) -> Vec<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(content.len() + check));
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(&blake3::hash(content).as_bytes()[..check]);
    to_lines(&bytes)
}

/// Reads the lines of a sheet back; spaces, case and the line numbers do not matter. Lines that are not of the sheet must be removed first.
pub fn read_sheet(text: &str, holder: &str) -> Result<Sheet, BadSheet> {
    let bytes = from_lines(text).map_err(BadSheet::Line)?;
    match bytes.first() {
        None | Some(&KEY) => {
            let content = content(&bytes, 1 + 16 + 32, KEY_CHECK)?;
            key_of(content, holder).map(Sheet::Key).ok_or(BadSheet::Lines)
        }
        Some(&SHARE) => {
            let content = content(&bytes, 1 + KeyShare::BYTES, SHARE_CHECK)?;
            KeyShare::from_bytes(&content[1..]).map(Sheet::Share).ok_or(BadSheet::Lines)
        }
        Some(version) => Err(slipped(&bytes, is_sheet).map_or(BadSheet::Version(*version), BadSheet::Line)),
    }
}

/// What is in front of the check, if that fits.
fn content(bytes: &[u8], length: usize, check: usize) -> Result<&[u8], BadSheet> {
    let (found, expected) = (bytes.len().div_ceil(LINE), (length + check) / LINE);
    let fits = bytes.len() == length + check;
    if fits && is_sheet(bytes) {
        return Ok(&bytes[..length]);
    }
    // Before the length: a slip in the version makes another one seem right.
    Err(match slipped(bytes, is_sheet) {
        Some(line) => BadSheet::Line(line),
        None if fits => BadSheet::Lines,
        None => BadSheet::Length { found, expected },
    })
}

fn is_sheet(bytes: &[u8]) -> bool {
    let check = match bytes.first() {
        Some(&KEY) => KEY_CHECK,
        Some(&SHARE) => SHARE_CHECK,
        _ => return false,
    };
    let parts = bytes.len().checked_sub(check).map(|length| bytes.split_at(length));
    parts.is_some_and(|(content, found)| found == &blake3::hash(content).as_bytes()[..check])
}

fn key_of(content: &[u8], holder: &str) -> Option<ReaderFile> {
    let repository = RepositoryId(content.get(1..17)?.try_into().ok()?);
    let private_key = Secret::new(content.get(17..49)?.try_into().ok()?);
    Some(ReaderFile { repository, holder: holder.into(), private_key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ReaderFile {
        let repository = RepositoryId([9; 16]);
        ReaderFile { repository, holder: "ops".into(), private_key: Secret::new([0xa5; 32]) }
    }

    fn key(text: &str) -> Result<ReaderFile, BadSheet> {
        read_sheet(text, "ops").map(|sheet| match sheet {
            Sheet::Key(file) => file,
            Sheet::Share(_) => panic!("a share"),
        })
    }

    #[test]
    fn a_sheet_comes_back_and_a_slip_is_found_in_its_line() {
        let file = sample();
        let sheet = to_sheet(&file);
        assert_eq!(sheet.len(), 3);
        let back = key(&sheet.join("\n").to_lowercase()).unwrap();
        assert!(back.private_key == file.private_key && back.repository == file.repository);
        let mut slip = sheet.clone();
        slip[1] = slip[1].replacen('A', "B", 1).replacen('U', "V", 1);
        assert_eq!(key(&slip.join("\n")).unwrap_err(), BadSheet::Line(2));
        assert!(matches!(key(&sheet[..2].join("\n")), Err(BadSheet::Length { found: 2, expected: 3 })));
        assert!(matches!(key(""), Err(BadSheet::Length { found: 0, expected: 3 })));
    }

    #[test]
    fn every_single_wrong_letter_is_found_in_its_line() {
        let share = KeyShare::split(&sample(), 2, 3).remove(1);
        for sheet in [to_sheet(&sample()), to_share_sheet(&share)] {
            for (line, text) in sheet.iter().enumerate() {
                // The number in front is not looked at.
                let letters = text.char_indices().skip(1).filter(|(_, letter)| !letter.is_whitespace());
                for (at, right) in letters {
                    for wrong in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".chars().filter(|wrong| *wrong != right) {
                        let mut typed = sheet.clone();
                        typed[line].replace_range(at..=at, &wrong.to_string());
                        let found = read_sheet(&typed.join("\n"), "ops").unwrap_err();
                        assert_eq!(found, BadSheet::Line(line + 1), "{wrong} at {at} of {text}");
                    }
                }
            }
        }
    }

    #[test]
    fn lines_of_different_sheets_are_not_one() {
        let shares = KeyShare::split(&sample(), 2, 2);
        let (one, two) = (to_share_sheet(&shares[0]), to_share_sheet(&shares[1]));
        let mixed = [&one[0], &one[1], &two[2], &two[3]].map(String::as_str).join("\n");
        assert_eq!(read_sheet(&mixed, "ops").unwrap_err(), BadSheet::Lines);
        let mut swapped = to_sheet(&sample());
        swapped.swap(0, 1);
        assert_eq!(key(&swapped.join("\n")).unwrap_err(), BadSheet::Line(1));
    }
}
