//! Unix sockets that the group of the SSH key's user may connect to, and nobody else.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// A socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} '{path}'")]
pub struct SocketError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Listens at a path, in place of what a dead daemon left there. Whoever calls holds the lock of the daemon's state, so no living one loses its socket.
pub(super) fn listen(path: &Path, group: Option<u32>) -> Result<UnixListener, SocketError> {
    let failed = |doing| move |source| SocketError { doing, path: path.into(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("replace")(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed("listen on"))?;
    // Until here the usual mask keeps everybody else from writing, which is what connecting takes.
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    if group.is_some() {
        chown(path, None, group).map_err(failed("give the group its right to"))?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of"))?;
    Ok(listener)
}

/// Takes the sockets away at an orderly end, while the lock is still held. A child that was forked a moment ago keeps their listeners open, and whoever connected would wait for
/// nobody.
pub(super) fn remove(paths: &[&Path]) {
    for path in paths {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(%error, path = %path.display(), "a socket stays behind");
        }
    }
}

/// The id of a group, from a file like /etc/group.
pub(super) fn group(file: &Path, name: &str) -> Option<u32> {
    let text = fs::read(file).ok()?;
    String::from_utf8_lossy(&text).lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    use super::*;

    #[test]
    fn groups_are_found_by_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("group");
        fs::write(&file, "root:x:0:\nstrongroomy:x:5:\nbad\nstrongroom:x:997:a,b\n").unwrap();
        assert_eq!(group(&file, "strongroom"), Some(997));
        assert_eq!(group(&file, "absent"), None);
        assert_eq!(group(&folder.path().join("none"), "root"), None);
    }

    #[tokio::test]
    async fn sockets_are_for_their_group_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/worker.sock");
        drop(listen(&path, None).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        // The one of before is in the way, and is replaced.
        let gid = rustix::process::getegid().as_raw();
        let _listener = listen(&path, Some(gid)).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.mode() & 0o777, found.gid()), (0o660, gid));
        assert!(found.file_type().is_socket());
    }
}
