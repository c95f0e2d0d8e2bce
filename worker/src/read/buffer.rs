//! Memory to read into, zeroed once and used again and again.

/// Bytes of which the first so many are filled.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// What is filled.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// The free room up to `end` bytes altogether.
    pub fn room_to(&mut self, end: usize) -> &mut [u8] {
        if self.bytes.len() < end {
            let mut larger = vec![0; end];
            larger[..self.filled].copy_from_slice(&self.bytes[..self.filled]);
            self.bytes = larger;
        }
        &mut self.bytes[self.filled..end.max(self.filled)]
    }

    /// Counts `more` bytes of the room as filled.
    pub fn advance(&mut self, more: usize) {
        self.filled = (self.filled + more).min(self.bytes.len());
    }

    /// Appends bytes; `capacity` is how much will be asked of it later, so that it grows once.
    pub fn append(&mut self, bytes: &[u8], capacity: usize) {
        let end = self.filled + bytes.len();
        self.room_to(end.max(capacity))[..bytes.len()].copy_from_slice(bytes);
        self.filled = end;
    }

    /// Forgets what was filled, and keeps the memory.
    pub fn clear(&mut self) {
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_stays_when_it_grows() {
        let mut buffer = Buffer::default();
        buffer.append(b"abc", 4);
        buffer.room_to(5)[0] = b'd';
        buffer.advance(1);
        assert_eq!(buffer.room_to(100).len(), 96);
        assert_eq!(buffer.filled(), b"abcd");
        assert!(buffer.room_to(2).is_empty());
        buffer.clear();
        assert!(buffer.filled().is_empty());
    }
}
