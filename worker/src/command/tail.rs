//! The last words of a command.

use std::io::{self, Read};

/// The last lines say why; more would drown the report.
const BYTES_MAX: usize = 4 << 10;
/// A command that prints without end must not keep its reader from looking at the clock.
const FILL_BYTES_MAX: usize = 1 << 20;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// Reads what there is; false at the end of the pipe.
    pub(super) fn fill(&mut self, pipe: &mut impl Read) -> bool {
        let mut buffer = [0; BYTES_MAX];
        let mut count_all = 0;
        while count_all < FILL_BYTES_MAX {
            match pipe.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    count_all += count;
                    self.add(&buffer[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let surplus = self.bytes.len().saturating_sub(BYTES_MAX);
        self.bytes.drain(..surplus);
    }

    /// What was said, in one line.
    pub(super) fn text(&self) -> String {
        let text = strongroom_repository::text::escape(&self.bytes).replace("\\x0a", "\n");
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" / ")
    }
}
