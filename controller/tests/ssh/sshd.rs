//! An OpenSSH server of one test's own: own keys, own configuration, own log. It runs as `sshd -i` behind a listener of the test, so that its port comes from the
//! kernel, and the test holds each connection's socket and process and can end them.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use strongroom_controller::ssh::{HostKeys, Identity, Target};
use tempfile::TempDir;

/// A running server, ended when dropped.
pub(crate) struct Sshd {
    folder: TempDir,
    port: u16,
    sessions: Arc<Mutex<Vec<Session>>>,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

struct Session {
    process: Child,
    socket: TcpStream,
}

impl Sshd {
    /// With an Ed25519 and an ECDSA host key; one user key, `user_key`, is let in without restrictions.
    pub(crate) fn start() -> Result<Self> {
        Self::with_options("")
    }

    /// The same with further lines of configuration, which win.
    pub(crate) fn with_options(options: &str) -> Result<Self> {
        Self::within(options, &[])
    }

    /// The same, each server being started by these words.
    pub(crate) fn within(options: &str, launcher: &[String]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sshd-").tempdir_in("/var/tmp")?;
        let at = |name: &str| folder.path().join(name);
        keygen(&at("host_ed25519"), "ed25519", "")?;
        keygen(&at("host_ecdsa"), "ecdsa", "")?;
        keygen(&at("user_key"), "ed25519", "")?;
        fs::copy(at("user_key.pub"), at("authorized_keys"))?;
        fs::write(at("sshd_config"), configuration(folder.path(), options))?;
        // As its init script does.
        fs::create_dir_all("/run/sshd")?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (sessions, stopping) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let acceptor = std::thread::spawn({
            let (sessions, stopping) = (Arc::clone(&sessions), Arc::clone(&stopping));
            let (folder, launcher) = (folder.path().to_owned(), launcher.to_vec());
            move || accept(&listener, &folder, &launcher, &sessions, &stopping)
        });
        let sshd = Self { folder, port, sessions, stopping, acceptor: Some(acceptor) };
        sshd.know_hosts(&["host_ed25519", "host_ecdsa"])?;
        Ok(sshd)
    }

    /// A file of this server or of its test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How to get in: strictly, with the unrestricted key.
    pub(crate) fn target(&self) -> Result<Target> {
        Ok(Target {
            address: "127.0.0.1".to_owned(),
            port: self.port,
            user: user()?,
            identities: vec![Identity::from_file(&self.path("user_key"), None)?],
            known_hosts: HostKeys::File(self.path("known_hosts")),
            jump: None,
            connect_timeout: Duration::from_secs(20),
        })
    }

    /// Makes these the recorded host keys.
    pub(crate) fn know_hosts(&self, keys: &[&str]) -> Result<()> {
        let mut lines = String::new();
        for key in keys {
            lines.push_str(&format!("[127.0.0.1]:{} {}\n", self.port, self.public_line(key)?));
        }
        self.know(&lines)
    }

    /// Makes this the text of `known_hosts`.
    pub(crate) fn know(&self, text: &str) -> Result<()> {
        Ok(fs::write(self.path("known_hosts"), text)?)
    }

    /// A public key as one line without a comment.
    pub(crate) fn public_line(&self, key: &str) -> Result<String> {
        let text = fs::read_to_string(self.path(&format!("{key}.pub")))?;
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        Ok(words.join(" "))
    }

    /// `SHA256:…`, as OpenSSH itself prints it.
    pub(crate) fn fingerprint(&self, key: &str) -> Result<String> {
        let output = Command::new("ssh-keygen").arg("-lf").arg(self.path(&format!("{key}.pub"))).output()?;
        let line = String::from_utf8(output.stdout)?;
        Ok(line.split_whitespace().nth(1).context("a fingerprint")?.to_owned())
    }

    /// Lets this key in, with these options, and nobody else.
    pub(crate) fn authorize(&self, options: &str, key: &str) -> Result<()> {
        let line = format!("{options}{}{}\n", if options.is_empty() { "" } else { " " }, self.public_line(key)?);
        Ok(fs::write(self.path("authorized_keys"), line)?)
    }

    /// A program that greets as a worker does and sends everything back.
    pub(crate) fn worker(&self) -> Result<String> {
        self.program("worker", "printf 'strongroom-worker 1\\n'\nexec cat\n")
    }

