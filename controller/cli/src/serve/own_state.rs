//! The controller's own state into one repository, on a thread of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_controller::operator::Mode;
use strongroom_controller::own_state::{HOST, SITE_TAG, StateOrder, StoredState};
use strongroom_repository::{RepositoryId, SnapshotKind};
use strongroom_worker::backup::{Input, Outcome};
use strongroom_worker::exclude::Excludes;

use super::runner::Runner;
use crate::access::Opened;
use crate::backup::{self, Request};
use crate::failure::{Cause, Failure};
use crate::own_state::{ABOUT, Gathered, KEYS, Origins, SITE, STATE, gather};
use crate::room;
use crate::run::Scratch;

const WHAT: &str = "store the controller's own state";

impl Runner<'_> {
    /// Stores it, and reports the end.
    pub(super) fn store_state(&self, order: StateOrder) {
        let end = self.do_store_state(&order);
        order.end(end.map_err(|failure| failure.to_string()));
    }

    fn do_store_state(&self, order: &StateOrder) -> Result<StoredState, Failure> {
        let Some(opened) = self.repositories.get(&order.repository) else {
            return Err(Failure::new(WHAT, Cause::Usage("the repository is not open".into())));
        };
        let state = self.context.state_dir()?;
        let scratch = Scratch::at(state.join("scratch").join(format!("own-state-{}", order.repository)));
        scratch.create()?;
        let stored = self.store_from(order, opened, &state, scratch.path());
        let removed = scratch.remove();
        stored.and_then(|stored| removed.map(|()| stored))
    }

    /// Gathers it in an empty directory, and makes a snapshot of that.
    fn store_from(
        &self,
        order: &StateOrder,
        opened: &Opened,
        state: &Path,
        folder: &Path,
    ) -> Result<StoredState, Failure> {
        let origins = Origins {
            journal: &self.journal,
            site: self.site_folder,
            in_force: &order.site,
            state,
            keys: self.key_files()?,
        };
        let Gathered { about, files, bytes } = gather(&origins, folder, self.context)?;
        let (entry, hash) = (about.journal.entry, about.journal.hash);
        let mut stored = StoredState { snapshot: None, entry, hash, files, bytes };
        if order.mode == Mode::Earnest {
            stored.snapshot = Some(self.back_up(opened, request(folder.to_owned(), about.site.name))?);
        }
        Ok(stored)
    }

    /// Makes the snapshot; one that lacks a file is none to begin again from.
    fn back_up(&self, opened: &Opened, request: Request) -> Result<String, Failure> {
        self.context.wait("read what hosts committed", opened.repository.refresh())?;
        let room = room::for_backup(opened, None, self.context)?;
        let report = backup::make(&opened.repository, request, room, self.context)?;
        if report.outcome == Outcome::Partial {
            let first = report.problems.first().map(|problem| format!("{}: {}", problem.path, problem.error));
            let why = Cause::Program(first.unwrap_or_else(|| "some of it could not be read".into()).into());
            return Err(Failure::new(WHAT, why));
        }
        Ok(report.snapshot.hex())
    }

    /// The key files by which the repositories were opened. A passphrase is kept nowhere.
    fn key_files(&self) -> Result<BTreeMap<RepositoryId, PathBuf>, Failure> {
        let mut files = BTreeMap::new();
        for opened in self.repositories.values() {
            let id = opened.repository.id();
            if let Some(path) = self.key.file_for(id)?.filter(|path| path.exists()) {
                files.insert(id, path);
            }
        }
        Ok(files)
    }
}

/// A snapshot whose paths begin in that folder.
fn request(root: PathBuf, site: String) -> Request {
    let sources = [ABOUT, KEYS, SITE, STATE].map(|name| PathBuf::from("/").join(name)).to_vec();
    Request {
        input: Input::Files { root, sources, excludes: Excludes::default() },
        // The folder is a new one each time: nothing is known of its files.
        kind: SnapshotKind::Full,
        host: HOST.into(),
        tags: BTreeMap::from([(SITE_TAG.to_owned(), site)]),
        threads: None,
        pace: Arc::default(),
    }
}
