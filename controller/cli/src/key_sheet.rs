//! Key sheets as people bring them: one whole key, or enough shares of one, each typed into a file.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use strongroom_repository::keys::{BadShares, KeyShare, ReaderFile, Sheet, read_sheet};
use zeroize::Zeroizing;

use crate::failure::{Cause, Failure};
use crate::key_file;

/// The key that these sheets are, or give together.
pub(crate) fn read(paths: &[PathBuf], holder: &str) -> Result<ReaderFile, Failure> {
    let mut sheets = paths.iter().map(|path| read_one(path, holder)).collect::<Result<Vec<_>, _>>()?;
    if let [Sheet::Key(_)] = &sheets[..]
        && let Some(Sheet::Key(file)) = sheets.pop()
    {
        return Ok(file);
    }
    let share = |sheet| match sheet {
        Sheet::Share(share) => Some(share),
        Sheet::Key(_) => None,
    };
    let shares: Option<Vec<KeyShare>> = sheets.into_iter().map(share).collect();
    let Some(shares) = shares else {
        let why = Cause::Usage("one of them is a whole key, which is enough alone".into());
        return Err(Failure::new(what(paths), why).advise("give that one only"));
    };
    KeyShare::join(&shares, holder).map_err(|bad| {
        let next = match &bad {
            BadShares::TooFew { .. } => "give one more file for each further sheet; each holder of a sheet has one",
            BadShares::Twice { .. } => "give another sheet in its place",
            BadShares::OtherRepository { .. } | BadShares::OtherSplit { .. } => {
                "look at the lines with # on the paper: repository and split are the same on all sheets that belong together"
            }
            BadShares::Contradict => "try other sheets of the same split",
        };
        Failure::new(what(paths), Cause::Key(bad.to_string())).advise(next)
    })
}

fn read_one(path: &Path, holder: &str) -> Result<Sheet, Failure> {
    let text = text(path)?;
    let typed = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    read_sheet(&Zeroizing::new(typed), holder).map_err(|bad| {
        let why = Cause::Usage(bad.to_string());
        Failure::new(what(&[path.to_owned()]), why).advise(
            "compare with the paper: 0 and O, 1 and I, 8 and B are easily mistaken; the sheet has no 0, 1, 8 and 9",
        )
    })
}

fn what(paths: &[PathBuf]) -> String {
    let all: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    format!("read the key sheet{} {}", if all.len() == 1 { "" } else { "s" }, all.join(", "))
}

fn text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    if path.as_os_str() != "-" {
        return key_file::secret_text(path, "key sheet");
    }
    let mut text = Zeroizing::new(String::new());
    let read = io::stdin().read_to_string(&mut text);
    read.map_err(|source| Failure::new("read the key sheet", Cause::Program(Box::new(source))))?;
    Ok(text)
}
