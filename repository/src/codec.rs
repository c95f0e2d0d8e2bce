//! Bounded reading and writing of the binary parts of the format. Reading never panics and never allocates more than the input could hold.

/// The bytes do not follow the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {what} at byte {at}")]
pub struct Malformed {
    /// Which part was being read.
    pub what: &'static str,
    /// Where in the buffer.
    pub at: usize,
}

/// A cursor over outside bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the front.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The position, in bytes from the front.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error at the present position.
    #[must_use]
    pub fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(Malformed { what, at: self.at })?;
        self.at += count;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(self.array::<1>(what)?[0])
    }

    /// A little-endian u32.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// A little-endian u64.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// An unsigned LEB128 number.
    #[inline]
    pub fn varint(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let at = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed { what, at })
    }

    /// A varint that must fit 32 bits.
    pub fn varint32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        let at = self.at;
        u32::try_from(self.varint(what)?).map_err(|_| Malformed { what, at })
    }

    /// A zigzag-mapped signed number.
    pub fn zigzag(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let raw = self.varint(what)?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// A length-prefixed byte string.
    pub fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let count = self.count(1, what)?;
        self.take(count, what)
    }

    /// A varint count of items of at least `item_size` bytes each; refuses one that the rest of the input cannot hold.
    pub fn count(&mut self, item_size: usize, what: &'static str) -> Result<usize, Malformed> {
        let at = self.at;
        let count = self.varint(what)?;
        self.fits(count, item_size).ok_or(Malformed { what, at })
    }

    /// A u32 count of items of at least `item_size` bytes each, with the same refusal.
    pub fn count32(&mut self, item_size: usize, what: &'static str) -> Result<usize, Malformed> {
        let at = self.at;
        let count = u64::from(self.u32(what)?);
        self.fits(count, item_size).ok_or(Malformed { what, at })
    }

    fn fits(&self, count: u64, item_size: usize) -> Option<usize> {
        let count = usize::try_from(count).ok()?;
        (count.checked_mul(item_size)? <= self.remaining()).then_some(count)
    }

    /// Fails unless everything was read.
    pub fn finish(self, what: &'static str) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(self.malformed(what)) }
    }
}

/// Appends an unsigned LEB128 number.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a zigzag-mapped signed number.
pub fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends a length-prefixed byte string.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(Reader::new(&out).varint("n"), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX, -2_208_988_800] {
            let mut out = Vec::new();
            put_zigzag(&mut out, value);
            assert_eq!(Reader::new(&out).zigzag("n"), Ok(value));
        }
    }

    #[test]
    fn a_count_that_cannot_fit_is_refused() {
        let mut out = Vec::new();
        put_varint(&mut out, 1 << 40);
        assert!(Reader::new(&out).count(1, "list").is_err());
        assert!(Reader::new(&[0xff; 11]).varint("n").is_err());
        assert!(Reader::new(&[0x80]).varint("n").is_err());
    }
}
