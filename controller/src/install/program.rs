//! The worker's program as a file here: what it is for, and the hash by which a host's copy is checked.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::error::InstallError;

/// Where an ELF file says which processor it is for.
const MACHINE_AT: usize = 18;
const READ_BYTES: usize = 1 << 20;

/// A program to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// What `sha256sum` prints for it.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// What `uname -m` prints on the hosts it is for.
    pub machine: &'static str,
}

impl Program {
    /// Reads the file once.
    pub async fn read(path: &Path) -> Result<Self, InstallError> {
        let failed = |source| InstallError::Program { path: path.to_owned(), source };
        let mut file = File::open(path).await.map_err(failed)?;
        let mut context = digest::Context::new(&digest::SHA256);
        let (mut bytes, mut head) = (0, Vec::new());
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = file.read(&mut buffer).await.map_err(failed)?;
            if read == 0 {
                break;
            }
            if bytes == 0 {
                head = buffer[..read.min(64)].to_vec();
            }
            context.update(&buffer[..read]);
            bytes += read as u64;
        }
        let machine = machine(&head).ok_or_else(|| InstallError::NotAProgram { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), sha256: hex(context.finish().as_ref()), bytes, machine })
    }
}

/// The processor that an ELF file is for.
fn machine(head: &[u8]) -> Option<&'static str> {
    let little_endian_64 = head.starts_with(b"\x7fELF\x02\x01");
    let machine = head.get(MACHINE_AT..MACHINE_AT + 2).filter(|_| little_endian_64)?;
    match u16::from_le_bytes([machine[0], machine[1]]) {
        62 => Some("x86_64"),
        183 => Some("aarch64"),
        243 => Some("riscv64"),
        258 => Some("loongarch64"),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::machine;

    #[test]
    fn only_elf_files_for_known_processors() {
        let elf = |class, low, high| {
            let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
            head[4] = class;
            head.extend([low, high]);
            head
        };
        let rows = [
            (elf(2, 62, 0), Some("x86_64")),
            (elf(2, 183, 0), Some("aarch64")),
            (elf(2, 2, 1), Some("loongarch64")),
            (elf(1, 62, 0), None),
            (elf(2, 40, 0), None),
            (b"#!/bin/sh\nexec something else".to_vec(), None),
            (b"\x7fELF\x02\x01".to_vec(), None),
        ];
        for (head, expected) in rows {
            assert_eq!(machine(&head), expected, "{head:?}");
        }
    }
}
