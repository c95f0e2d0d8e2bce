//! Three writers that use again what was just condemned, two prunes, a reader, and dice that stop, kill and wake any of them between any two requests. In the end everything
//! that the history promises must be there, to the last byte. The same with a copy that is brought up to date and pruned meanwhile.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use object_store::ObjectStore;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use strongroom_repository::copy::{self, CopyProgress};
use strongroom_repository::prune::PruneOptions;
use strongroom_repository::store::{InMemory, LocalStore};
use strongroom_repository::{Committed, Error, ErrorKind, KeyFile, Parameters, UnplacedTree, check};
use tokio::task::JoinHandle;

use super::gate::{Actor, Ending, Gate, Gated};
use super::scene::{Files, back_up, begin, commit, files, open, options, prune_with, read, read_all, write};
use crate::common::Fixture;

/// Who is in a world of one store, and in one with a copy.
const ALONE: [Role; 6] = [Role::Write, Role::Write, Role::Write, Role::Prune, Role::Prune, Role::Read];
const WITH_A_COPY: [Role; 7] =
    [Role::Write, Role::Write, Role::Prune, Role::Copy, Role::Copy, Role::PruneCopy, Role::ReadCopy];
/// Requests that are let through in one world; a backup takes about ten, a prune thirty.
const STEPS: usize = 2500;

/// What an actor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Write,
    Prune,
    Read,
    /// Brings snapshots into the copy.
    Copy,
    PruneCopy,
    ReadCopy,
}

struct World {
    fixture: Fixture,
    copy: Arc<InMemory>,
    cast: &'static [Role],
    gate: Arc<Gate>,
    dice: StdRng,
    /// What each place does; a killed one is followed by another with its own cache.
    tasks: Vec<Task>,
    next_actor: Actor,
    tally: Arc<Mutex<HashMap<&'static str, usize>>>,
}

