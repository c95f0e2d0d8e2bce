//! The forced command, as the SSH server runs it.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use strongroom_proto::GREETING;

fn connect(run: &Path, asked: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom-worker"));
    command.arg("connect").arg("--run-dir").arg(run).env_remove("SSH_ORIGINAL_COMMAND");
    command.envs(asked.map(|asked| ("SSH_ORIGINAL_COMMAND", asked)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn anything_else_is_refused_before_a_word() {
    let folder = tempfile::tempdir().unwrap();
    for asked in [None, Some("id"), Some("control; id"), Some("scp -t /"), Some("internal-sftp"), Some("")] {
        let (code, out, error) = said(&connect(folder.path(), asked).output().unwrap());
        assert_eq!((code, &*out), (Some(2), ""), "{asked:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains("only connects to the worker"), "{error}");
        assert!(error.contains(asked.unwrap_or("without a command")), "{error}");
    }
}

#[test]
fn without_a_daemon_there_is_no_greeting() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, error) = said(&connect(folder.path(), Some("control")).output().unwrap());
    assert_eq!((code, &*out), (Some(3), ""));
    assert!(error.contains("not running") && error.contains("worker.sock"), "{error}");
}

/// Bytes both ways, more than any buffer holds, and the end of each way passed on.
fn check_joins(socket: &str, asked: &str, configure: impl FnOnce(&mut Command)) {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::os::unix::net::UnixListener::bind(folder.path().join(socket)).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
    });
    let mut command = connect(folder.path(), Some(asked));
    configure(&mut command);
    let mut child = command.spawn().unwrap();
    let bytes = crate::host::noise(1, 3 << 20);
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&bytes).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let back = output.stdout.strip_prefix(GREETING.as_bytes()).expect("the greeting comes first");
    assert!(back == bytes || back.is_empty());
    daemon.join().unwrap();
}

#[test]
fn pipes_are_joined_to_the_socket() {
    check_joins("worker.sock", "control", |_| {});
    check_joins("gateway.sock", "gateway", |_| {});
}

/// Whoever made the pipes may have wanted not to wait at them; the forced command does.
#[test]
fn pipes_that_do_not_wait_are_joined_too() {
    let (input, mut to_child) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&input, true).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let listener = std::os::unix::net::UnixListener::bind(folder.path().join("worker.sock")).unwrap();
    let mut child = connect(folder.path(), Some("control")).stdin(input).spawn().unwrap();
    let (mut daemon, _) = listener.accept().unwrap();
    // The answer first: by then the child waits at an empty pipe.
    let (mut answer, mut question) = ([0; GREETING.len() + 6], [0; 8]);
    daemon.write_all(b"answer").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    to_child.write_all(b"question").unwrap();
    daemon.read_exact(&mut question).unwrap();
    assert_eq!((&question, &answer[GREETING.len()..]), (b"question", &b"answer"[..]));
    drop(daemon);
    assert!(child.wait().unwrap().success());
}

/// Neither pipes nor sockets: a thread copies.
#[test]
fn files_are_joined_too() {
    check_joins("worker.sock", "control", |command| {
        command.stdin(Stdio::null());
    });
}

/// As OpenSSH gives them on Linux.
#[test]
fn sockets_are_joined_to_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::os::unix::net::UnixListener::bind(folder.path().join("worker.sock")).unwrap();
    let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut command = connect(folder.path(), Some("control"));
    let far_too = far.try_clone().unwrap();
    command.stdin(std::os::fd::OwnedFd::from(far)).stdout(std::os::fd::OwnedFd::from(far_too));
    let mut child = command.spawn().unwrap();
    drop(command);
    let (mut daemon, _) = listener.accept().unwrap();
    near.write_all(b"question").unwrap();
    let mut question = [0; 8];
    daemon.read_exact(&mut question).unwrap();
    daemon.write_all(b"answer").unwrap();
    // The daemon hangs up while the other side still could speak: that is the end.
    drop(daemon);
    let mut all = String::new();
    near.read_to_string(&mut all).unwrap();
    assert_eq!((&question, all), (b"question", format!("{GREETING}answer")));
    assert!(child.wait().unwrap().success());
}
