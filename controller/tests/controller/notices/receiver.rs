//! Receivers of notices: real servers, each a process of its own, which write down what they get.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// A server that runs; it ends with this.
pub(crate) struct Receiver {
    folder: TempDir,
    process: Child,
    pub(crate) port: u16,
}

/// The Python of the environment that `tests/run` makes, with what the servers need.
fn python() -> PathBuf {
    let made = std::env::var_os("STRONGROOM_READER_VENV").map(PathBuf::from);
    let usual = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache/strongroom/reader-venv-2");
    made.unwrap_or_else(usual).join("bin/python3")
}

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controller/notices").join(name)
}

impl Receiver {
    /// A web server.
    pub(crate) fn web() -> Result<Self> {
        Self::start("web.py", &[])
    }

    /// A web server with a certificate.
    pub(crate) fn encrypted_web(certificates: &Certificates) -> Result<Self> {
        Self::start("web.py", &[certificates.path("server.pem"), certificates.path("server.key")])
    }

    /// A server of mail.
    pub(crate) fn mail(certificates: &Certificates) -> Result<Self> {
        Self::start("mail.py", &[certificates.path("server.pem"), certificates.path("server.key")])
    }

    fn start(name: &str, arguments: &[PathBuf]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let python = python();
        let mut process = Command::new(&python)
            .arg(program(name))
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}: tests/run installs it", python.display()))?;
        let port = wait_until("the server listens", || {
            ensure!(process.try_wait()?.is_none(), "the server {name} has ended");
            Ok(fs::read_to_string(folder.path().join("port")).ok())
        })?;
        Ok(Self { port: port.parse()?, folder, process })
    }

    /// How it behaves from now on.
    pub(crate) fn behave(&self, mode: &str) -> Result<()> {
        fs::write(self.folder.path().join("mode.new"), mode)?;
        Ok(fs::rename(self.folder.path().join("mode.new"), self.folder.path().join("mode"))?)
    }

    /// What it got so far.
    pub(crate) fn got(&self) -> Result<Vec<Value>> {
        let log = fs::read_to_string(self.folder.path().join("requests")).unwrap_or_default();
        log.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Waits for so many requests.
    pub(crate) fn wait_for(&self, count: usize) -> Result<Vec<Value>> {
        wait_until(&format!("{count} requests"), || Ok(Some(self.got()?).filter(|got| got.len() >= count)))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// An authority that no system trusts, and a certificate of it for this machine.
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn make() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let made = Command::new(python()).arg(program("certificates.py")).arg(folder.path()).status();
        ensure!(made.context("start Python: tests/run installs it")?.success());
        Ok(Self(folder))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Waits for a state, and for nothing longer than needed.
#[expect(
    clippy::disallowed_methods,
    reason = "a server of another process wakes nobody here: between two looks is a pause"
)]
pub(crate) fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        if let Some(found) = ask()? {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("waited in vain: {what}")
}