struct Task {
    actor: Actor,
    handle: JoinHandle<()>,
    /// Steps that it sleeps for.
    asleep: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_runs_beside_a_prune_nothing_that_is_needed_is_lost() {
    let happened = &["backup", "unchanged", "swept", "moved", "read", "killed", "refused"];
    live_through_worlds(&ALONE, 500, happened).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_runs_beside_a_copy_both_are_whole() {
    let happened = &["backup", "swept", "copied", "packed anew", "brought whole", "read", "killed", "refused"];
    live_through_worlds(&WITH_A_COPY, 300, happened).await;
}

async fn live_through_worlds(cast: &'static [Role], full: u64, happened: &[&str]) {
    let first = std::env::var("STRONGROOM_TESTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_122);
    let is_full = std::env::var_os("STRONGROOM_TESTS_FULL").is_some_and(|value| value == "1");
    let mut total: HashMap<&'static str, usize> = HashMap::new();
    for seed in first..first + if is_full { full } else { 20 } {
        let mut world = World::new(seed, cast).await;
        world.live().await;
        world.judge(seed).await;
        for (what, count) in world.tally.lock().unwrap().iter() {
            *total.entry(what).or_default() += count;
        }
    }
    // A simulation in which nothing happens proves nothing.
    for what in happened {
        assert!(total.get(*what).is_some_and(|count| *count > 0), "there was no '{what}': {total:?}");
    }
}

impl World {
    async fn new(seed: u64, cast: &'static [Role]) -> Self {
        // Packs of a dozen files, so that a backup has several and a prune finds some of them half needed.
        let fixture = Fixture::with(Parameters {
            frame_target: 8 << 10,
            pack_target: 24 << 10,
            parity_percent: 3,
            ..Parameters::small()
        })
        .await;
        Self {
            fixture,
            copy: Arc::default(),
            cast,
            gate: Arc::default(),
            dice: StdRng::seed_from_u64(seed),
            tasks: Vec::new(),
            next_actor: 0,
            tally: Arc::default(),
        }
    }

    async fn live(&mut self) {
        let repository = self.fixture.open().await;
        for version in 0..3 {
            back_up(&repository, &files(0..30, version)).await.unwrap();
        }
        copy::make(&repository, &(self.copy.clone() as Arc<dyn ObjectStore>)).await.unwrap();
        for place in 0..self.cast.len() {
            let task = self.start(place);
            self.tasks.push(task);
        }
        for _ in 0..STEPS {
            self.step().await;
        }
        // Everybody ends what they have begun.
        loop {
            self.await_request().await;
            if self.tasks.iter().all(|task| self.gate.has_ended(task.actor)) {
                break;
            }
            for actor in self.gate.waiting() {
                self.gate.let_through(actor, 0);
            }
        }
        for task in self.tasks.drain(..) {
            task.handle.await.unwrap_or_else(|lost| panic!("{lost}\n{}", self.gate.log()));
        }
    }

    async fn step(&mut self) {
        for place in 0..self.tasks.len() {
            if self.gate.has_ended(self.tasks[place].actor) {
                let next = self.start(place);
                let ended = std::mem::replace(&mut self.tasks[place], next);
                ended.handle.await.unwrap_or_else(|lost| panic!("{lost}\n{}", self.gate.log()));
            }
            self.tasks[place].asleep = self.tasks[place].asleep.saturating_sub(1);
        }
        self.await_request().await;
        let place = self.dice.random_range(0..self.tasks.len());
        match self.dice.random_range(0..400) {
            0 if !matches!(self.cast[place], Role::Read | Role::ReadCopy) => self.kill(place),
            1..7 => self.tasks[place].asleep = self.dice.random_range(20..200),
            _ => {}
        }
        let awake: Vec<Actor> = self.tasks.iter().filter(|task| task.asleep == 0).map(|task| task.actor).collect();
        let waiting: Vec<Actor> = self.gate.waiting().into_iter().filter(|actor| awake.contains(actor)).collect();
        if !waiting.is_empty() {
            let actor = waiting[self.dice.random_range(0..waiting.len())];
            self.gate.let_through(actor, self.dice.random_range(0..8));
        }
    }

    /// Until somebody waits at the gate, or has ended.
    async fn await_request(&self) {
        loop {
            let changed = self.gate.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.gate.waiting().is_empty() || self.tasks.iter().all(|task| self.gate.has_ended(task.actor)) {
                return;
            }
            changed.await;
        }
    }

    fn kill(&mut self, place: usize) {
        self.gate.kill(self.tasks[place].actor);
        self.tasks[place].handle.abort();
        self.count("killed");
        self.tasks[place] = self.start(place);
    }

    fn count(&self, what: &'static str) {
        *self.tally.lock().unwrap().entry(what).or_default() += 1;
    }

    /// The next thing that is done at a place.
    fn start(&mut self, place: usize) -> Task {
        let actor = self.next_actor;
        self.next_actor += 1;
        let gated = |inner: Arc<dyn ObjectStore>| Arc::new(Gated { inner, gate: Arc::clone(&self.gate), actor });
        let role = self.cast[place];
        let (source, copy) = (gated(self.fixture.store.clone()), gated(self.copy.clone()));
        let actions = Actions {
            store: if matches!(role, Role::PruneCopy | Role::ReadCopy) { copy.clone() } else { source },
            copy,
            key: self.fixture.key.clone(),
            cache: self.fixture.cache.path().join(format!("place {place}")),
            dice: StdRng::seed_from_u64(self.dice.random()),
            tally: Arc::clone(&self.tally),
        };
        let gate = Arc::clone(&self.gate);
        let ending = Ending(Arc::clone(&self.gate), actor);
        let handle = tokio::spawn(async move {
            let _ending = ending;
            let done = match role {
                Role::Write => actions.write().await,
                Role::Prune | Role::PruneCopy => actions.prune().await,
                Role::Read | Role::ReadCopy => actions.read().await,
                Role::Copy => actions.copy().await,
            };
            gate.note(format!("{actor} ends: {done:?}"));
            if let Err(error) = done {
                let is_killed = error.to_string().contains("killed") || format!("{error:?}").contains("killed");
                assert!(is_killed || error.kind() == ErrorKind::Refused, "{actor}: {error:?}");
            }
        });
        Task { actor, handle, asleep: 0 }
    }

    /// What is there in the end, by a handle that knows nothing, by a check of every byte, and by the reader that shares no code with the engine.
    async fn judge(&self, seed: u64) {
        let judged = async {
            self.judge_store(self.fixture.store.clone()).await;
            if self.cast.contains(&Role::Copy) {
                self.judge_store(self.copy.clone()).await;
            }
        };
        if let Err(lost) = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(judged)).await {
            let told = format!("seed {seed}\n{}\n", self.gate.log());
            std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).unwrap();
            std::panic::resume_unwind(lost);
        }
    }

    async fn judge_store(&self, store: Arc<InMemory>) {
        let snapshots = read_all(store.clone(), &self.fixture.key).await;
        let cache = tempfile::tempdir().unwrap();
        let repository = open(store.clone(), &self.fixture.key, cache.path()).await.unwrap();
        let report = check::run(&repository, check::Depth::ReadData, Arc::default()).await.unwrap();
        assert!(report.is_sound(), "{:?} {:?}", report.faults, report.affected);
        let impatient = PruneOptions { fence_after: Duration::ZERO, ..options() };
        for _ in 0..3 {
            prune_with(&repository, &impatient).await.unwrap();
        }
        assert_eq!(read_all(store.clone(), &self.fixture.key).await, snapshots);
        let (plan, _) = prune_with(&repository, &impatient).await.unwrap();
        assert!(plan.packs.is_empty() && plan.strays.is_empty(), "{plan:?}");
        self.ask_the_independent_reader(&*store).await;
    }

    async fn ask_the_independent_reader(&self, store: &dyn ObjectStore) {
        let Some(venv) = std::env::var_os("STRONGROOM_READER_VENV").map(PathBuf::from) else { return };
        let folder = tempfile::tempdir().unwrap();
        let local = LocalStore::open(&folder.path().join("repository")).unwrap();
        copy_all(store, &local).await;
        let key = folder.path().join("key.json");
        std::fs::write(&key, self.fixture.key.to_text()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/independent_reader.py");
        let mut reader = Command::new(venv.join("bin/python"));
        reader.arg(script).arg(folder.path().join("repository")).arg("--key").arg(&key);
        let said = reader.args(["verify", "every"]).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
}

async fn copy_all(from: &dyn ObjectStore, to: &dyn ObjectStore) {
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;
    let all: Vec<_> = from.list(None).try_collect().await.unwrap();
    for meta in all {
        let bytes = from.get(&meta.location).await.unwrap().bytes().await.unwrap();
        let create = object_store::PutOptions::from(object_store::PutMode::Create);
        to.put_opts(&meta.location, bytes.into(), create).await.unwrap();
    }
}

/// What one actor does, from opening the repository to the end.
struct Actions {
    store: Arc<dyn ObjectStore>,
    copy: Arc<dyn ObjectStore>,
    key: KeyFile,
    cache: PathBuf,
    dice: StdRng,
    tally: Arc<Mutex<HashMap<&'static str, usize>>>,
}

impl Actions {
    fn count(&self, what: &'static str, times: usize) {
        *self.tally.lock().unwrap().entry(what).or_default() += times;
    }

    /// A few files of few versions: most of their chunks were stored before, and condemned, and are stored again.
    fn some_files(&mut self) -> Files {
        let (start, count) = (self.dice.random_range(0..30), self.dice.random_range(5..25));
        let version = self.dice.random_range(0..3);
        (start..start + count).map(|number| (number, version)).collect()
    }

    async fn write(mut self) -> Result<(), Error> {
        let repository = open(self.store.clone(), &self.key, &self.cache).await?;
        let wanted = self.some_files();
        let first = self.outcome(back_up(&repository, &wanted).await)?;
        self.count("backup", usize::from(first.is_some()));
        let Some(first) = first.filter(|_| self.dice.random_ratio(1, 2)) else { return Ok(()) };
        // The next run finds nothing changed, and takes the whole tree over without a look at the index.
        repository.refresh().await?;
        let session = match self.outcome(begin(&repository, Some(first.snapshot)).await)? {
            Some(session) => session,
            None => return Ok(()),
        };
        let more = self.some_files();
        let unused = if self.dice.random_ratio(1, 3) { Some(write(&session, &more).await?) } else { None };
        drop(unused);
        let tree = UnplacedTree::taken_over(first.tree);
        let again: Option<Committed> = self.outcome(commit(&session, tree, &wanted).await)?;
        self.count("unchanged", usize::from(again.is_some()));
        Ok(())
    }

    /// A refusal is an answer, not a fault.
    fn outcome<T>(&self, done: Result<T, Error>) -> Result<Option<T>, Error> {
        match done {
            Ok(value) => Ok(Some(value)),
            Err(Error::Fenced(_) | Error::ParentGone(_)) => {
                self.count("refused", 1);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn prune(mut self) -> Result<(), Error> {
        let repository = open(self.store.clone(), &self.key, &self.cache).await?;
        let snapshots: Vec<_> = repository.history().snapshots.iter().map(|added| added.snapshot).collect();
        let going: Vec<_> = snapshots.into_iter().filter(|_| self.dice.random_ratio(1, 3)).collect();
        if !going.is_empty() {
            match repository.forget(&going).await {
                // The other one was faster.
                Err(Error::NoSnapshot(_)) => {}
                done => _ = done?,
            }
        }
        let fence_after = if self.dice.random_ratio(1, 4) { Duration::ZERO } else { Duration::from_secs(3600) };
        let unused_percent_max = *[0, 0, 30].get(self.dice.random_range(0..3)).unwrap();
        let options = PruneOptions { fence_after, unused_percent_max, ..options() };
        if let Some((_, report)) = self.outcome(prune_with(&repository, &options).await)? {
            self.count("swept", report.swept as usize);
            self.count("moved", report.moved.frames as usize);
            self.count("fenced", report.fenced as usize);
            assert!(report.faults.is_empty(), "{report:?}");
        }
        Ok(())
    }

    /// Brings some of the snapshots, or all.
    async fn copy(mut self) -> Result<(), Error> {
        let from = open(self.store.clone(), &self.key, &self.cache).await?;
        let to = open(self.copy.clone(), &self.key, &self.cache.join("copy")).await?;
        let snapshots = from.history().snapshots.iter().map(|added| added.snapshot).collect::<Vec<_>>();
        let some = snapshots.into_iter().filter(|_| self.dice.random_ratio(1, 2)).collect();
        let wanted = self.dice.random_ratio(1, 2).then_some(&some);
        let Some(plan) = self.outcome(copy::plan(&from, &to, wanted).await)? else { return Ok(()) };
        let done = copy::execute(&plan, &from, &to, Timestamp::UNIX_EPOCH, &CopyProgress::default()).await;
        let Some(report) = self.outcome(done)? else { return Ok(()) };
        self.count("copied", report.snapshots.len());
        self.count("brought whole", report.packs as usize);
        self.count("packed anew", report.new_packs as usize);
        // What was forgotten and pruned in the source meanwhile cannot be brought, and is told.
        from.refresh().await?;
        let is_gone = |fault: &String| from.history().snapshots.iter().all(|it| !fault.contains(&it.snapshot.hex()));
        assert!(report.faults.iter().all(is_gone), "{:?}", report.faults);
        Ok(())
    }

    /// Reads one snapshot to its end; what was forgotten meanwhile may be gone.
    async fn read(mut self) -> Result<(), Error> {
        let repository = open(self.store.clone(), &self.key, &self.cache).await?;
        let snapshots = repository.history().snapshots.clone();
        if snapshots.is_empty() {
            return Ok(());
        }
        let id = snapshots[self.dice.random_range(0..snapshots.len())].snapshot;
        let done = read(&repository, id).await;
        repository.refresh().await?;
        match done {
            Err(_) if !repository.history().has_snapshot(&id) => Ok(()),
            done => {
                self.count("read", 1);
                done
            }
        }
    }
}
