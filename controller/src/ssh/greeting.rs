//! The line by which a worker begins, so that whatever else a host prints on the stream is an error that can be read.
//!
//! Pure: bytes in, what is known of them out. The waiting is [`super::connection`]'s.

/// The first word of a greeting.
const WORD: &[u8] = b"strongroom-worker ";
/// The version of what follows the greeting.
pub const VERSION: &str = "1";
/// The whole line.
pub const GREETING: &[u8] = strongroom_proto::GREETING.as_bytes();
/// No version is longer. What has that many characters and no end of line is no greeting.
const VERSION_BYTES_MAX: usize = 16;
/// How much of something else is kept for the message about it.
pub const NOISE_BYTES_MAX: usize = 4 << 10;

/// Looks for the greeting in what a command prints.
#[derive(Debug, Default)]
pub struct Listener {
    heard: Vec<u8>,
}

/// What is known so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Too little.
    Nothing,
    /// The worker greeted; these bytes came behind.
    Greeting(Vec<u8>),
    /// A worker greeted with another version.
    OtherVersion(String),
    /// Something else came first, and no more of it is worth waiting for.
    Noise,
}

impl Listener {
    /// Takes what was printed next.
    pub fn hear(&mut self, bytes: &[u8]) -> Heard {
        self.heard.extend_from_slice(bytes);
        if let Some(behind) = self.heard.strip_prefix(GREETING) {
            return Heard::Greeting(behind.to_vec());
        }
        if let Some(version) = self.version() {
            return Heard::OtherVersion(version);
        }
        let greeted_late = self.heard.windows(GREETING.len()).any(|window| window == GREETING);
        match greeted_late || self.heard.len() >= NOISE_BYTES_MAX {
            true => Heard::Noise,
            false => Heard::Nothing,
        }
    }

    /// What was printed, for a message: at most [`NOISE_BYTES_MAX`], and nothing of a greeting that came late.
    #[must_use]
    pub fn noise(&self) -> String {
        let late = self.heard.windows(GREETING.len()).position(|window| window == GREETING);
        let end = late.unwrap_or(self.heard.len()).min(NOISE_BYTES_MAX);
        String::from_utf8_lossy(&self.heard[..end]).trim_end().to_owned()
    }

    /// Another worker's version, once its line is whole.
    fn version(&self) -> Option<String> {
        let behind = self.heard.strip_prefix(WORD)?;
        let end = behind.iter().take(VERSION_BYTES_MAX + 1).position(|byte| *byte == b'\n')?;
        let version = std::str::from_utf8(&behind[..end]).ok()?;
        version.bytes().all(|byte| byte.is_ascii_graphic()).then(|| version.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, Listener, NOISE_BYTES_MAX};

    fn check(pieces: &[&[u8]], expected: Heard, noise: &str) {
        let mut listener = Listener::default();
        let (last, before) = pieces.split_last().expect("pieces");
        for piece in before {
            assert_eq!(listener.hear(piece), Heard::Nothing, "{pieces:?}");
        }
        assert_eq!(listener.hear(last), expected, "{pieces:?}");
        assert_eq!(listener.noise(), noise);
    }

    #[test]
    fn the_greeting_comes_first_or_not_at_all() {
        check(&[b"strongroom-worker 1\n"], Heard::Greeting(vec![]), "");
        check(&[b"strongroom-worker 1\nPRI"], Heard::Greeting(b"PRI".to_vec()), "");
        check(&[b"s", b"trongroom-worker 1", b"\nPRI"], Heard::Greeting(b"PRI".to_vec()), "");
        check(&[b"welcome\n"], Heard::Nothing, "welcome");
        check(&[b"welcome\n", b"strongroom-worker 1\nPRI"], Heard::Noise, "welcome");
        check(&[b"wel", b"come to strongroom-worker", b" 1\n"], Heard::Noise, "welcome to");
        check(&[b"strongroom-worker 2\n"], Heard::OtherVersion("2".to_owned()), "strongroom-worker 2");
        check(&[b"strongroom-worker 10\n"], Heard::OtherVersion("10".to_owned()), "strongroom-worker 10");
        check(&[b"strongroom-worker 1\r\n"], Heard::Nothing, "strongroom-worker 1");
        check(&[b"strongroom-worker: no such file\n"], Heard::Nothing, "strongroom-worker: no such file");
        check(&[&[b'x'; NOISE_BYTES_MAX]], Heard::Noise, &"x".repeat(NOISE_BYTES_MAX));
    }
}
