//! A restore on a host that can only back up: by the real worker, through the real gateway, with the worker and the controller killed in the middle.

mod again;
mod cuts;

use std::fs;
use std::net::Shutdown;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use strongroom_controller::gateway::Gateway;
use strongroom_controller::links::{Dial, Line, Links, Purpose, Stream, Unreachable};
use strongroom_controller::restore_job::{
    Owners, Replaced, RestoreOrder, RestoredOnHost, Roads, look_on_host, restore_on_host,
};
use strongroom_proto::worker::{Limits, Overwrite, Running};
use strongroom_repository::store::LocalStore;
use strongroom_repository::{Credential, KeyFile, ObjectId, Repository, WriterIdentity};
use strongroom_tests::client::restored;
use strongroom_tests::random::{noise, seeded};
use strongroom_tests::{Sandbox, compare, tree};
use tokio::net::UnixStream;
use tokio::sync::watch;

use self::again::Again;
use crate::worker::Worker;

const MIB: u64 = 1 << 20;

/// Lines that are the worker's own sockets.
#[derive(Debug, Clone)]
struct Sockets {
    host: PathBuf,
    /// Every stream that was opened, to cut it.
    opened: Arc<Mutex<Vec<std::os::unix::net::UnixStream>>>,
}

impl Sockets {
    /// All streams break, as when a line does.
    fn cut(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        // One that is closed already needs no more.
        opened.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    fn keep(&self, stream: UnixStream) -> std::io::Result<UnixStream> {
        let stream = stream.into_std()?;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(stream.try_clone()?);
        UnixStream::from_std(stream)
    }
}

#[async_trait]
impl Dial for Sockets {
    async fn dial(&self, _host: &str) -> Result<Box<dyn Line>, Unreachable> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Line for Sockets {
    async fn open(&self, purpose: Purpose) -> Result<Box<dyn Stream>, Unreachable> {
        let name = match purpose {
            Purpose::Control => "worker.sock",
            Purpose::Gateway => "gateway.sock",
        };
        let connected = UnixStream::connect(self.host.join("run").join(name)).await;
        match connected.and_then(|stream| self.keep(stream)) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(Unreachable { why: error.to_string(), passing: true }),
        }
    }
}

/// What a controller has in its memory, and loses when it is killed.
struct Controller {
    links: Arc<Links>,
    gateway: Arc<Gateway>,
    repository: Arc<Repository>,
    sockets: Sockets,
}

struct Scene {
    sandbox: Sandbox,
    source: PathBuf,
    host: PathBuf,
    target: PathBuf,
    snapshot: ObjectId,
    store: Again,
}

impl Scene {
    /// With large files of so many MiB each.
    fn set(name: &str, large: &[usize]) -> Result<Self> {
        let (sandbox, client) = Sandbox::with_repository(name)?;
        let source = sandbox.folder("source")?;
        let mut dice = seeded(4);
        tree::ordinary(&source, &mut dice, 300)?;
        for (number, mib) in large.iter().enumerate() {
            tree::write(&source, &format!("large/{number}.bin"), noise(&mut dice, mib << 20))?;
        }
        let snapshot = client.backup(&source)?.parse()?;
        let (host, target) = (sandbox.folder("host")?, sandbox.path("restored"));
        let store = Again::new(Arc::new(LocalStore::open(&sandbox.path("repository"))?));
        Ok(Self { sandbox, source, host, target, snapshot, store })
    }

    async fn controller(&self) -> Result<Controller> {
        let key = fs::read_to_string(self.sandbox.path("key.json"))?;
        let credential = Credential::File(KeyFile::parse(&key)?);
        let cache = self.sandbox.path("controller-cache");
        let repository = Repository::open(Arc::new(self.store.clone()), &credential, &cache).await?;
        let gateway = Arc::new(Gateway::new([Arc::clone(&repository)]));
        let sockets = Sockets { host: self.host.clone(), opened: Arc::default() };
        let links = Links::new(Arc::new(sockets.clone()), Arc::clone(&gateway), "test".into());
        Ok(Controller { links: Arc::new(links), gateway, repository, sockets })
    }

