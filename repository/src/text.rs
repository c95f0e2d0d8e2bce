//! Raw names in text: readable where they are UTF-8, lossless where they are not.

/// Bytes as text: invalid UTF-8 and control bytes become `\xNN`, a backslash becomes `\\`.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for piece in bytes.utf8_chunks() {
        for letter in piece.valid().chars() {
            match letter {
                '\\' => out.push_str("\\\\"),
                letter if (letter as u32) < 0x20 || letter as u32 == 0x7f => push_byte(&mut out, letter as u8),
                letter => out.push(letter),
            }
        }
        piece.invalid().iter().for_each(|byte| push_byte(&mut out, *byte));
    }
    out
}

fn push_byte(out: &mut String, byte: u8) {
    out.push_str("\\x");
    out.push_str(&data_encoding::HEXLOWER.encode(&[byte]));
}

/// The inverse of [`escape`]; a backslash that begins no escape stands for itself.
#[must_use]
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        match after {
            [b'\\', after @ ..] => {
                out.push(b'\\');
                rest = after;
            }
            [b'x', high, low, after @ ..] if hex(&[*high, *low]).is_some() => {
                out.extend(hex(&[*high, *low]));
                rest = after;
            }
            _ => out.push(b'\\'),
        }
    }
    out
}

fn hex(digits: &[u8; 2]) -> Option<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(digits).ok().and_then(|bytes| bytes.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_survives() {
        for name in
            [&b"plain"[..], "\u{653f}\u{52a1}".as_bytes(), b"\xc5\xcc\xbd\xe1", b"a\\xff", b"tab\there\n", b"\\"]
        {
            assert_eq!(unescape(&escape(name)), name);
        }
        assert_eq!(escape(b"\xff\\"), "\\xff\\\\");
    }
}
