//! A line of a given length to a server on this machine: what goes in comes out so much later, however much it is. It counts connections, bytes and HTTP requests.
//!
//! A connection's first bytes wait for one round trip more, as for the handshake that the loopback would answer at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

const READ_BYTES: usize = 256 << 10;
/// Pieces under way in one direction: 256 MiB at most, far more than any line of 20 ms carries.
const PIECES_MAX: usize = 1024;

/// What passed since it was last asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) connections: u64,
    pub(crate) bytes: u64,
    /// HTTP requests by method; none where the line carries something else.
    pub(crate) requests: BTreeMap<String, u64>,
}

/// A running line.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    passed: Arc<Mutex<Passed>>,
}

impl Proxy {
    /// A line to `server` on which a round trip takes `round_trip`.
    pub(crate) fn start(runtime: &Handle, server: SocketAddr, round_trip: Duration) -> Result<Self> {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let (port, passed) = (listener.local_addr()?.port(), Arc::new(Mutex::new(Passed::default())));
        let counted = Arc::clone(&passed);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                lock(&counted).connections += 1;
                // A connection that breaks is noticed at its ends.
                tokio::spawn(carry(client, server, round_trip, Arc::clone(&counted)));
            }
        });
        Ok(Self { port, passed })
    }

    /// What passed since this was last asked.
    pub(crate) fn passed(&self) -> Passed {
        std::mem::take(&mut *lock(&self.passed))
    }
}

fn lock(passed: &Mutex<Passed>) -> std::sync::MutexGuard<'_, Passed> {
    passed.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn carry(client: TcpStream, server: SocketAddr, round_trip: Duration, passed: Arc<Mutex<Passed>>) -> Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let up =
        direction(from_client, to_server, round_trip, round_trip / 2, Some(Arc::clone(&passed)), Arc::clone(&passed));
    let down = direction(from_server, to_client, Duration::ZERO, round_trip / 2, None, passed);
    tokio::try_join!(up, down)?;
    Ok(())
}

/// One direction, until its sender has no more.
async fn direction(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    handshake: Duration,
    delay: Duration,
    count: Option<Arc<Mutex<Passed>>>,
    passed: Arc<Mutex<Passed>>,
) -> std::io::Result<()> {
    let begun = Instant::now() + handshake;
    let (pieces, mut waiting) = mpsc::channel::<(Instant, Bytes)>(PIECES_MAX);
    let read = async move {
        let mut requests = Requests::default();
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ_BYTES);
            if from.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            let piece = buffer.split().freeze();
            lock(&passed).bytes += piece.len() as u64;
            if let Some(count) = &count {
                requests.see(&piece, |method| *lock(count).requests.entry(method.to_owned()).or_default() += 1);
            }
            if pieces.send((begun.max(Instant::now()) + delay, piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = waiting.recv().await {
            if due > Instant::now() {
                sleep_until(due).await;
            }
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    let done: (std::io::Result<()>, std::io::Result<()>) = tokio::join!(read, write);
    done.0.and(done.1)
}

/// Finds the requests in what a client of HTTP/1.1 sends: heads, and bodies of stated length that are skipped.
#[derive(Debug, Default)]
struct Requests {
    head: Vec<u8>,
    body_left: u64,
    /// It is no HTTP: nothing is looked at any more.
    is_other: bool,
}

/// No head of a request is longer.
const HEAD_MAX: usize = 64 << 10;

impl Requests {
    fn see(&mut self, mut bytes: &[u8], mut found: impl FnMut(&str)) {
        while !bytes.is_empty() && !self.is_other {
            let skipped = self.body_left.min(bytes.len() as u64);
            self.body_left -= skipped;
            bytes = &bytes[skipped as usize..];
            let before = self.head.len();
            self.head.extend_from_slice(&bytes[..bytes.len().min(HEAD_MAX)]);
            let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
                self.is_other = self.head.len() > HEAD_MAX || self.head.starts_with(b"SSH-");
                return;
            };
            bytes = &bytes[end + 4 - before..];
            let head = String::from_utf8_lossy(&self.head[..end]).into_owned();
            self.head.clear();
            found(head.split(' ').next().unwrap_or_default());
            let length = head.lines().filter_map(|line| line.split_once(':'));
            let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            self.body_left = length.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_found_however_they_are_cut() {
        let stream = b"PUT /a HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /no HTTP/1.1\r\n\r\n0123456789GET /b HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\n\r\n";
        for size in 1..stream.len() {
            let (mut requests, mut found) = (Requests::default(), Vec::new());
            stream.chunks(size).for_each(|piece| requests.see(piece, |method| found.push(method.to_owned())));
            assert_eq!(found, ["PUT", "GET", "HEAD"], "in pieces of {size}");
        }
    }

    #[test]
    fn what_goes_in_comes_out_later_and_is_counted() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = server.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((mut client, _)) = server.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 18];
                    while client.read_exact(&mut request).await.is_ok() && client.write_all(b"answer").await.is_ok() {}
                });
            }
        });
        let proxy = Proxy::start(runtime.handle(), address, Duration::from_millis(40)).unwrap();
        let took = runtime.block_on(async {
            let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
            let begun = Instant::now();
            for _ in 0..2 {
                stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
                stream.read_exact(&mut [0; 6]).await.unwrap();
            }
            begun.elapsed()
        });
        // The handshake and two requests.
        assert!(took >= Duration::from_millis(120), "{took:?}");
        let requests = BTreeMap::from([("GET".to_owned(), 2)]);
        assert_eq!(proxy.passed(), Passed { connections: 1, bytes: 48, requests });
    }
}