    fn order(&self, job: &str) -> RestoreOrder {
        RestoreOrder {
            host: "web1".into(),
            job: job.into(),
            generation: 1,
            snapshot: self.snapshot,
            paths: Vec::new(),
            target: self.target.as_os_str().as_encoded_bytes().to_vec(),
            overwrite: Overwrite::Never,
            replaced: Replaced::Remove,
            owners: Owners::ByNumber,
            limits: Limits { download_bytes_per_second: 48 << 20, ..Limits::default() },
            checks: Vec::new(),
            promote_to: None,
            around: None,
            direct: None,
            cancel: watch::channel(false).1,
            pause: watch::channel(false).1,
        }
    }

    /// Nothing but what is marked as unfinished is in the target.
    fn check_unfinished(&self) -> Result<()> {
        for entry in fs::read_dir(&self.target).into_iter().flatten() {
            let name = entry?.file_name();
            ensure!(name.as_encoded_bytes().starts_with(b".strongroom-restore-"), "{name:?} looks finished");
        }
        Ok(())
    }
}

/// How many bytes a restore has written, as its worker told last.
#[derive(Clone, Default)]
struct Written(Arc<AtomicU64>);

impl Written {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    async fn reaches(&self, bytes: u64) -> Result<()> {
        let wait = async {
            while self.now() < bytes {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), wait).await.context("it does not get on")
    }
}

impl Controller {
    fn key(&self) -> impl Future<Output = Result<Vec<u8>, String>> + use<> {
        let repository = Arc::clone(&self.repository);
        async move {
            let made = repository.add_writer(&WriterIdentity { holder: "web1".into() }).await;
            made.map(|key| key.to_text().into_bytes()).map_err(|error| error.to_string())
        }
    }

    async fn restore(&self, order: &RestoreOrder, written: &Written) -> Result<RestoredOnHost> {
        let progress = |running: &Running| written.0.store(running.bytes_done, Ordering::Relaxed);
        let roads = Roads { links: &self.links, gateway: &self.gateway, repository: &self.repository };
        Ok(restore_on_host(roads, order, || self.key(), progress).await?)
    }

    async fn look(&self, order: &RestoreOrder) -> Result<RestoredOnHost> {
        let roads = Roads { links: &self.links, gateway: &self.gateway, repository: &self.repository };
        Ok(look_on_host(roads, order, || self.key(), |_| {}).await?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_worker_and_controller_killed_in_the_middle() -> Result<()> {
    let scene = Scene::set("restore-on-host", &[6; 24])?;
    let worker = Worker::answering(&scene.host)?;
    let controller = scene.controller().await?;
    let look = controller.look(&scene.order("look")).await?;
    let plan: serde_json::Value = serde_json::from_slice(&look.report)?;
    ensure!(plan["bytes"].as_u64() > Some(144 * MIB) && !scene.target.exists(), "{plan}");
    // The controller goes away in the middle, and another one takes over while the worker goes on with what it has.
    let (order, written) = (scene.order("r1"), Written::default());
    tokio::select! {
        ended = controller.restore(&order, &written) => anyhow::bail!("it ended early: {ended:?}"),
        reached = written.reaches(30 * MIB) => reached?,
    }
    scene.check_unfinished()?;
    drop(controller);
    let controller = Arc::new(scene.controller().await?);
    let written = Written::default();
    let (again, told) = (Arc::clone(&controller), written.clone());
    let second = tokio::spawn(async move { again.restore(&order, &told).await });
    written.reaches(60 * MIB).await?;
    scene.check_unfinished()?;
    // Then the worker, with everything in its memory.
    let before = written.now();
    worker.kill()?;
    scene.check_unfinished()?;
    let worker = Worker::answering(&scene.host)?;
    let done = second.await??;
    let report: serde_json::Value = serde_json::from_slice(&done.report)?;
    ensure!(report["outcome"] == "restored", "{report}");
    // Of the last try: all that it fetched is what was not there, and at most 64 MiB more.
    let fetched = report["fetched-bytes"].as_u64().context("bytes")?;
    let total = plan["fetch-bytes"].as_u64().context("bytes")?;
    ensure!(fetched + before <= total + 64 * MIB, "{fetched} bytes were fetched for {total} with {before} there");
    compare::same(&scene.source, &restored(&scene.target, &scene.source))?;
    ensure!(fs::read_dir(&scene.target)?.count() == 1, "something unfinished is left");
    drop(worker);
    Ok(())
}
