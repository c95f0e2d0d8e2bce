//! One run from its options to its report.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use strongroom_repository::{
    AboutToCommit, Begin, Committed, Error, Manifest, Repository, Session, SnapshotKind, UnplacedTree, text,
};
use tokio::runtime::Handle;

use super::lanes::with_lanes;
use super::merge::Merger;
use super::tally::Tally;
use super::{
    BackupError, BackupEvent, BackupOptions, BackupReport, CommitGate, EventSink, Input, Outcome, room, stream,
};
use crate::exclude::{Excludes, Filter};
use crate::filesystem::Root;
use crate::owners::Owners;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::read::{Desk, Pool};
use crate::sources::Sources;
use crate::state::{State, StateError, StateKey, StateWriter};
use crate::walk::{Territory, Walk};

/// How long a run that was told to stop is waited for: it does so at the next file, unless the store keeps it waiting.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Backs up. Dropping the future stops the run at the next file; nothing of it is visible then.
pub async fn run(
    repository: Arc<Repository>,
    options: BackupOptions,
    progress: Arc<Progress>,
    events: EventSink,
) -> Result<BackupReport, BackupError> {
    run_if(repository, options, progress, events, Box::new(|_, _| Ok(()))).await
}

/// The same, until `stop` comes. The run has ended then, as far as it did soon, so that the caller may take the runtime away under it.
pub async fn run_until(
    repository: Arc<Repository>,
    options: BackupOptions,
    progress: Arc<Progress>,
    events: EventSink,
    stop: impl Future<Output = ()>,
) -> Result<BackupReport, BackupError> {
    let gate = Box::new(|_: &_, _: &_| Ok(()));
    let (stopping, mut done) = start(repository, options, progress, events, gate)?;
    tokio::select! {
        ended = &mut done => return ended.unwrap_or(Err(BackupError::Thread)),
        () = stop => drop(stopping),
    }
    match tokio::time::timeout(STOP_MAX, done).await {
        Ok(ended) => ended.unwrap_or(Err(BackupError::Thread)),
        Err(_) => Err(BackupError::Stopped),
    }
}

/// The same as [`run`], but what was backed up becomes visible only if the gate lets it.
pub async fn run_if(
    repository: Arc<Repository>,
    options: BackupOptions,
    progress: Arc<Progress>,
    events: EventSink,
    gate: CommitGate,
) -> Result<BackupReport, BackupError> {
    let (_stopping, done) = start(repository, options, progress, events, gate)?;
    // The sender is dropped without a word only if the thread panicked.
    done.await.unwrap_or(Err(BackupError::Thread))
}

type Done = tokio::sync::oneshot::Receiver<Result<BackupReport, BackupError>>;

fn start(
    repository: Arc<Repository>,
    options: BackupOptions,
    progress: Arc<Progress>,
    events: EventSink,
    gate: CommitGate,
) -> Result<(StopOnDrop, Done), BackupError> {
    let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
    let (send, receive) = tokio::sync::oneshot::channel();
    let runner = Runner {
        repository,
        progress,
        events,
        gate,
        stop: Arc::clone(&stop.0),
        runtime: Handle::current(),
        began: Instant::now(),
        now: options.now,
        uploads: options.uploads,
        pace: Arc::clone(&options.pace),
    };
    // A thread of its own: it waits for walkers and lanes, which no async task may do.
    let thread = std::thread::Builder::new().name("backup".into()).spawn(move || {
        // Nobody listens any more if the caller dropped the future.
        let _ = send.send(runner.run(options));
    });
    thread.map_err(|_| BackupError::Thread)?;
    Ok((stop, receive))
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a run has at hand from beginning to end.
pub(super) struct Runner {
    pub(super) repository: Arc<Repository>,
    pub(super) progress: Arc<Progress>,
    pub(super) events: EventSink,
    pub(super) gate: CommitGate,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) runtime: Handle,
    pub(super) began: Instant,
    pub(super) now: Timestamp,
    pub(super) uploads: NonZeroUsize,
    pub(super) pace: Arc<Pace>,
}

/// What the merger sees of it.
#[derive(Clone, Copy)]
pub(super) struct Running<'a> {
    pub(super) repository: &'a Arc<Repository>,
    pub(super) session: &'a Arc<Session>,
    pub(super) progress: &'a Progress,
    pub(super) stop: &'a AtomicBool,
    pub(super) expected: &'a (AtomicU64, AtomicU64),
}

