//! A busy server: it passes requests on, and answers 503 to a share of them, as stores do that are asked too much.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use anyhow::{Context, Result};

/// In front of a server, until the process ends.
pub(crate) struct BusyServer {
    /// Where it listens.
    pub(crate) endpoint: String,
    state: Arc<State>,
}

struct State {
    behind: String,
    /// A line that every request gets before it is passed on, if it has none of that name.
    added: &'static str,
    /// So many of a hundred requests are refused.
    refused_percent: AtomicU32,
    requests: AtomicU64,
    refused: AtomicU64,
}

const REFUSAL: &str =
    "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

impl BusyServer {
    /// `endpoint` is `http://host:port` of the server behind.
    pub(crate) fn before(endpoint: &str) -> Result<Self> {
        Self::adding("", endpoint)
    }

    /// The same, which adds a line to the head of every request that has none of that name.
    pub(crate) fn adding(added: &'static str, endpoint: &str) -> Result<Self> {
        let behind = endpoint.strip_prefix("http://").context("a plain endpoint")?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(State {
            behind,
            added,
            refused_percent: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                // A client that goes away ends its thread with an error, which is nobody's concern.
                std::thread::spawn(move || drop(state.serve(client)));
            }
        });
        Ok(Self { endpoint, state })
    }

    /// From now on so many of a hundred requests are refused.
    pub(crate) fn refuse(&self, percent: u32) {
        self.state.refused_percent.store(percent, Ordering::SeqCst);
    }

    /// How many were refused until now.
    pub(crate) fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::SeqCst)
    }
}

impl State {
    /// Requests of one connection, one after the other, each on a connection of its own behind.
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let mut requests = BufReader::new(client.try_clone()?);
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if requests.read_until(b'\n', &mut head)? == 0 {
                    return Ok(());
                }
            }
            let mut body = vec![0; length_of(&head)];
            requests.read_exact(&mut body)?;
            let number = self.requests.fetch_add(1, Ordering::SeqCst);
            // Spread evenly: 37 and 100 have nothing in common, so that every hundred requests hold each number once.
            if (number * 37 % 100) < u64::from(self.refused_percent.load(Ordering::SeqCst)) {
                self.refused.fetch_add(1, Ordering::SeqCst);
                refuse(&client)?;
            } else if !self.pass_on(&client, &head, &body)? {
                return Ok(());
            }
        }
    }

    /// Says whether the connection may be used again: an answer that ends with its connection ends ours.
    fn pass_on(&self, mut client: &TcpStream, head: &[u8], body: &[u8]) -> io::Result<bool> {
        let mut server = TcpStream::connect(&self.behind)?;
        let end = head.len() - 2;
        server.write_all(&head[..end])?;
        let (name, _) = self.added.split_once(':').unwrap_or_default();
        if !String::from_utf8_lossy(head).to_ascii_lowercase().contains(&format!("\r\n{name}:")) {
            server.write_all(self.added.as_bytes())?;
        }
        server.write_all(b"Connection: close\r\n\r\n")?;
        server.write_all(body)?;
        io::copy(&mut server, &mut client)?;
        client.shutdown(Shutdown::Both)?;
        Ok(false)
    }
}

fn length_of(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    line.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

fn refuse(mut client: &TcpStream) -> io::Result<()> {
    let length = REFUSAL.len();
    write!(
        client,
        "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\r\n{REFUSAL}"
    )
}
