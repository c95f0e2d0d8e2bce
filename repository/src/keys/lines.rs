//! Bytes as lines that survive paper: numbered, with a check each.
//!
//! Base32 (RFC 4648 alphabet: no 0, 1, 8, 9) in eight groups of four a line; each line ends with a two-letter check of the line, so that
//! a slip of the hand is found where it happened. One wrong letter in a thousand passes that check; the check of the whole, which the bytes hold themselves,
//! finds it, and [`slipped`] where it is.

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

/// Bytes a line: 20 bytes are 32 letters.
pub(super) const LINE: usize = 20;

/// The printable lines, numbered from 1.
pub(super) fn to_lines(bytes: &[u8]) -> Vec<String> {
    let line = |(at, bytes): (usize, &[u8])| {
        let letters = Zeroizing::new(BASE32_NOPAD.encode(bytes));
        let groups: Vec<&str> =
            letters.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
        format!("{}  {}  {}", at + 1, groups.join(" "), check_letters(at + 1, bytes))
    };
    bytes.chunks(LINE).enumerate().map(line).collect()
}

/// Reads lines back; spaces, case and the line numbers do not matter. An error is the number of a line that was not typed as printed.
pub(super) fn from_lines(text: &str) -> Result<Zeroizing<Vec<u8>>, usize> {
    // With its room from the beginning: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    for (at, line) in text.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        bytes.extend_from_slice(&read_line(at + 1, line).ok_or(at + 1)?);
    }
    Ok(bytes)
}

/// The line in which another letter would make the bytes whole.
pub(super) fn slipped(bytes: &[u8], is_whole: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut tried = Zeroizing::new(bytes.to_vec());
    for letter in 0..bytes.len() * 8 / 5 {
        for other in 1..32 {
            change_letter(&mut tried, letter, other);
            if is_whole(&tried) {
                return Some(letter * 5 / 8 / LINE + 1);
            }
            change_letter(&mut tried, letter, other);
        }
    }
    None
}

/// Adds five bits to the letter at a place; the same again takes them away.
fn change_letter(bytes: &mut [u8], letter: usize, bits: u8) {
    let (byte, shift) = (letter * 5 / 8, 11 - letter * 5 % 8);
    let [high, low] = (u16::from(bits) << shift).to_be_bytes();
    bytes[byte] ^= high;
    if let Some(next) = bytes.get_mut(byte + 1) {
        *next ^= low;
    }
}

fn check_letters(number: usize, bytes: &[u8]) -> String {
    let hash = blake3::Hasher::new().update(&[number as u8]).update(bytes).finalize();
    BASE32_NOPAD.encode(&hash.as_bytes()[..2])[..2].to_owned()
}

fn read_line(number: usize, line: &str) -> Option<Zeroizing<Vec<u8>>> {
    let letters: String = line.chars().filter(|letter| !letter.is_whitespace()).collect();
    let letters = Zeroizing::new(Zeroizing::new(letters).to_uppercase());
    let letters = letters.trim_start_matches(|letter: char| letter.is_ascii_digit() && !('2'..='7').contains(&letter));
    // The number in front is 1, 2, 3 or 4; from 2 on they are letters of the alphabet too, so the length decides.
    let letters = if letters.len() == 35 { letters.get(1..)? } else { letters };
    let (body, check) = letters.split_at_checked(letters.len().checked_sub(2)?)?;
    let bytes = Zeroizing::new(BASE32_NOPAD.decode(body.as_bytes()).ok()?);
    (check_letters(number, &bytes) == check).then_some(bytes)
}
