//! The gateway, called as a worker calls it, over a stream that can be cut.

use std::collections::{BTreeMap, HashSet};
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::stream;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_controller::gateway::{Gateway, serve};
use strongroom_proto::gateway::gateway_client::GatewayClient;
use strongroom_proto::gateway::{GetRequest, ListRequest, PutHeader, PutPart};
use strongroom_repository::object::{ObjectType, checkpoint_name, commit_name, header};
use strongroom_repository::store::{InMemory, Limited};
use strongroom_repository::{
    Begin, Credential, InitOptions, Manifest, NewHolder, Parameters, Repository, SnapshotKind, Totals, TreeWriter,
    WriterIdentity,
};
use tokio::io::DuplexStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

struct Scene {
    repository: Arc<Repository>,
    gateway: Arc<Gateway>,
    _cache: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Result<Self> {
        Self::over(|store| store).await
    }

    /// The same with a store that is wrapped, once the repository is there.
    async fn over(wrapped: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Result<Self> {
        let cache = tempfile::tempdir()?;
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let options = InitOptions {
            parameters: Parameters::default(),
            created: Timestamp::UNIX_EPOCH,
            holder: "owner".into(),
            how: NewHolder::KeyFile,
        };
        let created = Repository::init(Arc::clone(&store), options).await?;
        let key = Credential::File(created.key_file.context("a key file")?);
        let repository = Repository::open(wrapped(store), &key, cache.path()).await?;
        let gateway = Arc::new(Gateway::new([Arc::clone(&repository)]));
        Ok(Self { repository, gateway, _cache: cache })
    }

    /// A host's client. Dropping it cuts the line.
    async fn host(&self, name: &str) -> Result<GatewayClient<Channel>> {
        let (here, there) = tokio::io::duplex(64 << 10);
        tokio::spawn(serve(Arc::clone(&self.gateway), name.to_owned(), there));
        connect(here).await
    }

    fn header(&self, name: &str, content: &[u8]) -> PutHeader {
        PutHeader {
            repository: self.repository.id().to_string(),
            name: name.into(),
            length: content.len() as u64,
            blake3: Bytes::copy_from_slice(blake3::hash(content).as_bytes()),
            offset: 0,
        }
    }

    fn get(&self, name: &str) -> GetRequest {
        GetRequest { repository: self.repository.id().to_string(), name: name.into(), ..GetRequest::default() }
    }

    async fn stored(&self, name: &str) -> Option<Bytes> {
        self.repository.store().get(&Path::from(name)).await.ok()?.bytes().await.ok()
    }
}

async fn connect(io: DuplexStream) -> Result<GatewayClient<Channel>> {
    let mut io = Some(TokioIo::new(io));
    let connector = tower::service_fn(move |_| {
        let io = io.take();
        async move { io.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)) }
    });
    let channel = Endpoint::from_static("http://gateway.invalid").connect_with_connector(connector).await?;
    Ok(GatewayClient::new(channel))
}

fn parts(header: PutHeader, content: &[u8]) -> Vec<PutPart> {
    let mut parts = vec![PutPart { header: Some(header), bytes: Bytes::new() }];
    parts.extend(content.chunks(1 << 20).map(|chunk| PutPart { header: None, bytes: Bytes::copy_from_slice(chunk) }));
    parts
}

async fn put(host: &mut GatewayClient<Channel>, header: PutHeader, content: &[u8]) -> Result<(), Code> {
    let done = host.put(stream::iter(parts(header, content))).await;
    done.map(drop).map_err(|status| status.code())
}

fn hashed(folder: &str, content: &[u8]) -> String {
    let id = blake3::hash(content).to_hex();
    match folder {
        "packs" | "pages" => format!("{folder}/{}/{id}", &id[..2]),
        _ => format!("{folder}/{id}"),
    }
}

#[tokio::test]
async fn an_object_is_stored_once_and_stays() -> Result<()> {
    let scene = Scene::new().await?;
    let mut host = scene.host("web1").await?;
    let content = vec![7; 3 << 20];
    let name = hashed("packs", &content);
    ensure!(put(&mut host, scene.header(&name, &content), &content).await == Ok(()));
    ensure!(scene.stored(&name).await.as_deref() == Some(&content[..]));
    ensure!(put(&mut host, scene.header(&name, &content), &content).await == Err(Code::AlreadyExists));
    Ok(())
}

