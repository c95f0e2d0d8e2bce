//! Real S3 servers on this machine, one of each kind for all tests of a program: moto, which honours "only if there is none", and a Garage of two nodes, which
//! does not. Tests keep apart by their prefixes.
//!
//! `tests/run` installs both and names them in the environment; without them their tests are skipped.

mod garage;
mod moto;
mod process;

use std::sync::OnceLock;

use tempfile::TempDir;

use process::Process;

/// The bucket that every server has.
pub const BUCKET: &str = "strongroom-tests";

/// A running server with an empty bucket.
#[derive(Debug)]
pub struct S3Server {
    /// Where it listens.
    pub endpoint: String,
    /// What requests are signed for.
    pub region: &'static str,
    /// Who may use the bucket.
    pub access_key: &'static str,
    /// The key's secret.
    pub secret_key: &'static str,
    /// What a command to the server itself begins with, where it takes any.
    administrator: Vec<String>,
    _processes: Vec<Process>,
    _folder: TempDir,
}

impl S3Server {
    /// moto, or why there is none.
    pub fn moto() -> Result<&'static Self, String> {
        static SERVER: OnceLock<Result<S3Server, String>> = OnceLock::new();
        found(SERVER.get_or_init(|| started("STRONGROOM_MOTO", moto::start)))
    }

    /// Garage, or why there is none.
    pub fn garage() -> Result<&'static Self, String> {
        static SERVER: OnceLock<Result<S3Server, String>> = OnceLock::new();
        found(SERVER.get_or_init(|| started("STRONGROOM_GARAGE", garage::start)))
    }

    /// Gives a command to the server itself.
    pub fn administer(&self, words: &[&str]) -> anyhow::Result<String> {
        let all: Vec<&str> = self.administrator.iter().map(String::as_str).chain(words.iter().copied()).collect();
        process::run(&all)
    }

    /// Sends moto, which checks no signature, a bare request; returns the whole answer.
    pub fn ask_bare(&self, method: &str, path: &str, head: &str, body: &str) -> anyhow::Result<String> {
        moto::ask(self.endpoint.trim_start_matches("http://"), method, path, head, body)
    }

    /// The environment of a program that uses it.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("STRONGROOM_S3_ENDPOINT", self.endpoint.clone()),
            ("AWS_REGION", self.region.into()),
            ("AWS_ACCESS_KEY_ID", self.access_key.into()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key.into()),
        ]
    }

    /// The location of a repository of one test's own.
    #[must_use]
    pub fn location(&self, test: &str) -> String {
        format!("s3://{BUCKET}/{test}")
    }
}

/// A server that is installed and does not start is a failure, not a reason to skip.
fn started(variable: &str, start: fn(&str) -> anyhow::Result<S3Server>) -> Result<S3Server, String> {
    let program = std::env::var(variable).ok().filter(|program| !program.is_empty());
    let program = program.ok_or_else(|| format!("{variable} is not set; `tests/run stores` installs the server"))?;
    match start(&program) {
        Ok(server) => Ok(server),
        Err(error) => panic!("{program}: {error:#}"),
    }
}

fn found(server: &'static Result<S3Server, String>) -> Result<&'static S3Server, String> {
    server.as_ref().map_err(Clone::clone)
}
