//! One directory: its names, the metadata behind them, and what of it belongs to the backup.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use strongroom_repository::tree::entry::Kind;
use strongroom_repository::tree::order::join;

use super::compare::{self, Sameness};
use super::names::Names;
use super::queue::{Children, Entrance, Task};
use super::{Contents, Descent, Listing, Mount, Node, Nodes, Scope, Territory};
use crate::exclude::{CACHE_SIGNATURE, CACHE_TAG, Caches, Mounts};
use crate::filesystem::{Stat, open, pseudo};
use crate::remarks::{Doing, Notice, Problem, Remark};
use crate::sources::NodeIndex;

/// The largest directory, in nodes, whose room a thread keeps for the next one: 2 MiB.
const ROOM_NODES_MAX: usize = 16 * 1024;

/// A directory and the directories in it.
pub(super) struct Scanned {
    pub(super) listing: Listing,
    pub(super) children: Children,
}

/// Lists directories; each thread has one.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    territory: Territory<'a>,
    /// What of the directory belongs to the backup.
    scope: Scope,
    names: Names,
    nodes: Nodes,
    entrances: Vec<Entered>,
    remarks: Vec<Remark>,
    left_out: u64,
    sources_found: u64,
}

/// A node that the walk goes into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entered {
    /// Its place among the nodes.
    pub(super) node: usize,
    pub(super) entrance: Entrance,
}

/// What becomes of a node.
enum Fate {
    LeftOut,
    Kept,
    Entered(Entrance),
}

impl<'a> Scanner<'a> {
    pub(super) fn new(territory: Territory<'a>) -> Self {
        Self {
            territory,
            scope: Scope { source_device: None, node: None },
            names: Names::new(),
            nodes: Nodes::default(),
            entrances: Vec::new(),
            remarks: Vec::new(),
            left_out: 0,
            sources_found: 0,
        }
    }

    /// Lists a directory. Faults become remarks: whatever happens, there is a listing.
    pub(super) fn scan(&mut self, task: &Task) -> Scanned {
        self.names.clear();
        self.nodes.nodes.clear();
        self.nodes.names.clear();
        self.entrances.clear();
        match self.gather(task) {
            Ok(directory) => self.inspect_all(task, directory.as_fd()),
            Err(fault) => self.remarks.push(Remark::fault(task.path.to_vec(), Doing::List, fault)),
        }
        let sameness = self.compare(task);
        let children = self.children();
        let contents = match sameness {
            Sameness::Same(index) => Contents::Unchanged(index),
            // A copy of just the size, so that the room stays for the next directory; but not of a room that is huge.
            Sameness::Different if self.nodes.len() <= ROOM_NODES_MAX => Contents::Listed(self.nodes.clone()),
            Sameness::Different => Contents::Listed(std::mem::take(&mut self.nodes)),
        };
        let listing = Listing {
            directory: task.path.clone(),
            depth: task.depth,
            contents,
            left_out: std::mem::take(&mut self.left_out),
            sources_found: std::mem::take(&mut self.sources_found),
            remarks: std::mem::take(&mut self.remarks),
        };
        Scanned { listing, children }
    }

    /// Opens the directory and finds the names to look at.
    fn gather(&mut self, task: &Task) -> io::Result<OwnedFd> {
        self.scope = task.entrance.scope;
        let Territory { root, sources, .. } = self.territory;
        let explicit = self.scope.node.map(|node| &sources.node(node).children);
        if self.scope.source_device.is_none() {
            return self.gather_explicit(task, explicit);
        }
        let directory = root.listing(&task.path)?;
        if task.entrance.mount == Mount::Other
            && let Some(name) = pseudo::name_of(directory.as_fd())?
        {
            self.remarks.push(Remark::notice(task.path.to_vec(), Notice::Pseudo(name)));
            self.scope.source_device = None;
            return self.gather_explicit(task, explicit);
        }
        if let Err(fault) = self.names.read(directory.as_fd()) {
            self.remarks.push(Remark::fault(task.path.to_vec(), Doing::List, fault));
        }
        for (name, node) in explicit.into_iter().flatten() {
            if !self.names.contains(name) {
                self.missing_source(task, name, *node, &Errno::NOENT.into());
            }
        }
        if self.is_cache(directory.as_fd()) {
            let is_explicit = |name: &[u8]| explicit.is_some_and(|children| children.contains_key(name));
            self.names.retain(|name| name == CACHE_TAG || is_explicit(name));
            self.remarks.push(Remark::notice(task.path.to_vec(), Notice::Cache));
        }
        Ok(directory)
    }

    /// The names that lead to sources, and no others.
    fn gather_explicit(&mut self, task: &Task, explicit: Option<&BTreeMap<Vec<u8>, NodeIndex>>) -> io::Result<OwnedFd> {
        for name in explicit.into_iter().flat_map(BTreeMap::keys) {
            self.names.push(&CString::new(name.as_slice())?)?;
        }
        self.territory.root.place(&task.path)
    }

