//! The file in which it is kept what was verified when: one for each place of a repository, in the state folder, replaced whole. Copies of one repository have the same id, and rot
//! each by itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use strongroom_repository::scrub::Ledger;
use strongroom_repository::{ObjectId, RepositoryId};

use crate::access::{Opened, create_private};
use crate::context::Context;
use crate::failure::{Cause, Doing, Failure};

/// Enough to tell the places of one repository apart.
const PLACE_DIGITS: usize = 16;

/// The ledger file of a repository at one place.
pub(crate) struct LedgerFile {
    path: PathBuf,
    repository: RepositoryId,
}

impl LedgerFile {
    /// Where it is; its folder is made when it is first kept.
    pub(crate) fn of(opened: &Opened, context: &Context) -> Result<Self, Failure> {
        let repository = opened.repository.id();
        let place = ObjectId::of(opened.location.to_string().as_bytes()).hex();
        let name = format!("{repository}-{}", &place[..PLACE_DIGITS]);
        Ok(Self { path: context.state_dir()?.join("verified").join(name), repository })
    }

    /// What is in it. One that is absent or damaged only means that more is read again, which is said.
    pub(crate) fn read(&self, context: &Context) -> Result<Ledger, Failure> {
        match fs::read_to_string(&self.path) {
            Ok(text) => {
                Ok(Ledger::parse(&text, &self.repository).unwrap_or_else(|bad| self.leave_aside(&bad, context)))
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(Ledger::default()),
            Err(source) if source.kind() == io::ErrorKind::InvalidData => Ok(self.leave_aside(&source, context)),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    fn leave_aside(&self, why: &dyn std::error::Error, context: &Context) -> Ledger {
        context.say(&format!("{}: {why}; everything counts as not verified yet", self.path.display()));
        Ledger::default()
    }

    /// Replaces it: whoever looks sees the old one or the new one, also after a power cut.
    pub(crate) fn keep(&self, ledger: &Ledger) -> Result<(), Failure> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        create_private(folder).doing(|| "keep what was verified".into())?;
        let temporary = self.path.with_extension(format!("new-{}", std::process::id()));
        let text = ledger.to_text(&self.repository);
        let written = write_durably(&temporary, text.as_bytes()).and_then(|()| fs::rename(&temporary, &self.path));
        let written = written.and_then(|()| File::open(folder)?.sync_all());
        written.map_err(|source| {
            // The one that matters is in its place still.
            let _ = fs::remove_file(&temporary);
            self.failed("write", source)
        })
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> Failure {
        Failure::new("keep what was verified", Cause::File { doing, path: self.path.clone(), source })
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