impl Running<'_> {
    /// Fails if the run was given up.
    pub(super) fn check(&self) -> Result<(), BackupError> {
        if self.stop.load(Ordering::Relaxed) { Err(BackupError::Stopped) } else { Ok(()) }
    }

    /// Raises what there is to do, as far as it is known.
    pub(super) fn expect(&self, files: u64, bytes: u64) {
        let files = self.expected.0.fetch_add(files, Ordering::Relaxed) + files;
        let bytes = self.expected.1.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.progress.set_total(files, bytes);
    }
}

/// A tree that is ready to be committed, and what was counted on the way.
pub(super) struct Merged {
    pub(super) session: Arc<Session>,
    pub(super) tree: UnplacedTree,
    pub(super) tally: Tally,
}

impl Runner {
    fn run(mut self, options: BackupOptions) -> Result<BackupReport, BackupError> {
        let threads = options.threads.get();
        let mut manifest = Manifest {
            host: options.host,
            time: options.now,
            finished: options.now,
            kind: options.kind,
            sources: Vec::new(),
            tags: options.tags,
            root: None,
            parent: None,
            program: options.program,
            totals: Default::default(),
            problems: Vec::new(),
        };
        room::check_stream(&options.input, &options.room)?;
        match options.input {
            Input::Stream { name, reader } => {
                stream::run(&mut self, threads, manifest, &options.state_folder, (&name, reader))
            }
            Input::Files { root, sources, excludes } => {
                let shown = |path: &std::path::PathBuf| text::escape(path.as_os_str().as_encoded_bytes());
                manifest.sources = sources.iter().map(shown).collect();
                let root = Root::at(&root).map_err(BackupError::Root)?;
                let files = Files {
                    sources: Sources::resolve(root.path(), &sources)?,
                    filter: Filter::new(&excludes)?,
                    root,
                    key: self.state_key(&manifest, excludes),
                    state_folder: options.state_folder,
                    threads,
                };
                self.check_room(&files, &options.room)?;
                self.files(&files, manifest)
            }
        }
    }

    pub(super) fn state_key(&self, manifest: &Manifest, excludes: Excludes) -> StateKey {
        let mut sources = manifest.sources.clone();
        sources.sort();
        StateKey { repository: self.repository.id(), host: manifest.host.clone(), sources, excludes }
    }

    fn files(&mut self, files: &Files, manifest: Manifest) -> Result<BackupReport, BackupError> {
        let state = if manifest.kind == SnapshotKind::Full { None } else { self.open_state(files)? };
        let had_state = state.is_some();
        match self.attempt(files, manifest.clone(), state) {
            Err(BackupError::StateDamaged) if had_state => {
                (self.events)(BackupEvent::StateLeftAside(StateError::Damaged("a page is not what was written")));
                self.attempt(files, manifest, None)
            }
            // A prune went over it, as over a machine that slept: what was removed is stored again.
            Err(BackupError::Repository(Error::Fenced(why))) => {
                (self.events)(BackupEvent::BeginsAgain { why });
                self.runtime.block_on(self.repository.refresh())?;
                let state = if manifest.kind == SnapshotKind::Full { None } else { self.open_state(files)? };
                self.attempt(files, manifest, state)
            }
            other => other,
        }
    }

    fn open_state(&mut self, files: &Files) -> Result<Option<Arc<State>>, BackupError> {
        let opened = State::open(&files.state_folder, &files.key).and_then(|state| {
            let known = self.repository.history().has_snapshot(&state.snapshot());
            if known { Ok(state) } else { Err(StateError::SnapshotGone) }
        });
        match opened {
            Ok(mut state) => {
                state.doubt(&self.runtime.block_on(self.repository.condemned_frames())?);
                (self.events)(BackupEvent::StateUsed { parent: state.snapshot() });
                Ok(Some(Arc::new(state)))
            }
            Err(why) => {
                (self.events)(BackupEvent::StateLeftAside(why));
                Ok(None)
            }
        }
    }

    fn attempt(
        &mut self,
        files: &Files,
        mut manifest: Manifest,
        state: Option<Arc<State>>,
    ) -> Result<BackupReport, BackupError> {
        manifest.parent = state.as_ref().map(|state| state.snapshot());
        let scan_began = self.clock();
        let next_state = RefCell::new(StateWriter::new(&files.state_folder, &files.key, state.clone()));
        let merged = self.merge(files, &manifest, state.as_deref(), &next_state)?;
        let read_ms = self.elapsed_ms();
        if merged.tally.sources_found == 0 && !files.sources.node(Sources::TOP).whole {
            return self.rested(&merged.session, Err(BackupError::NoSource));
        }
        let (committed, report) = self.commit(merged, manifest, read_ms, state.as_deref())?;
        let scan_began_ns = i64::try_from(scan_began.as_nanosecond()).unwrap_or(i64::MIN);
        if let Err(why) = next_state.into_inner().finish(committed.snapshot, &committed.tree, scan_began_ns) {
            (self.events)(BackupEvent::StateNotKept(why));
        }
        Ok(report)
    }

