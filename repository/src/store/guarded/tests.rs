use futures::TryStreamExt;
use object_store::memory::InMemory;

use super::*;
use crate::store::{LocalStore, Recording};

/// Two of these with one memory are two machines at a store that overwrites whatever it is told.
#[derive(Debug, Clone)]
struct Overwriting {
    memory: Arc<InMemory>,
    machine: usize,
    /// Locks that are listed as an hour old.
    old: Option<Path>,
}

impl fmt::Display for Overwriting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Overwriting({:p}, {})", self.memory, self.machine)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Overwriting {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut opts: PutOptions) -> Result<PutResult> {
        opts.mode = PutMode::Overwrite;
        // Others get their turn between a look and a put.
        tokio::task::yield_now().await;
        self.memory.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.memory.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        tokio::task::yield_now().await;
        self.memory.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.memory.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.memory.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let old = self.old.clone();
        let aged = move |mut meta: ObjectMeta| {
            if Some(&meta.location) == old.as_ref() {
                meta.last_modified -= Duration::from_secs(3600);
            }
            meta
        };
        Box::pin(self.memory.list(prefix).map_ok(aged))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.memory.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.memory.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.memory.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.memory.rename_opts(from, to, options).await
    }
}

fn machine(memory: &Arc<InMemory>, machine: usize) -> Guarded {
    let store = Overwriting { memory: Arc::clone(memory), machine, old: None };
    Guarded::new(Arc::new(store), None, &format!("machine {machine}"))
}

async fn create(store: &dyn ObjectStore, name: &str, content: &str) -> Result<()> {
    store.put_opts(&Path::from(name), content.to_owned().into(), PutMode::Create.into()).await.map(drop)
}

async fn content(store: &dyn ObjectStore, name: &str) -> String {
    let bytes = store.get(&Path::from(name)).await.expect("get").bytes().await.expect("bytes");
    String::from_utf8(bytes.to_vec()).expect("text")
}

async fn names(store: &dyn ObjectStore) -> Vec<String> {
    let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.expect("list");
    listed.into_iter().map(|meta| meta.location.to_string()).collect()
}

/// Four machines, two writers on each, all at the same commits.
#[tokio::test(start_paused = true)]
async fn of_several_machines_one_wins_each_commit() {
    let memory = Arc::new(InMemory::new());
    let machines: Vec<Guarded> = (0..4).map(|number| machine(&memory, number)).collect();
    for round in 0..10 {
        let name = format!("commits/{round}");
        let racers = (0..8).map(|racer| {
            let (machine, name) = (machines[racer % 4].clone(), name.clone());
            tokio::spawn(async move { (racer, create(&machine, &name, &format!("of {racer}")).await) })
        });
        let mut winners = Vec::new();
        for racer in futures::future::join_all(racers).await {
            match racer.expect("no panic") {
                (racer, Ok(())) => winners.push(racer),
                (_, Err(error)) => assert_eq!(kind(&error), ErrorKind::AlreadyExists, "{error}"),
            }
        }
        let [winner] = winners[..] else { panic!("winners of round {round}: {winners:?}") };
        assert_eq!(content(&machines[0], &name).await, format!("of {winner}"));
    }
    assert_eq!(names(&machines[0]).await.len(), 10, "no lock and nothing of a probe is left");
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_held_is_told_with_its_holder() {
    let memory = Arc::new(InMemory::new());
    let store = machine(&memory, 0);
    create(&*store.inner, "locks/0011", "web1, process 7").await.expect("a lock");
    let error = create(&store, "commits/1", "content").await.expect_err("held");
    assert_eq!(kind(&error), ErrorKind::Transient);
    assert!(crate::error::chain(&error).contains("web1, process 7 commits to this store"), "{error}");
    assert!(crate::store::remedy(&error).is_some());
    assert_eq!(names(&store).await, ["locks/0011"], "nothing was put, and our own locks are gone");
    // What needs no lock goes on.
    create(&store, "packs/aa/one", "content").await.expect("put");
    let taken = create(&store, "packs/aa/one", "other").await.expect_err("taken");
    assert_eq!(kind(&taken), ErrorKind::AlreadyExists);
}

#[tokio::test(start_paused = true)]
async fn the_lock_of_the_dead_is_removed() {
    let memory = Arc::new(InMemory::new());
    let old = Some(Path::from("locks/0011"));
    let inner = Overwriting { memory, machine: 0, old };
    create(&inner, "locks/0011", "web1, process 7").await.expect("a lock");
    let store = Guarded::new(Arc::new(inner), None, "a test");
    create(&store, "commits/1", "content").await.expect("its holder is dead");
    assert_eq!(names(&store).await, ["commits/1"]);
}

/// Readers never ask; the first put does, and later processes find the answer in the file.
#[tokio::test]
async fn the_answer_is_remembered() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("stores/one");
    let record = Recording::new(Arc::new(InMemory::new()));
    let open = || Guarded::new(Arc::new(record.clone()), Some(file.clone()), "a test");
    let first = open();
    first.get(&Path::from("config")).await.expect_err("absent");
    assert_eq!(record.reset().put.calls, 0, "reading asks nothing");
    let puts = (0..5).map(|number| {
        let store = first.clone();
        async move { create(&store, &format!("packs/{number}"), "x").await }
    });
    futures::future::try_join_all(puts).await.expect("puts");
    let probed = record.reset().put;
    let probes = probed.names.iter().filter(|name| name.contains("ranged")).count();
    assert_eq!(probes, 1, "one probe for all: {:?}", probed.names);
    create(&open(), "packs/later", "x").await.expect("put");
    assert_eq!(record.reset().put.names, ["packs/later"], "a later process asks nothing");
}

/// On a store that keeps its promise not one request is added.
#[tokio::test]
async fn an_honest_store_is_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let record = Recording::new(Arc::new(LocalStore::open(folder.path()).expect("open")));
    let store = Guarded::new(Arc::new(record.clone()), None, "a test");
    assert_eq!(store.probe().await.commits, Commits::Race);
    record.reset();
    create(&store, "commits/1", "content").await.expect("put");
    let asked = record.reset();
    assert_eq!((asked.put.calls, asked.head.calls, asked.get.calls, asked.list.calls), (1, 0, 0, 0));
}
