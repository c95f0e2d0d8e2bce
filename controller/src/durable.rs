//! Small files of our own that must be whole after a power cut: temporary name, flush, rename, flush of the folder.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;

/// The content, or nothing if there is no such file.
pub(crate) async fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a file in the place of another, or of none. A symbolic link stays one: the file it leads to is replaced.
pub(crate) async fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let path = fs::canonicalize(path).await.unwrap_or_else(|_| path.to_owned());
    let temporary = write_beside(&path, bytes, mode).await?;
    fs::rename(&temporary, &path).await?;
    flush_folder(&path).await
}

/// Makes a file that does not exist yet; an existing one stays and is an error.
pub(crate) async fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = write_beside(path, bytes, mode).await?;
    // A link, unlike a rename, does not replace what somebody else made meanwhile.
    let linked = fs::hard_link(&temporary, path).await;
    fs::remove_file(&temporary).await?;
    linked?;
    flush_folder(path).await
}

async fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let folder = folder(path);
    fs::create_dir_all(folder).await?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    let temporary = folder.join(format!(".{name}.{}.new", std::process::id()));
    // What a killed process of the same number left there is of no use to anybody.
    let _ = fs::remove_file(&temporary).await;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).await?;
    file.write_all(bytes).await?;
    file.sync_all().await?;
    Ok(temporary)
}

async fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path)).await?.sync_all().await
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
