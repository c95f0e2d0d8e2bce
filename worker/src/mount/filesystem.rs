//! The answers to the kernel. Every question is one lookup in what is known, or one wait for the repository.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyXattr, Request,
};
use jiff::Timestamp;
use strongroom_repository::tree::order;
use strongroom_repository::{Error, ErrorKind, Kind, Repository, chain};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::attributes;
use super::directories::Directories;
use super::nodes::{Node, Nodes};
use super::reading::OpenFile;
use super::shelf::Shelf;

/// A snapshot never changes, so the kernel may believe what it was told for a day.
const STORED_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Snapshots come and go: names at the top are asked for again.
const TOP_TTL: Duration = Duration::from_secs(1);

const GENERATION: Generation = Generation(0);

/// The mounted repository.
pub(super) struct SnapshotFileSystem {
    repository: Arc<Repository>,
    runtime: Handle,
    shelf: Shelf,
    nodes: Nodes,
    directories: Directories,
    open_files: Handles<OpenFile>,
    open_directories: Handles<Vec<Child>>,
    /// Dropped with this, when the kernel has let go.
    _alive: oneshot::Sender<()>,
}

/// A name in a directory.
#[derive(Debug, Clone)]
struct Child {
    name: Vec<u8>,
    node: Node,
}

/// What was opened and not yet released.
struct Handles<T> {
    open: Mutex<HashMap<u64, Arc<T>>>,
    next: AtomicU64,
}

impl<T> Handles<T> {
    fn new() -> Self {
        Self { open: Mutex::default(), next: AtomicU64::new(1) }
    }

    fn add(&self, opened: T) -> FileHandle {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, Arc::new(opened));
        FileHandle(handle)
    }

    fn get(&self, handle: FileHandle) -> Result<Arc<T>, Errno> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    fn release(&self, handle: FileHandle) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
    }
}

impl SnapshotFileSystem {
    pub(super) fn new(repository: Arc<Repository>, shelf: Shelf, runtime: Handle, alive: oneshot::Sender<()>) -> Self {
        Self {
            repository,
            runtime,
            shelf,
            nodes: Nodes::default(),
            directories: Directories::default(),
            open_files: Handles::new(),
            open_directories: Handles::new(),
            _alive: alive,
        }
    }

    fn node(&self, number: INodeNo) -> Result<Node, Errno> {
        self.nodes.get(number).ok_or(Errno::ESTALE)
    }

    fn child(&self, parent: &Node, name: &[u8]) -> Result<Node, Errno> {
        let (shown, directory): (_, Arc<[u8]>) = match parent {
            Node::Top if name == b"latest" && self.shelf.latest().is_some() => return Ok(Node::Latest),
            Node::Top => return self.shelf.named(name).map(Node::Snapshot).ok_or(Errno::ENOENT),
            Node::Latest => return Err(Errno::ENOTDIR),
            Node::Snapshot(shown) => (shown, Arc::from(&b""[..])),
            Node::Entry(shown, path, _) => (shown, Arc::clone(path)),
        };
        let found =
            self.runtime.block_on(self.directories.find(shown, &directory, name)).map_err(|error| told(&error))?;
        let entry = found.ok_or(Errno::ENOENT)?;
        Ok(Node::Entry(Arc::clone(shown), order::join(&directory, name).into(), entry))
    }

    fn children(&self, node: &Node) -> Result<Vec<Child>, Errno> {
        let (shown, directory): (_, &[u8]) = match node {
            Node::Top => return Ok(self.children_of_top()),
            Node::Latest => return Err(Errno::ENOTDIR),
            Node::Snapshot(shown) => (shown, b""),
            Node::Entry(_, _, entry) if entry.kind != Kind::Directory => return Err(Errno::ENOTDIR),
            Node::Entry(shown, path, _) => (shown, path),
        };
        let listing = self.runtime.block_on(self.directories.list(shown, directory)).map_err(|error| told(&error))?;
        let child = |entry: &Arc<strongroom_repository::Entry>| Child {
            name: entry.name.clone(),
            node: Node::Entry(Arc::clone(shown), order::join(directory, &entry.name).into(), Arc::clone(entry)),
        };
        Ok(listing.iter().map(child).collect())
    }

    fn children_of_top(&self) -> Vec<Child> {
        if let Err(error) = self.runtime.block_on(self.shelf.refresh(&self.repository)) {
            tracing::warn!(error = chain(&error), "the list of snapshots may be old");
        }
        let snapshot = |shown: Arc<super::shelf::Shown>| Child {
            name: shown.name.clone().into_bytes(),
            node: Node::Snapshot(shown),
        };
        let latest = self.shelf.latest().map(|_| Child { name: b"latest".to_vec(), node: Node::Latest });
        self.shelf.all().into_iter().map(snapshot).chain(latest).collect()
    }

    fn attributes(&self, node: &Node) -> FileAttr {
        let number = node.number();
        let newest = self.shelf.latest();
        let newest_time = newest.as_ref().map_or(Timestamp::UNIX_EPOCH, |shown| shown.snapshot.manifest.time);
        match node {
            Node::Top => attributes::of_ours(number, FileType::Directory, 0, newest_time),
            Node::Latest => {
                let size = newest.map_or(0, |shown| shown.name.len());
                attributes::of_ours(number, FileType::Symlink, size, newest_time)
            }
            Node::Snapshot(shown) => attributes::of_ours(number, FileType::Directory, 0, shown.snapshot.manifest.time),
            Node::Entry(_, _, entry) => attributes::of_entry(number, entry),
        }
    }