#[tokio::test]
async fn nothing_is_stored_under_a_name_that_is_not_its_own() -> Result<()> {
    let scene = Scene::new().await?;
    let mut host = scene.host("web1").await?;
    let (content, other) = (b"content".to_vec(), b"other".to_vec());
    let name = hashed("packs", &other);
    ensure!(put(&mut host, scene.header(&name, &content), &content).await == Err(Code::InvalidArgument));
    // The header promises the right bytes, and others come.
    ensure!(put(&mut host, scene.header(&name, &other), b"owner").await == Err(Code::DataLoss));
    ensure!(put(&mut host, scene.header(&name, &other), b"too many").await == Err(Code::InvalidArgument));
    ensure!(put(&mut host, scene.header(&name, &other), b"few").await == Err(Code::InvalidArgument));
    ensure!(scene.stored(&name).await.is_none());
    for name in ["config", "hint", "keys/00000000000000000000000000000001", "../escape", "packs/xx/1"] {
        let refused = put(&mut host, scene.header(name, &content), &content).await;
        ensure!(refused == Err(Code::PermissionDenied), "{name}: {refused:?}");
    }
    Ok(())
}

/// An empty parity of a pack of 1000 bytes: all that the gateway looks at.
fn parity(scene: &Scene, pack: &blake3::Hash) -> Vec<u8> {
    let header = header(ObjectType::Parity, &scene.repository.id());
    let numbers = [1024u32, 1, 1, ObjectType::Pack as u32].map(u32::to_le_bytes).concat();
    [&header[..], pack.as_bytes(), &1000u64.to_le_bytes(), &numbers, &[0; 2 * 16 + 1024 + 32]].concat()
}

#[tokio::test]
async fn parity_is_created_for_the_pack_that_it_names_and_read_by_no_host() -> Result<()> {
    let scene = Scene::new().await?;
    let mut host = scene.host("web1").await?;
    let (pack, other) = (blake3::hash(b"pack"), blake3::hash(b"other"));
    let (name, content) = (format!("parity/{}", pack.to_hex()), parity(&scene, &pack));
    let longer = [&content[..], b"x"].concat();
    for wrong in [parity(&scene, &other), longer, b"short".to_vec(), Vec::new()] {
        let refused = put(&mut host, scene.header(&name, &wrong), &wrong).await;
        ensure!(refused == Err(Code::InvalidArgument), "{refused:?}");
    }
    ensure!(scene.stored(&name).await.is_none());
    ensure!(put(&mut host, scene.header(&name, &content), &content).await == Ok(()));
    ensure!(put(&mut host, scene.header(&name, &content), &content).await == Err(Code::AlreadyExists));
    ensure!(host.get(scene.get(&name)).await.err().map(|status| status.code()) == Some(Code::PermissionDenied));
    Ok(())
}

#[tokio::test]
async fn no_host_can_leave_a_gap_in_the_history() -> Result<()> {
    let scene = Scene::new().await?;
    let mut host = scene.host("web1").await?;
    ensure!(put(&mut host, scene.header("commits/0000000000000005", b"x"), b"x").await == Err(Code::InvalidArgument));
    ensure!(put(&mut host, scene.header("commits/0000000000000001", b"x"), b"x").await == Ok(()));
    ensure!(put(&mut host, scene.header("commits/0000000000000002", b"x"), b"x").await == Ok(()));
    ensure!(put(&mut host, scene.header("commits/0000000000000002", b"y"), b"y").await == Err(Code::AlreadyExists));
    ensure!(scene.stored("hint").await.as_deref() == Some(&b"2"[..]));
    Ok(())
}

