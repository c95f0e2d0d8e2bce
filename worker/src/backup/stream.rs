//! A stream, such as a database dump, kept as one file.

use std::ffi::CString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use strongroom_repository::tree::order::join;
use strongroom_repository::{Begin, Entry, Kind, Manifest, Origin, Session, Time, TreeWriter, UnplacedTree, text};

use super::lanes::with_lanes;
use super::run::{Merged, Runner};
use super::tally::Tally;
use super::{BackupError, BackupReport};
use crate::capture::{Capture, Outcome};
use crate::exclude::Excludes;
use crate::filesystem::{Root, Stat};
use crate::owners::Owners;
use crate::read::{Desk, Job, Pool, StreamFeed};
use crate::remarks::Remark;

/// Who may read the file and its folders when they are restored: the owner alone. Nobody knows who may read what came through a pipe.
const FILE_MODE: u32 = 0o100_600;
const FOLDER_MODE: u32 = 0o040_700;

pub(super) fn run(
    runner: &mut Runner,
    threads: usize,
    mut manifest: Manifest,
    state_folder: &Path,
    (name, reader): (&Path, Box<dyn Read + Send>),
) -> Result<BackupReport, BackupError> {
    let components = components(name)?;
    manifest.sources = vec![text::escape(name.as_os_str().as_encoded_bytes())];
    let notes = runner.state_key(&manifest, Excludes::default()).session_notes(state_folder);
    let begin = Begin { parent: None, started: runner.now, notes: Some(&notes), uploads: runner.uploads };
    let session = runner.runtime.block_on(runner.repository.begin(begin))?;
    let root = Root::of_host().map_err(BackupError::Root)?;
    let owners = Owners::read(root.path());
    let pool = Pool::new(threads);
    let desk = Desk {
        root: &root,
        repository: &runner.repository,
        session: &session,
        owners: &owners,
        pool: &pool,
        progress: &runner.progress,
        pace: &runner.pace,
        stop: &runner.stop,
    };
    let stat = stat(runner, FILE_MODE);
    let file_name = components.last().cloned().unwrap_or_default();
    let captured = with_lanes(desk, threads, || {
        let id = pool.submit(Job::Stream(Box::new(StreamFeed::new(reader)), file_name, stat));
        match pool.wait(id)??.pop() {
            Some(Outcome::Captured(capture)) => Ok(capture),
            Some(Outcome::LeftOut(Remark::Problem(problem))) => {
                Err(BackupError::Stream(strongroom_repository::chain(&problem)))
            }
            _ => Err(BackupError::Stream("nothing is known of it".into())),
        }
    });
    let capture = runner.rested(&session, captured)?;
    let folder = Capture::new(c"folder", Kind::Directory, &self::stat(runner, FOLDER_MODE), &owners).entry;
    let tree = tree(&session, &components, &folder, &capture.entry).map_err(BackupError::Repository);
    let tree = runner.rested(&session, tree)?;
    let mut tally = Tally::default();
    tally.totals.files = 1;
    tally.totals.directories = components.len() as u64 - 1;
    tally.totals.files_changed = 1;
    tally.totals.bytes = capture.entry.size;
    tally.totals.bytes_read = capture.bytes_read;
    let read_ms = runner.elapsed_ms();
    Ok(runner.commit(Merged { session, tree, tally }, manifest, read_ms, None)?.1)
}

fn components(name: &Path) -> Result<Vec<CString>, BackupError> {
    let refused = || BackupError::StreamName(text::escape(name.as_os_str().as_encoded_bytes()));
    let mut components = Vec::new();
    for component in name.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => components.push(CString::new(name.as_bytes()).map_err(|_| refused())?),
            Component::ParentDir | Component::Prefix(_) => return Err(refused()),
        }
    }
    if components.is_empty() || name.as_os_str().as_bytes().ends_with(b"/") { Err(refused()) } else { Ok(components) }
}

/// What a file made now by this process would look like.
fn stat(runner: &Runner, mode: u32) -> Stat {
    let now = Time { seconds: runner.now.as_second(), nanoseconds: runner.now.subsec_nanosecond().unsigned_abs() };
    Stat {
        device: 0,
        inode: 0,
        mode,
        links: 1,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        size: 0,
        blocks: 0,
        mtime: now,
        ctime: now,
        birth: None,
        special: (0, 0),
    }
}

fn tree(
    session: &std::sync::Arc<Session>,
    components: &[CString],
    folder: &Entry,
    file: &Entry,
) -> Result<UnplacedTree, strongroom_repository::Error> {
    let mut writer = TreeWriter::new(std::sync::Arc::clone(session), Default::default(), |_, _| {});
    let mut directory = Vec::new();
    let (_, folders) = components.split_last().unwrap_or((&components[0], &[]));
    for name in folders {
        let entry = Entry { name: name.to_bytes().to_vec(), ..folder.clone() };
        writer.push(&directory, &entry, Origin::Fresh)?;
        directory = join(&directory, name.to_bytes());
    }
    writer.push(&directory, file, Origin::Fresh)?;
    writer.finish()
}
