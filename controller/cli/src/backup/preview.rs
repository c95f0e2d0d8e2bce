//! `backup --dry-run`: the walk of a backup without the backup.

use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use strongroom_repository::text::escape;
use strongroom_repository::{Kind, Problem, Repository};
use strongroom_worker::backup::{BackupError, Input};
use strongroom_worker::exclude::{Excludes, Filter};
use strongroom_worker::filesystem::Root;
use strongroom_worker::remarks::Remark;
use strongroom_worker::sources::Sources;
use strongroom_worker::state::{State, StateKey, Tallies};
use strongroom_worker::walk::{Contents, Listing, Nodes, Territory, Walk};

use super::{Request, state_folder};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Answer;
use crate::shown::{count, size};

/// What a backup would find.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Preview {
    dry_run: bool,
    files: u64,
    directories: u64,
    others: u64,
    bytes: u64,
    /// Files that are new or changed since the last backup, and would be read.
    files_to_read: u64,
    bytes_to_read: u64,
    left_out: u64,
    problems: Vec<Problem>,
}

/// Walks the sources on threads of their own.
pub(super) fn look(repository: &Arc<Repository>, request: &Request, context: &Context) -> Result<Preview, Failure> {
    let what = "look at what would be backed up";
    let Input::Files { root, sources, excludes } = &request.input else {
        return Err(Failure::new(what, Cause::Usage("a stream can be looked at only once".into())));
    };
    let failed = |error: BackupError| Failure::new(what, error);
    let root = Root::at(root).map_err(|error| failed(BackupError::Root(error)))?;
    let merged = Sources::resolve(root.path(), sources).map_err(|error| failed(error.into()))?;
    let filter = Filter::new(excludes).map_err(|error| failed(error.into()))?;
    let state = earlier(repository, request, (sources, excludes), context)?;
    let walk = Walk::new(Territory { root: &root, sources: &merged, filter: &filter, state: state.as_ref() });
    let mut preview = Preview { dry_run: true, ..Preview::default() };
    std::thread::scope(|scope| {
        let mut consumer = walk.consumer();
        (0..context.threads().get()).for_each(|_| drop(scope.spawn(|| walk.work())));
        while let Some(listing) = consumer.next_listing().map_err(|error| failed(error.into()))? {
            if let Some(signal) = context.signals.received() {
                return Err(Failure::new(what, Cause::Stopped(signal)));
            }
            preview.add(listing, state.as_ref());
        }
        Ok(preview)
    })
}

/// What is known of the last backup of the same sources, if it counts.
fn earlier(
    repository: &Repository,
    request: &Request,
    (sources, excludes): (&[std::path::PathBuf], &Excludes),
    context: &Context,
) -> Result<Option<State>, Failure> {
    if request.kind == strongroom_repository::SnapshotKind::Full {
        return Ok(None);
    }
    let mut sources: Vec<String> = sources.iter().map(|path| escape(path.as_os_str().as_encoded_bytes())).collect();
    sources.sort();
    let key = StateKey { repository: repository.id(), host: request.host.clone(), sources, excludes: excludes.clone() };
    let state = State::open(&state_folder(context)?, &key).ok();
    Ok(state.filter(|state| repository.history().has_snapshot(&state.snapshot())))
}

impl Preview {
    /// A path that cannot be looked at makes a backup partial.
    pub(super) fn exit(&self) -> Exit {
        if self.problems.is_empty() { Exit::Success } else { Exit::Partial }
    }

    fn add(&mut self, listing: Listing, state: Option<&State>) {
        self.left_out += listing.left_out;
        self.problems.extend(listing.remarks.into_iter().filter_map(problem));
        match listing.contents {
            Contents::Unchanged(directory) => {
                if let Some((_, tallies)) = state.and_then(|state| state.span(directory)) {
                    self.add_unchanged(&tallies);
                }
            }
            Contents::Listed(nodes) => self.add_nodes(&nodes),
        }
    }

    fn add_unchanged(&mut self, tallies: &Tallies) {
        self.files += tallies.files;
        self.directories += tallies.directories;
        self.others += tallies.others;
        self.bytes += tallies.bytes;
    }

    fn add_nodes(&mut self, nodes: &Nodes) {
        for (_, node) in nodes.iter() {
            match node.stat.kind() {
                Some(Kind::File) => {
                    self.files += 1;
                    self.bytes += node.stat.size;
                    if node.unchanged.is_none() {
                        self.files_to_read += 1;
                        self.bytes_to_read += node.stat.size;
                    }
                }
                Some(Kind::Directory) => self.directories += 1,
                _ => self.others += 1,
            }
        }
    }
}

fn problem(remark: Remark) -> Option<Problem> {
    match remark {
        Remark::Problem(problem) => Some(Problem {
            path: format!("/{}", escape(&problem.path)),
            error: format!("{problem}: {}", problem.source),
        }),
        Remark::Notice { .. } => None,
    }
}

impl Answer for Preview {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { files, directories, others, bytes, files_to_read, bytes_to_read, left_out, problems, .. } = self;
        writeln!(
            out,
            "would hold {} files, {} directories, {} others; {}",
            count(*files),
            count(*directories),
            count(*others),
            size(*bytes)
        )?;
        writeln!(
            out,
            "would read {} files of {}, new or changed since the last backup",
            count(*files_to_read),
            size(*bytes_to_read)
        )?;
        writeln!(out, "would leave out {} files and directories by rule", count(*left_out))?;
        problems.iter().try_for_each(|problem| writeln!(out, "problem: {}: {}", problem.path, problem.error))?;
        writeln!(out, "nothing was stored")
    }
}