    fn merge(
        &mut self,
        files: &Files,
        manifest: &Manifest,
        state: Option<&State>,
        next_state: &RefCell<StateWriter>,
    ) -> Result<Merged, BackupError> {
        let notes = files.key.session_notes(&files.state_folder);
        let begin = Begin { parent: manifest.parent, started: self.now, notes: Some(&notes), uploads: self.uploads };
        let session = self.runtime.block_on(self.repository.begin(begin))?;
        let owners = Owners::read(files.root.path());
        let pool = Pool::new(files.threads);
        let walk = Walk::new(Territory { root: &files.root, sources: &files.sources, filter: &files.filter, state });
        let (repository, progress, stop) = (&self.repository, &*self.progress, &*self.stop);
        let desk = Desk {
            root: &files.root,
            repository,
            session: &session,
            owners: &owners,
            pool: &pool,
            progress,
            pace: &self.pace,
            stop,
        };
        let running = Running { repository, session: &session, progress, stop, expected: &Default::default() };
        let merger = Merger::new(running, &pool, state, next_state, &mut self.events);
        let merged = std::thread::scope(|scope| {
            let consumer = walk.consumer();
            (0..files.threads).for_each(|_| drop(scope.spawn(|| walk.work())));
            with_lanes(desk, files.threads, || merger.run(consumer))
        });
        let (tree, tally) = self.rested(&session, merged)?;
        Ok(Merged { session, tree, tally })
    }

    /// Makes the backup durable and, if the gate lets it, visible.
    pub(super) fn commit(
        &mut self,
        merged: Merged,
        mut manifest: Manifest,
        read_ms: u64,
        state: Option<&State>,
    ) -> Result<(Committed, BackupReport), BackupError> {
        let Merged { session, tree, tally } = merged;
        manifest.finished = self.clock();
        manifest.totals = tally.totals;
        manifest.problems = tally.problems;
        let total_ms = self.elapsed_ms();
        let report = |about: &AboutToCommit<'_>| BackupReport {
            snapshot: about.snapshot,
            commit: 0,
            kind: about.manifest.kind,
            outcome: if about.manifest.totals.problems == 0 { Outcome::Complete } else { Outcome::Partial },
            parent: about.manifest.parent,
            unchanged: state.is_some_and(|state| state.tree().root == about.manifest.root),
            totals: about.manifest.totals,
            left_out: tally.left_out,
            torn: tally.torn,
            problems: about.manifest.problems.clone(),
            read_ms,
            total_ms,
        };
        let gate = &mut self.gate;
        let agrees = |about: &AboutToCommit<'_>| gate(about.history, &report(about));
        let committed = self.runtime.block_on(session.commit_if(tree, manifest, agrees));
        let committed = self.rested(&session, committed.map_err(BackupError::Repository))?;
        (self.events)(BackupEvent::Committed { snapshot: committed.snapshot });
        let history = &self.repository.history();
        let about = AboutToCommit { history, snapshot: committed.snapshot, manifest: &committed.manifest };
        let report = BackupReport { commit: committed.commit, total_ms: self.elapsed_ms(), ..report(&about) };
        Ok((committed, report))
    }

    /// What a session came to; one that ends early rests. One that is fenced is begun again at once.
    pub(super) fn rested<T>(&self, session: &Session, done: Result<T, BackupError>) -> Result<T, BackupError> {
        if done.as_ref().is_err_and(|error| !matches!(error, BackupError::Repository(Error::Fenced(_)))) {
            self.runtime.block_on(session.rest());
        }
        done
    }

    /// The caller's clock, moved on by what has passed since.
    pub(super) fn clock(&self) -> Timestamp {
        self.now.checked_add(self.began.elapsed()).unwrap_or(self.now)
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A run over files.
pub(super) struct Files {
    pub(super) root: Root,
    pub(super) sources: Sources,
    pub(super) filter: Filter,
    pub(super) key: StateKey,
    pub(super) state_folder: std::path::PathBuf,
    pub(super) threads: usize,
}