    /// A shell script in the server's folder; its path.
    pub(crate) fn program(&self, name: &str, lines: &str) -> Result<String> {
        let path = self.path(name);
        let mut file = fs::File::create(&path)?;
        file.write_all(format!("#!/bin/sh\n{lines}").as_bytes())?;
        Command::new("chmod").arg("755").arg(&path).status()?;
        Ok(path.to_str().context("a path of text")?.to_owned())
    }

    /// Cuts every connection, as a network does that lets nothing through and says so.
    pub(crate) fn cut(&self) {
        for session in &*self.sessions.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = session.socket.shutdown(Shutdown::Both);
        }
    }

    /// Kills every server process, as when the host's memory is full.
    pub(crate) fn kill(&self) {
        for session in &mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner) {
            session.kill();
        }
    }

    /// How many connections' servers have not ended.
    pub(crate) fn running(&self) -> usize {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter_mut().filter_map(|session| session.process.try_wait().ok()).filter(Option::is_none).count()
    }

    /// Kills the listener too: from now on nobody answers.
    pub(crate) fn stop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.kill();
    }

    /// What the server wrote down.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            // Beside the failed test's own words.
            let _ = std::io::stderr().write_all(format!("sshd's log:\n{}", self.log()).as_bytes());
        }
    }
}

impl Session {
    /// The process that talks to the network is a child of the one that was started, and commands are children of that.
    fn kill(&mut self) {
        let below = descendants(self.process.id());
        // From the top: a server that sees its command die first would still report that.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for process in below {
            let _ = Command::new("kill").arg("-KILL").arg(process.to_string()).stderr(Stdio::null()).status();
        }
        // This test's own copy of the socket must not keep the connection open.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

fn accept(
    listener: &TcpListener,
    folder: &Path,
    launcher: &[String],
    sessions: &Mutex<Vec<Session>>,
    stopping: &AtomicBool,
) {
    while let Ok((socket, _)) = listener.accept() {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        let session = serve(socket, folder, launcher).expect("sshd starts");
        sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}

fn serve(socket: TcpStream, folder: &Path, launcher: &[String]) -> Result<Session> {
    let stdio = |socket: &TcpStream| -> Result<Stdio> { Ok(Stdio::from(OwnedFd::from(socket.try_clone()?))) };
    let words: Vec<&str> = launcher.iter().map(String::as_str).chain(["/usr/sbin/sshd"]).collect();
    let process = Command::new(words[0])
        .args(&words[1..])
        .arg("-i")
        .arg("-f")
        .arg(folder.join("sshd_config"))
        .arg("-E")
        .arg(folder.join("log"))
        .stdin(stdio(&socket)?)
        .stdout(stdio(&socket)?)
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Session { process, socket })
}

fn configuration(folder: &Path, options: &str) -> String {
    let folder = folder.display();
    // This one may be there only once.
    let subsystem = if options.contains("Subsystem") { "" } else { "Subsystem sftp /usr/lib/openssh/sftp-server\n" };
    // The first value of an option is the one that counts.
    format!(
        "{options}\n\
         HostKey {folder}/host_ed25519\nHostKey {folder}/host_ecdsa\n\
         AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         AllowTcpForwarding yes\nAllowStreamLocalForwarding yes\nAllowAgentForwarding yes\nPermitTTY yes\n\
         {subsystem}LogLevel DEBUG1\n"
    )
}

/// Makes a key pair.
pub(crate) fn keygen(path: &Path, kind: &str, passphrase: &str) -> Result<()> {
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"]).arg(path).output()?;
    ensure!(made.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// Whom a server that this user started can let in.
pub(crate) fn user() -> Result<String> {
    let output = Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// All processes below one.
fn descendants(of: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> =
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| parent(&entry.path())).collect();
    let mut found = vec![of];
    let mut at = 0;
    while at < found.len() {
        let process = found[at];
        found.extend(parents.iter().filter(|(_, parent)| *parent == process).map(|(process, _)| *process));
        at += 1;
    }
    found.remove(0);
    found
}

/// A process and its parent.
fn parent(folder: &Path) -> Option<(u32, u32)> {
    let process = folder.file_name()?.to_str()?.parse().ok()?;
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // Behind the name, which may contain anything.
    let (_, behind) = stat.rsplit_once(')')?;
    Some((process, behind.split_whitespace().nth(1)?.parse().ok()?))
}
