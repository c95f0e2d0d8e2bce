//! An OpenSSH server of this program's own: `sshd -i` behind a listener, with keys that are made for it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use strongroom_controller::ssh::{HostKeys, Identity, Target};

/// A running server; its listener ends with the program.
pub(crate) struct Sshd {
    folder: PathBuf,
    port: u16,
}

impl Sshd {
    /// Lets in `plain` for any command, and `worker` for the forced command alone.
    pub(crate) fn start(folder: &Path, forced: &str) -> Result<Self> {
        let at = |name: &str| folder.join(name);
        for name in ["host", "plain", "worker"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(name)).status()?;
            ensure!(made.success(), "ssh-keygen failed");
        }
        let public = |name: &str| fs::read_to_string(at(&format!("{name}.pub")));
        let keys = format!("{}restrict,command=\"{forced}\" {}", public("plain")?, public("worker")?);
        fs::write(at("authorized_keys"), keys)?;
        let shown = folder.display();
        fs::write(
            at("sshd_config"),
            format!(
                "HostKey {shown}/host\nAuthorizedKeysFile {shown}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
                 PasswordAuthentication no\nLogLevel ERROR\n"
            ),
        )?;
        fs::create_dir_all("/run/sshd")?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {}", public("host")?))?;
        let configuration = at("sshd_config");
        std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                // A connection that is not served is noticed at its other end.
                drop(serve(&socket, &configuration));
            }
        });
        Ok(Self { folder: folder.to_owned(), port })
    }

    /// For the controller's client.
    pub(crate) fn target(&self) -> Result<Target> {
        Ok(Target {
            address: "127.0.0.1".into(),
            port: self.port,
            user: user()?,
            identities: vec![Identity::from_file(&self.folder.join("worker"), None)?],
            known_hosts: HostKeys::File(self.folder.join("known_hosts")),
            jump: None,
            connect_timeout: Duration::from_secs(20),
        })
    }

    /// OpenSSH's client, with the cipher that ours agrees on.
    pub(crate) fn client(&self, command: &str) -> Result<Command> {
        let mut client = Command::new("ssh");
        let option = |name: &str, value: &str| format!("{name}={value}");
        client.args(["-F", "none", "-c", "aes256-gcm@openssh.com", "-o", "BatchMode=yes", "-o"]);
        client.arg(option("UserKnownHostsFile", self.folder.join("known_hosts").to_str().context("a path of text")?));
        client.arg("-i").arg(self.folder.join("plain")).arg("-p").arg(self.port.to_string());
        client.arg(format!("{}@127.0.0.1", user()?)).arg(command);
        Ok(client)
    }
}

fn serve(socket: &TcpStream, configuration: &Path) -> Result<()> {
    let stdio = || -> Result<Stdio> { Ok(Stdio::from(OwnedFd::from(socket.try_clone()?))) };
    let mut command = Command::new("/usr/sbin/sshd");
    command.arg("-i").arg("-f").arg(configuration).stdin(stdio()?).stdout(stdio()?);
    let mut server = command.spawn()?;
    std::thread::spawn(move || drop(server.wait()));
    Ok(())
}

fn user() -> Result<String> {
    let output = Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