    fn open_file(&self, node: &Node) -> Result<FileHandle, Errno> {
        let Node::Entry(shown, _, entry) = node else { return Err(Errno::EISDIR) };
        let opened = self.runtime.block_on(OpenFile::open(&shown.tree, Arc::clone(entry)));
        Ok(self.open_files.add(opened.map_err(|error| told(&error))?))
    }

    fn link_target(&self, node: &Node) -> Result<Vec<u8>, Errno> {
        match node {
            Node::Latest => self.shelf.latest().map(|shown| shown.name.clone().into_bytes()).ok_or(Errno::ENOENT),
            _ => node.entry().and_then(|entry| entry.target.clone()).ok_or(Errno::EINVAL),
        }
    }
}

/// How long the kernel may believe in a node.
fn ttl(node: &Node) -> &'static Duration {
    if matches!(node, Node::Entry(..)) { &STORED_TTL } else { &TOP_TTL }
}

fn type_of(node: &Node) -> FileType {
    match node {
        Node::Top | Node::Snapshot(_) => FileType::Directory,
        Node::Latest => FileType::Symlink,
        Node::Entry(_, _, entry) => attributes::kind(entry.kind),
    }
}

/// What a failure of the repository is for a program that reads a file; people find the reason in the log.
fn told(error: &Error) -> Errno {
    tracing::error!(error = chain(error), "cannot show what was asked for");
    match error.kind() {
        ErrorKind::Permission | ErrorKind::Key => Errno::EACCES,
        _ => Errno::EIO,
    }
}

/// A list of names or a value: its size if the caller asks for that, the bytes if it has room for them.
fn reply_attribute(reply: ReplyXattr, size: u32, bytes: &[u8]) {
    match size as usize {
        0 => reply.size(bytes.len() as u32),
        room if room < bytes.len() => reply.error(Errno::ERANGE),
        _ => reply.data(bytes),
    }
}

impl Filesystem for SnapshotFileSystem {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let wanted =
            InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_READDIRPLUS_AUTO | InitFlags::FUSE_PARALLEL_DIROPS;
        if let Err(missing) = config.add_capabilities(wanted) {
            tracing::debug!(?missing, "the kernel does without");
        }
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.node(parent).and_then(|parent| self.child(&parent, name.as_bytes())) {
            Ok(node) => {
                self.nodes.remember(&node);
                reply.entry(ttl(&node), &self.attributes(&node), GENERATION);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn forget(&self, _request: &Request, number: INodeNo, times: u64) {
        self.nodes.forget(number, times);
    }

    fn getattr(&self, _request: &Request, number: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        match self.node(number) {
            Ok(node) => reply.attr(ttl(&node), &self.attributes(&node)),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _request: &Request, number: INodeNo, reply: ReplyData) {
        match self.node(number).and_then(|node| self.link_target(&node)) {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _request: &Request, number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.node(number).and_then(|node| self.open_file(&node)) {
            Ok(handle) => reply.opened(handle, FopenFlags::FOPEN_KEEP_CACHE),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = |file: Arc<OpenFile>| {
            let read = self.runtime.block_on(file.read(&self.repository, offset, size as usize));
            read.map_err(|error| told(&error))
        };
        match self.open_files.get(handle).and_then(read) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn release(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.open_files.release(handle);
        reply.ok();
    }

    /// The listing is made here and kept until the directory is closed, so that its offsets stay true.
    fn opendir(&self, _request: &Request, number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.node(number).and_then(|node| self.children(&node)) {
            Ok(children) => reply.opened(self.open_directories.add(children), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let children = match self.open_directories.get(handle) {
            Ok(children) => children,
            Err(errno) => return reply.error(errno),
        };
        for (at, child) in children.iter().enumerate().skip(offset as usize) {
            if reply.add(child.node.number(), at as u64 + 1, type_of(&child.node), OsStr::from_bytes(&child.name)) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let children = match self.open_directories.get(handle) {
            Ok(children) => children,
            Err(errno) => return reply.error(errno),
        };
        for (at, child) in children.iter().enumerate().skip(offset as usize) {
            let (node, name) = (&child.node, OsStr::from_bytes(&child.name));
            // Remembered first: the kernel may ask about it as soon as it is told.
            let number = self.nodes.remember(node);
            if reply.add(number, at as u64 + 1, name, ttl(node), &self.attributes(node), GENERATION) {
                self.nodes.forget(number, 1);
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.open_directories.release(handle);
        reply.ok();
    }

    fn getxattr(&self, _request: &Request, number: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let node = match self.node(number) {
            Ok(node) => node,
            Err(errno) => return reply.error(errno),
        };
        let attributes = node.entry().map(|entry| entry.xattrs.as_slice()).unwrap_or_default();
        match attributes.iter().find(|(known, _)| known.as_slice() == name.as_bytes()) {
            Some((_, value)) => reply_attribute(reply, size, value),
            None => reply.error(Errno::ENODATA),
        }
    }

    fn listxattr(&self, _request: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        let node = match self.node(number) {
            Ok(node) => node,
            Err(errno) => return reply.error(errno),
        };
        let attributes = node.entry().map(|entry| entry.xattrs.as_slice()).unwrap_or_default();
        let names: Vec<u8> = attributes.iter().flat_map(|(name, _)| name.iter().copied().chain([0])).collect();
        reply_attribute(reply, size, &names);
    }
}