    fn is_cache(&self, directory: BorrowedFd<'_>) -> bool {
        if self.territory.filter.rules().caches == Caches::Keep || !self.names.contains(CACHE_TAG) {
            return false;
        }
        let Ok(tag) = open::file_at(directory, c"CACHEDIR.TAG") else { return false };
        let mut start = [0; CACHE_SIGNATURE.len()];
        let is_file = Stat::of(tag.as_fd()).is_ok_and(|stat| stat.is_file());
        is_file && rustix::io::pread(&tag, &mut start, 0) == Ok(start.len()) && start == *CACHE_SIGNATURE
    }

    /// Reports every source that was to be found under this name.
    fn missing_source(&mut self, task: &Task, name: &[u8], node: NodeIndex, fault: &io::Error) {
        for path in self.territory.sources.whole_below(node, &join(&task.path, name)) {
            let source = io::Error::from_raw_os_error(fault.raw_os_error().unwrap_or_default());
            self.remarks.push(Remark::Problem(Problem { path, doing: Doing::FindSource, source }));
        }
    }

    fn inspect_all(&mut self, task: &Task, directory: BorrowedFd<'_>) {
        let names = std::mem::replace(&mut self.names, Names::empty());
        for name in names.iter() {
            self.inspect(task, directory, name);
        }
        self.names = names;
    }

    fn inspect(&mut self, task: &Task, directory: BorrowedFd<'_>, name: &CStr) {
        let explicit = self.scope.node.and_then(|node| self.territory.sources.child(node, name.to_bytes()));
        let stat = match Stat::at(directory, name) {
            Ok(stat) => stat,
            Err(fault) => return self.uninspected(task, name.to_bytes(), explicit, fault),
        };
        if let Some(node) = explicit {
            self.note_source(task, name.to_bytes(), &stat, node);
        }
        match self.fate(task, name.to_bytes(), &stat, explicit) {
            Fate::LeftOut => self.left_out += 1,
            Fate::Kept => self.keep(task, name.to_bytes(), stat, Descent::Stays),
            Fate::Entered(entrance) => {
                self.entrances.push(Entered { node: self.nodes.len(), entrance });
                self.keep(task, name.to_bytes(), stat, Descent::Enters);
            }
        }
    }

    fn uninspected(&mut self, task: &Task, name: &[u8], explicit: Option<NodeIndex>, fault: io::Error) {
        match explicit {
            Some(node) => self.missing_source(task, name, node, &fault),
            None => self.remarks.push(Remark::fault(join(&task.path, name), Doing::Inspect, fault)),
        }
    }

    /// Counts a source that is here; one that was to be found below something that is no directory is not.
    fn note_source(&mut self, task: &Task, name: &[u8], stat: &Stat, node: NodeIndex) {
        let sources = self.territory.sources;
        self.sources_found += u64::from(sources.node(node).whole);
        if stat.is_directory() {
            return;
        }
        for (child_name, child) in &sources.node(node).children {
            self.missing_source(task, &join(name, child_name), *child, &Errno::NOTDIR.into());
        }
    }

    fn fate(&self, task: &Task, name: &[u8], stat: &Stat, explicit: Option<NodeIndex>) -> Fate {
        let filter = self.territory.filter;
        let is_source = explicit.is_some_and(|node| self.territory.sources.node(node).whole);
        // What only leads to a source must be a directory; anything else under its name is not asked for.
        let explicit = explicit.filter(|_| is_source || stat.is_directory());
        let surrounding = self.scope.source_device.filter(|_| {
            !(filter.leaves_out(&task.path, name, stat.is_directory())
                || stat.is_file() && filter.is_too_large(stat.size))
        });
        if surrounding.is_none() && explicit.is_none() {
            return Fate::LeftOut;
        }
        if !stat.is_directory() {
            return Fate::Kept;
        }
        let stays_out = |device: &u32| filter.rules().mounts == Mounts::StayOut && *device != stat.device;
        let source_device = if is_source { Some(stat.device) } else { surrounding.filter(|device| !stays_out(device)) };
        if source_device.is_none() && explicit.is_none() {
            return Fate::Kept;
        }
        let mount = if stat.device == task.entrance.device || is_source { Mount::Same } else { Mount::Other };
        Fate::Entered(Entrance {
            scope: Scope { source_device, node: explicit },
            device: stat.device,
            mount,
            old: None,
        })
    }

    fn keep(&mut self, task: &Task, name: &[u8], stat: Stat, descent: Descent) {
        match stat.kind() {
            Some(Kind::Socket) => return self.remarks.push(Remark::notice(join(&task.path, name), Notice::Socket)),
            Some(_) => {}
            None => {
                let fault = io::Error::from(io::ErrorKind::Unsupported);
                return self.remarks.push(Remark::fault(join(&task.path, name), Doing::Inspect, fault));
            }
        }
        let start = self.nodes.names.len() as u32;
        self.nodes.names.extend_from_slice(name);
        let name = start..self.nodes.names.len() as u32;
        self.nodes.nodes.push(Node { name, stat, unchanged: None, descent });
    }

    fn compare(&mut self, task: &Task) -> Sameness {
        match (self.territory.state, task.entrance.old) {
            (Some(state), Some(index)) => compare::directory(state, index, &mut self.nodes, &mut self.entrances),
            _ => Sameness::Different,
        }
    }

    fn children(&self) -> Children {
        let mut children = Children::default();
        for entered in &self.entrances {
            children.push(self.nodes.name(&self.nodes.nodes[entered.node]), entered.entrance);
        }
        children
    }
}
