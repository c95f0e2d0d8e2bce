//! A repository in memory, backups of real directories into it, and reading them back without the restore writer.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use object_store::ObjectStore;
use strongroom_repository::store::{Faulty, InMemory, Plan as FaultPlan};
use strongroom_repository::{
    ChunkId, Credential, Entry, InitOptions, KeyFile, NewHolder, ObjectId, Parameters, Repository, SnapshotKind, text,
};
use strongroom_worker::backup::{self, BackupError, BackupEvent, BackupOptions, BackupReport, Input};
use strongroom_worker::exclude::Excludes;
use strongroom_worker::progress::Progress;
use strongroom_worker::remarks::{Notice, Remark};

/// A repository, and a directory to back up.
pub(crate) struct Place {
    /// Fails when it is armed.
    pub store: Arc<Faulty>,
    pub key: KeyFile,
    pub folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

/// A finished run and what it said.
pub(crate) struct Run {
    pub report: BackupReport,
    pub events: Vec<BackupEvent>,
}

/// A run to be made.
pub(crate) struct Plan {
    pub kind: SnapshotKind,
    pub root: PathBuf,
    pub sources: Vec<PathBuf>,
    pub excludes: Excludes,
    pub host: String,
    /// How long after now the run claims to begin: long enough, and everything that exists is older.
    pub later: SignedDuration,
    pub threads: usize,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(Parameters::small())
    }

    pub(crate) fn with(parameters: Parameters) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store = Arc::new(Faulty::new(Arc::new(InMemory::new()), FaultPlan::NOTHING));
        let options =
            InitOptions { parameters, created: Timestamp::UNIX_EPOCH, holder: "owner".into(), how: NewHolder::KeyFile };
        let created = runtime.block_on(Repository::init(store.clone(), options)).unwrap();
        // On the disk of the project, which knows attributes and flags; /tmp may be anything.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for name in ["host/data", "state", "cache"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self { store, key: created.key_file.unwrap(), folder, runtime }
    }

    /// Where the paths of backups begin: nobody else changes it, so a run can find that nothing changed.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("host")
    }

    /// Where the files to back up are.
    pub(crate) fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.data().join(path)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn state_file(&self, suffix: &str) -> PathBuf {
        let found = std::fs::read_dir(self.state()).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<PathBuf> =
            found.filter(|path| path.extension().is_some_and(|extension| extension == suffix)).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn open(&self) -> Arc<Repository> {
        self.block_on(self.open_async())
    }

    pub(crate) async fn open_async(&self) -> Arc<Repository> {
        let credential = Credential::File(self.key.clone());
        Repository::open(self.store.clone(), &credential, &self.folder.path().join("cache")).await.unwrap()
    }

    /// How many objects lie in a folder of the repository.
    pub(crate) fn stored(&self, folder: &str) -> usize {
        let listed = self.store.list(Some(&folder.into()));
        self.block_on(listed.map(Result::unwrap).count())
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn plan(&self) -> Plan {
        Plan {
            kind: SnapshotKind::Incremental,
            root: self.root(),
            sources: vec!["/data".into()],
            excludes: Excludes::default(),
            host: "host".into(),
            later: SignedDuration::from_secs(60),
            threads: 2,
        }
    }

    pub(crate) fn backup(&self) -> Run {
        self.run(self.plan()).unwrap()
    }

    pub(crate) fn run(&self, plan: Plan) -> Result<Run, BackupError> {
        let input =
            Input::Files { root: plan.root.clone(), sources: plan.sources.clone(), excludes: plan.excludes.clone() };
        self.run_input(plan, input)
    }

    pub(crate) fn options(&self, plan: Plan, input: Input) -> BackupOptions {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        BackupOptions {
            input,
            kind: plan.kind,
            host: plan.host,
            tags: BTreeMap::new(),
            state_folder: self.state(),
            uploads: NonZeroUsize::MIN,
            threads: NonZeroUsize::new(plan.threads).unwrap(),
            pace: Default::default(),
            room: Default::default(),
            now: Timestamp::new(now.tv_sec, now.tv_nsec as i32).unwrap() + plan.later,
            program: "test".into(),
        }
    }

    pub(crate) fn run_input(&self, plan: Plan, input: Input) -> Result<Run, BackupError> {
        let options = self.options(plan, input);
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let sink = Box::new(move |event| sink.lock().unwrap().push(event));
        let report = self.block_on(backup::run(self.open(), options, Arc::new(Progress::default()), sink))?;
        let events = std::mem::take(&mut *events.lock().unwrap());
        Ok(Run { report, events })
    }

    /// The page at the top of a snapshot's tree.
    pub(crate) fn top_page(&self, snapshot: ObjectId) -> Option<ChunkId> {
        self.block_on(self.open().snapshot(snapshot)).unwrap().manifest.root
    }

    /// Everything in a snapshot, by path relative to the data, with the content.
    pub(crate) fn read_back(&self, snapshot: ObjectId) -> BTreeMap<String, (Entry, Vec<u8>)> {
        let below = |path: &str| Some(path.strip_prefix("data")?.trim_start_matches('/').to_owned());
        self.read_all(snapshot).into_iter().filter_map(|(path, found)| Some((below(&path)?, found))).collect()
    }

    /// Everything in a snapshot, by path.
    pub(crate) fn read_all(&self, snapshot: ObjectId) -> BTreeMap<String, (Entry, Vec<u8>)> {
        let repository = self.open();
        self.block_on(async {
            repository.open_index().await.unwrap();
            let snapshot = repository.snapshot(snapshot).await.unwrap();
            let tree = repository.tree(&snapshot);
            let mut walk = tree.walk(b"");
            let mut found = BTreeMap::new();
            while let Some((directory, entry)) = walk.next().await.unwrap() {
                let mut data = Vec::new();
                for chunk in tree.chunks(&entry).await.unwrap() {
                    data.extend_from_slice(&repository.read_chunk(&chunk).await.unwrap());
                }
                let content = spread(&entry, &data);
                if let Some(hash) = entry.hash
                    && !content.is_empty()
                {
                    assert_eq!(hash, *blake3::hash(&content).as_bytes(), "the plain hash of {:?}", entry.name);
                }
                let path = text::escape(&strongroom_repository::tree::order::join(&directory, &entry.name));
                found.insert(path, (entry, content));
            }
            found
        })
    }
}

/// A file's bytes with its holes as zeros; nothing for one that is all holes.
fn spread(entry: &Entry, data: &[u8]) -> Vec<u8> {
    let Some(extents) = entry.extents.as_ref().filter(|extents| !extents.is_empty()) else { return data.to_vec() };
    let mut content = vec![0; entry.size as usize];
    let mut at = 0;
    for run in extents {
        let length = run.length as usize;
        content[run.offset as usize..][..length].copy_from_slice(&data[at..at + length]);
        at += length;
    }
    assert_eq!(at, data.len());
    content
}

impl Run {
    pub(crate) fn notices(&self) -> Vec<(String, Notice)> {
        let notice = |event: &BackupEvent| match event {
            BackupEvent::Remark(Remark::Notice { path, notice }) => Some((last_name(path), *notice)),
            _ => None,
        };
        self.events.iter().filter_map(notice).collect()
    }

    pub(crate) fn used_state(&self) -> bool {
        self.events.iter().any(|event| matches!(event, BackupEvent::StateUsed { .. }))
    }
}

fn last_name(path: &[u8]) -> String {
    Path::new(&text::escape(path)).file_name().unwrap().to_string_lossy().into_owned()
}

/// Bytes that do not compress and are the same for the same seed.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new_keyed(&[5; 32]).update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
