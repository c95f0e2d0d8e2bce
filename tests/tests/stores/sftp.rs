//! OpenSSH's own SFTP server, without sshd: the promises are the server program's.

use std::path::{Path as FilePath, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use strongroom_repository::store::{
    ErrorKind, HINT, Location, SftpConnector, SftpError, SftpPlace, SftpStore, SftpStream, kind,
};
use strongroom_tests::skip;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Store;
use crate::cases::{content, create, pattern};

const SERVER: &str = "/usr/lib/openssh/sftp-server";

/// Starts the server with these arguments for each stream.
#[derive(Debug, Default)]
pub(crate) struct LocalServer {
    /// OpenSSH's, if none is named.
    program: Option<PathBuf>,
    arguments: Vec<String>,
    /// Each stream breaks after so many bytes from the server.
    breaks_after: Option<usize>,
    started: AtomicUsize,
}

#[async_trait]
impl SftpConnector for LocalServer {
    async fn connect(&self) -> Result<Box<dyn SftpStream>, SftpError> {
        self.started.fetch_add(1, Ordering::Relaxed);
        let program = self.program.as_deref().unwrap_or(FilePath::new(SERVER));
        let mut command = tokio::process::Command::new(program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| SftpError::connect(error, ErrorKind::Other, None))?;
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let left = self.breaks_after.unwrap_or(usize::MAX);
        Ok(Box::new(Breaking { inner: tokio::io::join(output, input), left }))
    }
}

/// A stream that ends after so many bytes.
struct Breaking<S> {
    inner: S,
    left: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Breaking<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Breaking<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl LocalServer {
    /// A worker that serves this folder to a key that may delete.
    pub(crate) fn worker(program: PathBuf, folder: &FilePath) -> Self {
        let arguments = vec!["store".into(), "--may-delete".into(), folder.display().to_string()];
        Self { program: Some(program), arguments, ..Self::default() }
    }
}

/// Whether there is a server, or a note that this test did not run.
pub(crate) fn is_there() -> bool {
    if FilePath::new(SERVER).exists() {
        return true;
    }
    let thread = std::thread::current();
    skip::test(thread.name().unwrap_or("sftp"), &format!("{SERVER} is not there")).expect("a note");
    false
}

fn place(folder: &FilePath) -> SftpPlace {
    let location = Location::parse(&format!("sftp://nobody@nowhere{}", folder.display())).expect("a location");
    let Location::Sftp(place) = location else { panic!("{location}") };
    place
}

pub(crate) fn store(server: Arc<LocalServer>, folder: &FilePath) -> Store {
    Arc::new(SftpStore::new(&place(folder), server))
}

/// A folder that is not there yet, on a real disk.
pub(crate) fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir_in("/var/tmp").expect("folder");
    let path = folder.path().join("deep/repository");
    (folder, path)
}

fn leftovers(folder: &FilePath) -> usize {
    std::fs::read_dir(folder.join("tmp")).expect("tmp").count()
}

/// Every stream breaks sooner or later, often in the middle of a put: all that was put is there, whole, and a put knows its own object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_sessions_lose_nothing() {
    if !is_there() {
        return;
    }
    const OBJECTS: u32 = 6;
    let (_kept, folder) = folder();
    // The answers to one put of 2 MiB come to about 2 KB.
    let server = Arc::new(LocalServer { breaks_after: Some(3000), ..LocalServer::default() });
    let store = store(Arc::clone(&server), &folder);
    for number in 0..OBJECTS {
        let name = format!("packs/{number}");
        create(&store, &name, pattern(number, 2 << 20)).await.expect("put");
    }
    assert!(
        server.started.load(Ordering::Relaxed) >= OBJECTS as usize,
        "the streams did not break often enough to show anything"
    );
    let sound = self::store(Arc::default(), &folder);
    for number in 0..OBJECTS {
        assert!(
            content(&sound, &format!("packs/{number}")).await.expect("get") == pattern(number, 2 << 20),
            "{number}"
        );
        let taken = create(&sound, &format!("packs/{number}"), "x").await.expect_err("taken");
        assert_eq!(kind(&taken), ErrorKind::AlreadyExists);
    }
    // Answers of 64 KiB and more cannot come through such a stream: reading gives up in the end, and says why.
    let refused = content(&store, "packs/1").await.expect_err("it breaks every time");
    assert_eq!(kind(&refused), ErrorKind::Transient, "{refused}");
}

/// A server without the extensions: renamed instead of linked, and still nothing is overwritten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_extensions_serves_too() {
    if !is_there() {
        return;
    }
    let (_kept, folder) = folder();
    let poor = ["-P", "hardlink,fsync,posix-rename,statvfs,limits"];
    let arguments = poor.map(str::to_owned).to_vec();
    let server = Arc::new(LocalServer { arguments, ..LocalServer::default() });
    let store = store(server, &folder);
    create(&store, "packs/one", "first").await.expect("put");
    let taken = create(&store, "packs/one", "second").await.expect_err("taken");
    assert_eq!(kind(&taken), ErrorKind::AlreadyExists, "{taken}");
    assert_eq!(content(&store, "packs/one").await.expect("get"), "first");
    for hint in ["1", "2"] {
        store.put(&Path::from(HINT), hint.into()).await.expect("hint");
        assert_eq!(content(&store, HINT).await.expect("get"), hint);
    }
    assert_eq!(leftovers(&folder), 0);
}

/// Many more streams of objects than a session may have handles.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_do_not_run_out() {
    if !is_there() {
        return;
    }
    let (_kept, folder) = folder();
    let store = store(Arc::default(), &folder);
    create(&store, "packs/one", pattern(1, 100_000)).await.expect("put");
    let name = Path::from("packs/one");
    let reads = (0..400_u64).map(|number| store.get_range(&name, number..number + 50_000));
    futures::future::try_join_all(reads).await.expect("all of them");
    // Readers that go away in the middle leave their handle open; the session is replaced in time.
    for _ in 0..300 {
        let read = store.get_range(&name, 0..100_000);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(200), read).await;
    }
    assert_eq!(store.get_range(&name, 0..10).await.expect("still"), pattern(1, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_server_says_so() {
    if !is_there() {
        return;
    }
    let (_kept, folder) = folder();
    create(&store(Arc::default(), &folder), "packs/one", "content").await.expect("put");
    let server = Arc::new(LocalServer { arguments: vec!["-R".into()], ..LocalServer::default() });
    let store = store(server, &folder);
    assert_eq!(content(&store, "packs/one").await.expect("get"), "content");
    let refused = create(&store, "packs/two", "x").await.expect_err("read-only");
    assert_eq!(kind(&refused), ErrorKind::PermissionDenied, "{refused}");
}

/// The objects are those of a local store: a disk that is carried there can be opened here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_the_same_from_both_sides() {
    if !is_there() {
        return;
    }
    let (_kept, folder) = folder();
    let far = store(Arc::default(), &folder);
    create(&far, "packs/one", "content").await.expect("put");
    let near = strongroom_repository::store::LocalStore::open(&folder).expect("open");
    assert_eq!(content(&near, "packs/one").await.expect("get"), "content");
    create(&near, "packs/two", "near").await.expect("put");
    assert_eq!(content(&far, "packs/two").await.expect("get"), "near");
    assert_eq!(leftovers(&folder), 0);
    use std::os::unix::fs::PermissionsExt;
    let mode = |name: &str| std::fs::metadata(folder.join(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("packs"), mode("packs/one")), (0o700, 0o700, 0o600));
}
