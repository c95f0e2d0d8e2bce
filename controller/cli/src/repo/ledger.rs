//! The file in which it is kept what was verified when: one for each place of a repository, in the state folder, replaced whole. Copies of one repository have the same id, and rot
//! each by itself.

use std::fs;
use std::io;
use std::path::PathBuf;

use strongroom_repository::scrub::Ledger;
use strongroom_repository::{ObjectId, RepositoryId};

use crate::access::Opened;
use crate::context::Context;
use crate::failure::{Cause, Failure};
use crate::state_file;

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
        state_file::replace(&self.path, ledger.to_text(&self.repository), "keep what was verified")
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> Failure {
        Failure::new("keep what was verified", Cause::File { doing, path: self.path.clone(), source })
    }
}