/// An empty backup and holds on it, until the history has so many commits.
async fn commits(repository: &Arc<Repository>, count: u64) -> Result<()> {
    let begin = Begin { parent: None, started: Timestamp::UNIX_EPOCH, notes: None, uploads: NonZeroUsize::MIN };
    let session = repository.begin(begin).await?;
    let tree = TreeWriter::new(Arc::clone(&session), HashSet::new(), |_, _| {}).finish()?;
    let snapshot = session.commit(tree, manifest()).await?.snapshot;
    while repository.history().newest < count {
        repository.hold(snapshot, "case", "audit", None).await?;
    }
    Ok(())
}

fn manifest() -> Manifest {
    Manifest {
        host: "web1".into(),
        time: Timestamp::UNIX_EPOCH,
        finished: Timestamp::UNIX_EPOCH,
        kind: SnapshotKind::Full,
        sources: vec!["/etc".into()],
        tags: BTreeMap::new(),
        root: None,
        parent: None,
        program: "test".into(),
        totals: Totals::default(),
        problems: Vec::new(),
    }
}

#[tokio::test]
async fn a_checkpoint_is_made_for_a_hosts_commit_and_hosts_read_it() -> Result<()> {
    let scene = Scene::new().await?;
    let mut host = scene.host("web1").await?;
    let (commit, checkpoint) = (commit_name(128), checkpoint_name(128));
    commits(&scene.repository, 128).await?;
    // As if this commit were the host's.
    let bytes = scene.stored(&commit).await.context("a commit")?;
    scene.repository.store().delete(&Path::from(&*commit)).await?;
    ensure!(scene.stored(&checkpoint).await.is_none());
    ensure!(put(&mut host, scene.header(&checkpoint, b"x"), b"x").await == Err(Code::PermissionDenied));
    ensure!(put(&mut host, scene.header(&commit, &bytes), &bytes).await == Ok(()));
    ensure!(scene.stored(&checkpoint).await.is_some(), "no checkpoint");
    ensure!(host.get(scene.get(&checkpoint)).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_cut_put_goes_on_where_it_was() -> Result<()> {
    let scene = Scene::new().await?;
    let content: Vec<u8> = (0..8 << 20).map(|at: u32| at.to_le_bytes()[(at % 4) as usize]).collect();
    let name = hashed("packs", &content);
    let header = scene.header(&name, &content);
    // Half of it comes, and then the line is cut.
    let mut host = scene.host("web1").await?;
    let (feed, parts_to_come) = tokio::sync::mpsc::channel(1);
    let cut = tokio::spawn(async move { host.put(tokio_stream::wrappers::ReceiverStream::new(parts_to_come)).await });
    for part in parts(header.clone(), &content[..4 << 20]) {
        feed.send(part).await?;
    }
    while scene.gateway.received_bytes() < 4 << 20 {
        tokio::task::yield_now().await;
    }
    cut.abort();
    let mut host = scene.host("web1").await?;
    let held = loop {
        let held = host.held(header.clone()).await?.into_inner().length;
        if held > 0 {
            break held;
        }
        tokio::task::yield_now().await;
    };
    ensure!(held == 4 << 20, "{held}");
    // Another host sees nothing of it, and cannot go on with it.
    let mut other = scene.host("web2").await?;
    ensure!(other.held(header.clone()).await?.into_inner().length == 0);
    let rest = PutHeader { offset: held, ..header.clone() };
    ensure!(put(&mut other, rest.clone(), &content[4 << 20..]).await == Err(Code::FailedPrecondition));
    ensure!(put(&mut host, rest, &content[4 << 20..]).await == Ok(()));
    ensure!(scene.stored(&name).await.as_deref() == Some(&content[..]));
    ensure!(scene.gateway.received_bytes() == 8 << 20);
    Ok(())
}

/// A store that is far away: the host's line breaks while it stores what has arrived.
#[tokio::test]
async fn what_has_arrived_whole_is_stored_though_its_host_is_gone() -> Result<()> {
    let content: Vec<u8> = (0..4 << 20).map(|at: u32| at.to_le_bytes()[(at % 3) as usize]).collect();
    let slow = NonZeroU64::new(2 << 20).context("a rate")?;
    let scene = Scene::over(|store| Arc::new(Limited::new(store, slow))).await?;
    let name = hashed("packs", &content);
    let header = scene.header(&name, &content);
    let mut host = scene.host("web1").await?;
    let (again, sent) = (header.clone(), content.clone());
    let cut = tokio::spawn(async move { put(&mut host, again, &sent).await });
    while scene.gateway.received_bytes() < 4 << 20 {
        tokio::task::yield_now().await;
    }
    ensure!(scene.stored(&name).await.is_none(), "the store is not slow");
    cut.abort();
    // Its next put of the same waits for the first, and sends nothing twice.
    let mut host = scene.host("web1").await?;
    ensure!(put(&mut host, header, &content).await == Err(Code::AlreadyExists));
    ensure!(scene.stored(&name).await.as_deref() == Some(&content[..]));
    ensure!(scene.gateway.received_bytes() == 4 << 20, "{}", scene.gateway.received_bytes());
    Ok(())
}

#[tokio::test]
async fn hosts_read_what_a_writer_needs_and_no_more() -> Result<()> {
    let scene = Scene::new().await?;
    scene.repository.add_writer(&WriterIdentity { holder: "web1".into() }).await?;
    let mut host = scene.host("web1").await?;
    let (mut readable, mut hidden) = (0, 0);
    for (name, record) in scene.repository.key_records().await? {
        let read = host.get(scene.get(&name)).await;
        match record {
            strongroom_repository::keys::KeyRecord::Writer(_) => {
                ensure!(read.is_ok(), "{name}");
                readable += 1;
            }
            strongroom_repository::keys::KeyRecord::Holder(_) => {
                ensure!(read.err().map(|status| status.code()) == Some(Code::NotFound), "{name}");
                hidden += 1;
            }
        }
    }
    ensure!((readable, hidden) == (1, 1));
    let mut config = host.get(scene.get("config")).await?.into_inner();
    let first = config.message().await?.context("a part")?;
    let length = first.meta.context("what it is")?.length;
    let mut read = Vec::new();
    while let Some(part) = config.message().await? {
        read.extend_from_slice(&part.bytes);
    }
    ensure!(read.len() as u64 == length && scene.stored("config").await.as_deref() == Some(&read[..]));
    let pack = hashed("packs", b"content");
    put(&mut host, scene.header(&pack, b"content"), b"content").await.ok();
    ensure!(host.get(scene.get(&pack)).await.err().map(|status| status.code()) == Some(Code::PermissionDenied));
    for folder in ["packs", "keys", "sessions", ""] {
        let request = ListRequest { repository: scene.repository.id().to_string(), folder: folder.into() };
        ensure!(host.list(request).await.is_err(), "{folder}");
    }
    Ok(())
}

#[tokio::test]
async fn ranges_are_what_was_asked_for() -> Result<()> {
    let scene = Scene::new().await?;
    let mut host = scene.host("web1").await?;
    let content: Vec<u8> = (0..=255).collect();
    let name = hashed("index", &content);
    put(&mut host, scene.header(&name, &content), &content).await.ok().context("put")?;
    for (start, end, suffix, expect) in [
        (None, None, None, 0..256),
        (Some(10), Some(20), None, 10..20),
        (Some(250), None, None, 250..256),
        (Some(250), Some(300), None, 250..256),
        (None, None, Some(6), 250..256),
    ] {
        let mut parts = host.get(GetRequest { start, end, suffix, ..scene.get(&name) }).await?.into_inner();
        let mut read = Vec::new();
        while let Some(part) = parts.message().await? {
            read.extend_from_slice(&part.bytes);
        }
        ensure!(read == content[expect.clone()], "{expect:?}");
    }
    let mut head = host.get(GetRequest { head: true, ..scene.get(&name) }).await?.into_inner();
    ensure!(head.message().await?.and_then(|part| part.meta).map(|meta| meta.length) == Some(256));
    ensure!(head.message().await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_repository_that_is_not_the_gateways_is_not_found() -> Result<()> {
    let scene = Scene::new().await?;
    let mut host = scene.host("web1").await?;
    let request = GetRequest { repository: "00".repeat(16), name: "config".into(), ..GetRequest::default() };
    ensure!(host.get(request).await.err().map(|status| status.code()) == Some(Code::NotFound));
    Ok(())
}
