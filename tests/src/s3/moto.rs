//! moto: S3 in memory, in Python. It checks no signatures, and honours conditions.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::process::{Process, free_port};
use super::{BUCKET, S3Server};
use crate::wait;

/// Python imports for seconds, on a busy machine for many.
const START_TIME_MAX: Duration = Duration::from_secs(120);

/// Any signature will do, but there must be one.
const UNCHECKED: &str =
    "AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none";

pub(super) fn start(program: &str) -> Result<S3Server> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let server = Process::start(&[program, "-H", "127.0.0.1", "-p", &port.to_string()], &folder.path().join("log"))?;
    wait::until("moto makes a bucket", START_TIME_MAX, || make_bucket(port))?;
    Ok(S3Server {
        endpoint: format!("http://127.0.0.1:{port}"),
        region: "us-east-1",
        access_key: "AKIDSTRONGROOMTESTS",
        secret_key: "moto-does-not-check-it",
        administrator: Vec::new(),
        _processes: vec![server],
        _folder: folder,
    })
}

fn make_bucket(port: u16) -> Result<()> {
    let answer = ask(&format!("127.0.0.1:{port}"), "PUT", &format!("/{BUCKET}"), "", "")?;
    ensure!(answer.split_whitespace().nth(1) == Some("200"), "{answer}");
    Ok(())
}

/// A request with these lines more in its head, each with its end; returns the whole answer.
pub(super) fn ask(authority: &str, method: &str, path: &str, head: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(authority)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\nAuthorization: {UNCHECKED}\r\n\
         {head}Connection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
