//! A repository on disk, which another process can open and which can be damaged.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_repository::{Credential, InitOptions, KeyFile, NewHolder, Parameters, Repository, SnapshotKind, store};
use strongroom_worker::backup::{self, BackupOptions, Input};
use strongroom_worker::exclude::Excludes;
use strongroom_worker::progress::Progress;
use strongroom_worker::restore::{self, Listener, RestoreError, RestoreEvent, RestoreOptions, RestoreReport};

/// Everything of one test, below one folder.
pub(crate) struct DiskPlace {
    pub folder: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl DiskPlace {
    /// Opens what [`Self::create`] made, in this process or another.
    pub(crate) fn at(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { folder: folder.to_owned(), runtime }
    }

    /// Makes a repository and backs up `host/data`, which `plant` fills.
    pub(crate) fn create(folder: &Path, plant: impl FnOnce(&Path)) -> Self {
        let place = Self::at(folder);
        for name in ["host/data", "cache"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        plant(&place.data());
        let options = InitOptions {
            parameters: Parameters::small(),
            created: Timestamp::UNIX_EPOCH,
            holder: "owner".into(),
            how: NewHolder::KeyFile,
        };
        let store = store::open(folder.join("repository").to_str().unwrap()).unwrap();
        let created = place.runtime.block_on(Repository::init(store, options)).unwrap();
        std::fs::write(folder.join("key"), created.key_file.unwrap().to_text()).unwrap();
        place.backup();
        place
    }

    fn backup(&self) {
        let sources = vec!["/data".into()];
        let options = BackupOptions {
            input: Input::Files { root: self.folder.join("host"), sources, excludes: Excludes::default() },
            kind: SnapshotKind::Full,
            host: "host".into(),
            tags: BTreeMap::new(),
            state_folder: self.folder.join("state"),
            uploads: NonZeroUsize::MIN,
            threads: NonZeroUsize::MIN,
            room: Default::default(),
            pace: Default::default(),
            now: Timestamp::UNIX_EPOCH,
            program: "test".into(),
        };
        let run =
            async { backup::run(self.open().await, options, Arc::new(Progress::default()), Box::new(|_| {})).await };
        self.runtime.block_on(run).unwrap();
    }

    async fn open(&self) -> Arc<Repository> {
        let key = KeyFile::parse(&std::fs::read_to_string(self.folder.join("key")).unwrap()).unwrap();
        let store = store::open(self.folder.join("repository").to_str().unwrap()).unwrap();
        Repository::open(store, &Credential::File(key), &self.folder.join("cache")).await.unwrap()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("host/data")
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.folder.join("target")
    }

    /// Restores the one snapshot into the target.
    pub(crate) fn restore(
        &self,
        listen: impl Fn(&RestoreEvent) + Send + Sync + 'static,
    ) -> Result<RestoreReport, RestoreError> {
        self.restore_with(RestoreOptions::into_target(self.target()), listen)
    }

    pub(crate) fn restore_with(
        &self,
        options: RestoreOptions,
        listen: impl Fn(&RestoreEvent) + Send + Sync + 'static,
    ) -> Result<RestoreReport, RestoreError> {
        self.runtime.block_on(async {
            let repository = self.open().await;
            let snapshot = repository.snapshots().await.unwrap().readable.remove(0);
            let plan = restore::plan(&repository, &snapshot, options).await?;
            restore::run(plan, Arc::new(Progress::default()), Listener::new(listen)).await
        })
    }

    /// The files of all data packs.
    pub(crate) fn data_packs(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(self.folder.join("repository/packs")).unwrap();
        let packs = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
        packs.map(|pack| pack.unwrap().path()).collect()
    }
}
