//! An OpenSSH server of this program's own that serves files: `sshd -i` behind a listener, with keys that are made for it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::tool::Login;

/// A running server; its listener ends with the program.
pub(super) struct Sshd {
    folder: PathBuf,
    pub(super) address: SocketAddr,
}

impl Sshd {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        for name in ["host", "client"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.join(name))
                .status()?;
            ensure!(made.success(), "ssh-keygen failed");
        }
        fs::copy(folder.join("client.pub"), folder.join("authorized_keys"))?;
        let (shown, configuration) = (folder.display(), folder.join("sshd_config"));
        fs::write(
            &configuration,
            format!(
                "HostKey {shown}/host\nAuthorizedKeysFile {shown}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
                 PasswordAuthentication no\nLogLevel ERROR\nSubsystem sftp /usr/lib/openssh/sftp-server\n"
            ),
        )?;
        fs::create_dir_all("/run/sshd")?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                // A connection that is not served is noticed at its other end.
                drop(serve(&socket, &configuration));
            }
        });
        Ok(Self { folder: folder.to_owned(), address })
    }

    /// How to get in through a line that ends at `port`.
    pub(super) fn login(&self, port: u16) -> Result<Login> {
        let known_hosts = self.folder.join(format!("known_hosts-{port}"));
        fs::write(&known_hosts, format!("[127.0.0.1]:{port} {}", fs::read_to_string(self.folder.join("host.pub"))?))?;
        let output = Command::new("id").arg("-un").output()?;
        let user = String::from_utf8(output.stdout)?.trim().to_owned();
        Ok(Login { user, port, key: self.folder.join("client"), known_hosts })
    }
}

fn serve(socket: &TcpStream, configuration: &Path) -> Result<()> {
    let stdio = || -> Result<Stdio> { Ok(Stdio::from(OwnedFd::from(socket.try_clone()?))) };
    let mut command = Command::new("/usr/sbin/sshd");
    command.arg("-i").arg("-f").arg(configuration).stdin(stdio()?).stdout(stdio()?).stderr(Stdio::null());
    let mut server = command.spawn()?;
    std::thread::spawn(move || drop(server.wait()));
    Ok(())
}
