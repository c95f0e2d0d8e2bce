//! A key on several sheets, of which some are enough: one file for each, to be printed and taken apart.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_repository::RepositoryId;
use strongroom_repository::keys::{KeyShare, ReaderFile, SHARES_MAX, to_share_sheet};
use zeroize::Zeroizing;

use crate::failure::{Cause, Failure};
use crate::key_file::Reserved;
use crate::output::Answer;

/// `2/3`: how many of how many sheets give the key back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    needed: u8,
    count: u8,
}

impl Parts {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(needed, count)| Some((needed.parse().ok()?, count.parse().ok()?)));
        let (needed, count) = numbers.ok_or("write K/N, such as 2/3")?;
        match 2 <= needed && needed <= count && count <= SHARES_MAX {
            true => Ok(Self { needed, count }),
            false => Err(format!("at least 2 sheets must be needed, no more than there are, and {SHARES_MAX} at most")),
        }
    }
}

/// What was written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Shares {
    repository: RepositoryId,
    holder: String,
    split: String,
    needed: u8,
    files: Vec<PathBuf>,
}

/// Splits a key, and writes a sheet for each share: all of them or none.
pub(super) fn write(file: &ReaderFile, parts: Parts, folder: &Path) -> Result<Shares, Failure> {
    let path = |number: u8| folder.join(format!("key-share-{number}-of-{}.txt", parts.count));
    let files: Vec<PathBuf> = (1..=parts.count).map(path).collect();
    if let Some(taken) = files.iter().find(|path| path.symlink_metadata().is_ok()) {
        let source = io::Error::from(io::ErrorKind::AlreadyExists);
        let why = Cause::File { doing: "create", path: taken.clone(), source };
        return Err(Failure::new("write the shares of a key", why)
            .advise("give another directory with --out: sheets of two splits do not belong together"));
    }
    let shares = KeyShare::split(file, parts.needed, parts.count);
    for (at, (share, path)) in shares.iter().zip(&files).enumerate() {
        let kept = Reserved::beside(path).and_then(|reserved| reserved.keep_text(&sheet(share, file), path));
        // Some shares of a split are of no use, and would stand in the way of the next one.
        kept.inspect_err(|_| files[..at].iter().for_each(|path| _ = std::fs::remove_file(path)))?;
    }
    let split = shares.first().map(KeyShare::mark).unwrap_or_default();
    Ok(Shares { repository: file.repository, holder: file.holder.clone(), split, needed: parts.needed, files })
}

fn sheet(share: &KeyShare, file: &ReaderFile) -> Zeroizing<String> {
    let lines = to_share_sheet(share);
    // With its room from the beginning: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(2048));
    let (number, count, needed) = (share.number(), share.count(), share.needed());
    // Writing into a string does not fail.
    let _ = write!(
        text,
        "# Strongroom key sheet: share {number} of {count}. Any {needed} of them together open every backup in the repository; fewer open nothing.\n\
         # repository {}, holder {}, split {}\n\
         # Keep the sheets apart: in different places, with different people.\n\
         #\n\
         {}\n\
         #\n\
         # To use it, type the four numbered lines of {needed} sheets into a file each (readable by you alone, chmod 600) and run\n\
         #   strongroom key sheet{} --key-file KEY.json\n\
         # or, where the controller is lost, too,\n\
         #   strongroom recover --repo URL{} --into DIR\n\
         # The letters are A to Z and 2 to 7; a slip is found in its line.\n",
        file.repository,
        file.holder,
        share.mark(),
        lines.join("\n"),
        " --from-sheet FILE".repeat(needed.into()),
        " --sheet FILE".repeat(needed.into()),
    );
    text
}

impl Answer for Shares {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.files.iter().try_for_each(|path| writeln!(out, "{}", path.display()))?;
        writeln!(
            out,
            "any {} of them open every backup in repository {}; fewer open nothing",
            self.needed, self.repository
        )?;
        writeln!(out, "print each, give them to different people, and delete the files")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_or_told_what_is_wrong() {
        assert_eq!(Parts::parse("2/3"), Ok(Parts { needed: 2, count: 3 }));
        assert_eq!(Parts::parse("9/9"), Ok(Parts { needed: 9, count: 9 }));
        for text in ["", "2", "2/", "1/3", "4/3", "2/10", "0/0", "-2/3", "2/3/4"] {
            assert!(Parts::parse(text).is_err(), "{text}");
        }
    }
}
