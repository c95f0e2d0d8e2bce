//! The key sheet: a reader's private key as text that survives paper, in numbered lines with a check each.
//!
//! Base32 (RFC 4648 alphabet: no 0, 1, 8, 9) in eight groups of four a line; each line ends with a two-letter check of the line, so that
//! a slip of the hand is found where it happened.

use data_encoding::BASE32_NOPAD;

use super::file::ReaderFile;
use super::secrets::Secret;
use crate::ids::RepositoryId;

/// Bytes of payload a line: 20 bytes are 32 letters.
const LINE: usize = 20;

/// Why a sheet could not be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSheet {
    /// A line's check letters do not match.
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
}

fn payload(file: &ReaderFile) -> Vec<u8> {
    let mut payload = [&[1][..], &file.repository.0, file.private_key.expose()].concat();
    payload.extend_from_slice(&blake3::hash(&payload).as_bytes()[..11]);
    payload
}

fn check_letters(number: usize, bytes: &[u8]) -> String {
    let hash = blake3::Hasher::new().update(&[number as u8]).update(bytes).finalize();
    BASE32_NOPAD.encode(&hash.as_bytes()[..2])[..2].to_owned()
}

/// The printable lines of a key, numbered from 1.
#[must_use]
pub fn to_sheet(file: &ReaderFile) -> Vec<String> {
    let line = |(at, bytes): (usize, &[u8])| {
        let letters = BASE32_NOPAD.encode(bytes);
        let groups: Vec<&str> =
            letters.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
        format!("{}  {}  {}", at + 1, groups.join(" "), check_letters(at + 1, bytes))
    };
    payload(file).chunks(LINE).enumerate().map(line).collect()
}

/// Reads the lines back; spaces, case and the line numbers do not matter. Lines that are not of the sheet must be removed first.
pub fn from_sheet(text: &str, holder: &str) -> Result<ReaderFile, BadSheet> {
    let mut bytes = Vec::new();
    let mut found = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        found += 1;
        bytes.extend(read_line(found, line).ok_or(BadSheet::Line(found))?);
    }
    let expected = (1 + 16 + 32 + 11usize).div_ceil(LINE);
    let length = BadSheet::Length { found, expected };
    let (content, check) = bytes.split_at_checked(49).ok_or(length.clone())?;
    if found != expected || check != &blake3::hash(content).as_bytes()[..11] || content[0] != 1 {
        return Err(length);
    }
    let mut repository = [0; 16];
    repository.copy_from_slice(&content[1..17]);
    let mut private = [0; 32];
    private.copy_from_slice(&content[17..]);
    Ok(ReaderFile { repository: RepositoryId(repository), holder: holder.into(), private_key: Secret::new(private) })
}

fn read_line(number: usize, line: &str) -> Option<Vec<u8>> {
    let letters: String = line.chars().filter(|letter| !letter.is_whitespace()).collect::<String>().to_uppercase();
    let letters = letters.trim_start_matches(|letter: char| letter.is_ascii_digit() && !('2'..='7').contains(&letter));
    // The number in front is 1, 2 or 3; 2 and 3 are letters of the alphabet too, so the length decides.
    let letters = if letters.len() == 35 { letters.get(1..)? } else { letters };
    let (body, check) = letters.split_at_checked(letters.len().checked_sub(2)?)?;
    let bytes = BASE32_NOPAD.decode(body.as_bytes()).ok()?;
    (check_letters(number, &bytes) == check).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_comes_back_and_a_slip_is_found_in_its_line() {
        let file = ReaderFile {
            repository: RepositoryId([9; 16]),
            holder: "ops".into(),
            private_key: Secret::new([0xa5; 32]),
        };
        let sheet = to_sheet(&file);
        assert_eq!(sheet.len(), 3);
        let back = from_sheet(&sheet.join("\n").to_lowercase(), "ops").unwrap();
        assert!(back.private_key == file.private_key && back.repository == file.repository);
        let mut slip = sheet.clone();
        slip[1] = slip[1].replacen('A', "B", 1).replacen('U', "V", 1);
        assert_eq!(from_sheet(&slip.join("\n"), "ops").unwrap_err(), BadSheet::Line(2));
        assert!(matches!(from_sheet(&sheet[..2].join("\n"), "ops"), Err(BadSheet::Length { found: 2, .. })));
    }
}
