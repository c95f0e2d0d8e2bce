//! A host and its controller: the daemon with folders of its own, a repository behind a gateway, and the calls of a controller.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use strongroom_proto::worker::job_state::State;
use strongroom_proto::worker::worker_client::WorkerClient;
use strongroom_proto::worker::{
    BackupJob, CommandSource, EnrollRequest, FilesSource, Hook, Hooks, JobReference, JobState, LendPart, RestoreJob,
    StartRequest, backup_job,
};
use strongroom_repository::store::LocalStore;
use strongroom_repository::{
    Credential, InitOptions, KeyFile, NewHolder, Parameters, Repository, Snapshot, WriterIdentity,
};
use strongroom_worker_daemon::serve::{self, Folders};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::Store;
use crate::gateway::Gateway;

/// Longer than any step takes.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) struct Host {
    pub(crate) folder: TempDir,
    pub(crate) folders: Folders,
    pub(crate) gateway: Gateway,
    pub(crate) key: KeyFile,
    pub(crate) writer: KeyFile,
}

/// The daemon in this process.
pub(crate) struct Daemon {
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), serve::ServeError>>,
    controller: JoinHandle<()>,
}

impl Host {
    pub(crate) async fn new() -> Self {
        Self::with(Parameters::small()).await
    }

    /// The same with packs of another size.
    pub(crate) async fn with(parameters: Parameters) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Store = Arc::new(LocalStore::open(&folder.path().join("repository")).unwrap());
        let options =
            InitOptions { parameters, created: Timestamp::UNIX_EPOCH, holder: "owner".into(), how: NewHolder::KeyFile };
        let key = Repository::init(Arc::clone(&store), options).await.unwrap().key_file.unwrap();
        let opened = open(&store, &key, &folder.path().join("admin-cache")).await;
        let writer = opened.add_writer(&WriterIdentity { holder: "web1".into() }).await.unwrap();
        let at = |name: &str| folder.path().join(name);
        let folders = Folders { run: at("run"), state: at("state"), cache: at("cache") };
        std::fs::create_dir(at("source")).unwrap();
        Self { folders, gateway: Gateway::new(store), key, writer, folder }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.source().join(name), content).unwrap();
    }

    /// Starts the daemon, and a controller that serves the gateway to it.
    pub(crate) async fn start(&self) -> Daemon {
        let mut daemon = self.start_without_gateway().await;
        daemon.controller = self.link();
        daemon
    }

    pub(crate) async fn start_without_gateway(&self) -> Daemon {
        let (stop, stopped) = oneshot::channel::<()>();
        let folders = self.folders.clone();
        let served =
            tokio::spawn(async move { serve::run(&folders, Timestamp::now, async { drop(stopped.await) }).await });
        self.client().await;
        Daemon { stop: Some(stop), served, controller: tokio::spawn(async {}) }
    }

    /// Serves the gateway to whichever daemon there is, again and again.
    pub(crate) fn link(&self) -> JoinHandle<()> {
        let (gateway, path) = (self.gateway.clone(), self.folders.run.join("gateway.sock"));
        tokio::spawn(async move {
            loop {
                match UnixStream::connect(&path).await {
                    Ok(stream) => gateway.clone().serve(stream).await,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        })
    }

    /// A client, as soon as there is a daemon.
    pub(crate) async fn client(&self) -> WorkerClient<Channel> {
        let path = self.folders.run.join("worker.sock");
        let connect = async {
            loop {
                let path = path.clone();
                let connector = tower::service_fn(move |_: tonic::transport::Uri| {
                    let path = path.clone();
                    async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
                });
                let endpoint = Endpoint::from_static("http://worker.invalid");
                if let Ok(channel) = endpoint.connect_with_connector(connector).await {
                    return WorkerClient::new(channel);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, connect).await.expect("no daemon")
    }

    pub(crate) async fn enroll(&self) {
        let key_file = self.writer.to_text().into_bytes();
        self.client().await.enroll(EnrollRequest { key_file }).await.unwrap();
    }

    /// A job that backs up the source.
    pub(crate) fn files(&self) -> BackupJob {
        let files = FilesSource { paths: vec![self.source().display().to_string()], ..FilesSource::default() };
        self.job(backup_job::Source::Files(files))
    }

    pub(crate) fn command(&self, script: &str) -> BackupJob {
        let arguments = ["sh", "-c", script].map(str::to_owned).into();
        let command = CommandSource { name: "dumps/all.sql".into(), arguments, seconds_max: 60 };
        self.job(backup_job::Source::Command(command))
    }

    fn job(&self, source: backup_job::Source) -> BackupJob {
        BackupJob {
            repository: self.key.repository().to_string(),
            host: "web1".into(),
            tags: HashMap::from([("run".to_owned(), "r1".to_owned()), ("plan".to_owned(), "billing".to_owned())]),
            source: Some(source),
            ..BackupJob::default()
        }
    }

    pub(crate) async fn begin(&self, job: &str, generation: u64, backup: BackupJob) -> Result<JobState, Status> {
        let request = StartRequest { job: job.into(), generation, backup: Some(backup), restore: None };
        self.client().await.start(request).await.map(tonic::Response::into_inner)
    }

    /// A job that restores a snapshot into `target`, below the host's folder.
    pub(crate) fn restore(&self, snapshot: &Snapshot, target: &str) -> RestoreJob {
        RestoreJob {
            repository: self.key.repository().to_string(),
            snapshot: snapshot.id.to_string(),
            target: self.folder.path().join(target).into_os_string().into_encoded_bytes(),
            ..RestoreJob::default()
        }
    }

    pub(crate) async fn begin_restore(
        &self,
        job: &str,
        generation: u64,
        restore: RestoreJob,
    ) -> Result<JobState, Status> {
        let request = StartRequest { job: job.into(), generation, backup: None, restore: Some(restore) };
        self.client().await.start(request).await.map(tonic::Response::into_inner)
    }

    /// What a restore of these paths needs.
    pub(crate) async fn loan(&self, snapshot: &Snapshot, paths: &[Vec<u8>]) -> Vec<u8> {
        self.repository().await.lend(snapshot, paths).await.unwrap().loan.to_bytes().to_vec()
    }

    pub(crate) async fn lend(&self, job: &str, loan: &[u8]) -> Result<JobState, Status> {
        let reference = JobReference { job: job.into(), generation: 0 };
        let first = LendPart { job: Some(reference), loan: Vec::new() };
        let parts = loan.chunks(1000).map(|part| LendPart { job: None, loan: part.to_vec() });
        let parts: Vec<LendPart> = [first].into_iter().chain(parts).collect();
        self.client().await.lend(futures::stream::iter(parts)).await.map(tonic::Response::into_inner)
    }

    /// Waits until a restore asks for its keys.
    pub(crate) async fn asks_for_keys(&self, job: &str) {
        self.until(job, |state| matches!(&state.state, Some(State::Running(running)) if running.wants_loan)).await;
    }

    /// Waits until a job's state is as wanted, on whatever daemon there is.
    pub(crate) async fn until(&self, job: &str, wanted: impl Fn(&JobState) -> bool) {
        let wait = async {
            loop {
                let reference = JobReference { job: job.into(), generation: 0 };
                if let Ok(states) = self.client().await.watch(reference).await {
                    let mut states = states.into_inner();
                    while let Ok(Some(state)) = states.message().await {
                        if wanted(&state) {
                            return;
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, wait).await.expect("the job is never as wanted")
    }

    /// Waits for a job's end, through as many daemons as it takes.
    pub(crate) async fn end(&self, job: &str) -> JobState {
        let wait = async {
            loop {
                let reference = JobReference { job: job.into(), generation: 0 };
                let mut last = None;
                if let Ok(states) = self.client().await.watch(reference).await {
                    let mut states = states.into_inner();
                    while let Ok(Some(state)) = states.message().await {
                        last = Some(state);
                    }
                }
                match last {
                    Some(state) if !matches!(state.state, Some(State::Running(_))) => return state,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(LONG, wait).await.expect("the job does not end")
    }

    /// Runs a job to its good end, and returns the report.
    pub(crate) async fn backed_up(&self, job: &str, backup: BackupJob) -> serde_json::Value {
        self.begin(job, 1, backup).await.unwrap();
        report(&self.end(job).await)
    }

    pub(crate) async fn repository(&self) -> Arc<Repository> {
        open(&self.gateway.store, &self.key, &self.folder.path().join("admin-cache")).await
    }

    /// The snapshots that carry a job's name.
    pub(crate) async fn snapshots(&self, job: &str) -> Vec<Snapshot> {
        let all = self.repository().await.snapshots().await.unwrap();
        assert!(all.unreadable.is_empty());
        all.readable
            .into_iter()
            .filter(|found| found.manifest.tags.get("job").map(String::as_str) == Some(job))
            .collect()
    }

    /// What a snapshot restores to, by path below `/`.
    pub(crate) async fn restored(&self, snapshot: &Snapshot) -> HashMap<PathBuf, Vec<u8>> {
        let repository = self.repository().await;
        repository.open_index().await.unwrap();
        let tree = repository.tree(snapshot);
        let mut walk = tree.walk(b"");
        let mut found = HashMap::new();
        while let Some((directory, entry)) = walk.next().await.unwrap() {
            if entry.kind != strongroom_repository::Kind::File {
                continue;
            }
            let mut content = Vec::new();
            for chunk in tree.chunks(&entry).await.unwrap() {
                content.extend_from_slice(&repository.read_chunk(&chunk).await.unwrap());
            }
            let path = strongroom_repository::tree::order::join(&directory, &entry.name);
            found.insert(PathBuf::from("/").join(String::from_utf8(path).unwrap()), content);
        }
        found
    }

    /// That a snapshot holds the source as it is.
    pub(crate) async fn check_restores(&self, snapshot: &Snapshot) {
        let found = self.restored(snapshot).await;
        let mut count = 0;
        for file in std::fs::read_dir(self.source()).unwrap() {
            let path = file.unwrap().path();
            assert!(found[&path] == std::fs::read(&path).unwrap(), "{}", path.display());
            count += 1;
        }
        assert_eq!(found.len(), count);
    }
}

async fn open(store: &Store, key: &KeyFile, cache: &Path) -> Arc<Repository> {
    Repository::open(Arc::clone(store), &Credential::File(key.clone()), cache).await.unwrap()
}

impl Daemon {
    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(LONG, &mut self.served).await.expect("does not stop").unwrap().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.controller.abort();
        self.served.abort();
    }
}

pub(crate) fn report(state: &JobState) -> serde_json::Value {
    match &state.state {
        Some(State::BackedUp(done)) => serde_json::from_slice(&done.report).unwrap(),
        Some(State::Restored(done)) => serde_json::from_slice(&done.report).unwrap(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn failure(state: &JobState) -> (i32, String) {
    match &state.state {
        Some(State::Failed(failed)) => (failed.kind, failed.reason.clone()),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Status>, expect: Code) -> String {
    let status = result.expect_err("must be refused");
    assert_eq!(status.code(), expect, "{status:?}");
    status.message().to_owned()
}

pub(crate) fn hooks(before: &[&str], after: &[&str]) -> Option<Hooks> {
    let hook = |script: &&str| Hook { arguments: ["sh", "-c", script].map(str::to_owned).into(), seconds_max: 60 };
    Some(Hooks { before: before.iter().map(hook).collect(), after: after.iter().map(hook).collect() })
}

/// Bytes that do not compress.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new_keyed(&[5; 32]).update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
