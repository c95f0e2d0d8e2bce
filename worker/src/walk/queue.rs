//! Which directory is listed next, and the results that wait for their turn.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use strongroom_repository::tree::order::{directories, join};

use super::list::Scanned;
use super::{Listing, Mount, Scope, WalkFailed};
use crate::state::DirectoryIndex;

/// The id of the top directory's task.
pub(super) const TOP_ID: u64 = 0;

/// How far the walk may run ahead of its consumer, in nodes that it holds in memory: at some 150 bytes each about 5 MiB, and enough to keep
/// readers busy while a slow directory is listed.
const NODES_AHEAD_MAX: usize = 32 * 1024;

/// What an unchanged directory counts as, so that millions of them cannot pile up either.
const NODES_OF_ANY_DIRECTORY: usize = 4;

/// A directory to be listed.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: u64,
    pub(super) path: Arc<[u8]>,
    pub(super) depth: u32,
    pub(super) entrance: Entrance,
}

/// The subdirectories that a listing found, in order. They share their parent's path: a directory may have a million of them.
#[derive(Debug, Default)]
pub(super) struct Children {
    names: Vec<u8>,
    items: Vec<Child>,
}

#[derive(Debug, Clone, Copy)]
struct Child {
    name_end: u32,
    entrance: Entrance,
}

/// How a subdirectory is to be walked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entrance {
    pub(super) scope: Scope,
    pub(super) device: u32,
    pub(super) mount: Mount,
    pub(super) old: Option<DirectoryIndex>,
}

impl Children {
    pub(super) fn push(&mut self, name: &[u8], entrance: Entrance) {
        self.names.extend_from_slice(name);
        self.items.push(Child { name_end: self.names.len() as u32, entrance });
    }

    fn name(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.items[before].name_end as usize);
        &self.names[start..self.items[index].name_end as usize]
    }
}

/// Children of one directory of which some are still to be taken.
#[derive(Debug)]
struct Group {
    parent: Arc<[u8]>,
    depth: u32,
    children: Children,
    first_id: u64,
    next: usize,
}

impl Group {
    fn next_id(&self) -> u64 {
        self.first_id + self.next as u64
    }

    fn next_path(&self) -> Vec<u8> {
        join(&self.parent, self.children.name(self.next))
    }

    fn task(&self) -> Task {
        let entrance = self.children.items[self.next].entrance;
        Task { id: self.next_id(), path: Arc::from(self.next_path()), depth: self.depth, entrance }
    }
}

#[derive(Debug)]
struct Inner {
    /// The top directory, until it is taken.
    top: Option<Task>,
    /// Sorted: the group whose next child comes first in the tree's order is the last.
    pending: Vec<Group>,
    running: usize,
    done: HashMap<u64, (Listing, Range<u64>)>,
    nodes_done: usize,
    next_id: u64,
    sleepers: usize,
    stopped: bool,
    failed: bool,
}

/// What the consumer is handed.
pub(super) enum Taken {
    /// The directory that it asked for, and the ids of its subdirectories.
    Ready(Listing, Range<u64>),
    /// A directory to list while it would have to wait.
    Work(Task),
}

/// The shared state of a walk.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Queue {
    pub(super) fn new(top: Task) -> Self {
        let inner = Inner {
            top: Some(top),
            pending: Vec::new(),
            running: 0,
            done: HashMap::new(),
            nodes_done: 0,
            next_id: TOP_ID + 1,
            sleepers: 0,
            stopped: false,
            failed: false,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panics holds no lock on the way, see `watch_for_panic`.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep<'a>(&self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        inner.sleepers += 1;
        let mut inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        inner.sleepers -= 1;
        inner
    }

    fn wake(&self, inner: &Inner) {
        if inner.sleepers > 0 {
            self.changed.notify_all();
        }
    }

    /// The next directory for a thread of the walk; none when the walk is over.
    pub(super) fn take(&self) -> Option<Task> {
        let mut inner = self.lock();
        loop {
            if inner.stopped || inner.failed || inner.is_finished() {
                return None;
            }
            if inner.nodes_done < NODES_AHEAD_MAX
                && let Some(task) = inner.pop()
            {
                return Some(task);
            }
            inner = self.sleep(inner);
        }
    }

    /// The directory `id` if it is listed, else some other to work on.
    pub(super) fn receive(&self, id: u64) -> Result<Taken, WalkFailed> {
        let mut inner = self.lock();
        loop {
            if inner.failed {
                return Err(WalkFailed);
            }
            if let Some((listing, children)) = inner.done.remove(&id) {
                let was_full = inner.nodes_done >= NODES_AHEAD_MAX;
                inner.nodes_done -= weight(&listing);
                if was_full {
                    self.wake(&inner);
                }
                return Ok(Taken::Ready(listing, children));
            }
            let may_take = inner.nodes_done < NODES_AHEAD_MAX || inner.next_id_to_take() == Some(id);
            if may_take && let Some(task) = inner.pop() {
                return Ok(Taken::Work(task));
            }
            inner = self.sleep(inner);
        }
    }

    /// Hands in a directory that was taken.
    pub(super) fn deliver(&self, task: Task, scanned: Scanned) {
        let mut inner = self.lock();
        let ids = inner.insert(&task, scanned.children);
        inner.nodes_done += weight(&scanned.listing);
        inner.done.insert(task.id, (scanned.listing, ids));
        inner.running -= 1;
        self.wake(&inner);
    }

    /// Ends the walk: its threads return after the directory that they are in.
    pub(super) fn stop(&self) {
        let mut inner = self.lock();
        inner.stopped = true;
        self.wake(&inner);
    }

    /// A guard that tells everybody if its thread panics, so that nobody waits for it.
    pub(super) fn watch_for_panic(&self) -> PanicWatch<'_> {
        PanicWatch(self)
    }
}

/// See [`Queue::watch_for_panic`].
pub(super) struct PanicWatch<'a>(&'a Queue);

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut inner = self.0.lock();
            inner.failed = true;
            self.0.wake(&inner);
        }
    }
}

impl Inner {
    fn is_finished(&self) -> bool {
        self.top.is_none() && self.pending.is_empty() && self.running == 0
    }

    fn next_id_to_take(&self) -> Option<u64> {
        self.top.as_ref().map(|top| top.id).or_else(|| self.pending.last().map(Group::next_id))
    }

    fn pop(&mut self) -> Option<Task> {
        let task = match self.top.take() {
            Some(top) => top,
            None => {
                let group = self.pending.last_mut()?;
                let task = group.task();
                group.next += 1;
                if group.next == group.children.items.len() {
                    self.pending.pop();
                }
                task
            }
        };
        self.running += 1;
        Some(task)
    }

    /// Puts the subdirectories of a listed directory where the order wants them; answers with their ids.
    fn insert(&mut self, task: &Task, children: Children) -> Range<u64> {
        let first_id = self.next_id;
        self.next_id += children.items.len() as u64;
        if !children.items.is_empty() {
            // Directories are begun in the tree's order, so every pending group lies wholly before or wholly after this directory's subtree;
            // those before it belong to directories that another thread finished in the meantime, and they are few.
            let before = self
                .pending
                .iter()
                .rev()
                .take_while(|group| directories(&group.next_path(), &task.path).is_lt())
                .count();
            let group = Group { parent: Arc::clone(&task.path), depth: task.depth + 1, children, first_id, next: 0 };
            self.pending.insert(self.pending.len() - before, group);
        }
        first_id..self.next_id
    }
}

fn weight(listing: &Listing) -> usize {
    let nodes = match &listing.contents {
        super::Contents::Unchanged(_) => 0,
        super::Contents::Listed(nodes) => nodes.len(),
    };
    nodes + NODES_OF_ANY_DIRECTORY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::{Contents, Nodes};

    const ENTRANCE: Entrance =
        Entrance { scope: Scope { source_device: Some(1), node: None }, device: 1, mount: Mount::Same, old: None };

    fn queue() -> Queue {
        Queue::new(Task { id: TOP_ID, path: Arc::from(&b""[..]), depth: 0, entrance: ENTRANCE })
    }

    fn deliver(queue: &Queue, task: Task, names: &[&str]) {
        let mut children = Children::default();
        names.iter().for_each(|name| children.push(name.as_bytes(), ENTRANCE));
        let listing = Listing {
            directory: task.path.clone(),
            depth: task.depth,
            contents: Contents::Listed(Nodes::default()),
            left_out: 0,
            sources_found: 0,
            remarks: Vec::new(),
        };
        queue.deliver(task, Scanned { listing, children });
    }

    fn take(queue: &Queue, path: &str) -> Task {
        let task = queue.take().unwrap();
        assert_eq!(String::from_utf8_lossy(&task.path), path);
        task
    }

    #[test]
    fn what_is_taken_next_is_first_in_the_order_however_the_threads_finish() {
        let queue = queue();
        deliver(&queue, take(&queue, ""), &["a", "b", "c"]);
        let (a, b) = (take(&queue, "a"), take(&queue, "b"));
        deliver(&queue, a, &["1", "2"]);
        deliver(&queue, b, &["1"]);
        let a1 = take(&queue, "a/1");
        let a2 = take(&queue, "a/2");
        deliver(&queue, a2, &["x"]);
        deliver(&queue, a1, &["x", "y"]);
        for path in ["a/1/x", "a/1/y", "a/2/x", "b/1", "c"] {
            deliver(&queue, take(&queue, path), &[]);
        }
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_full_queue_still_serves_the_directory_that_is_needed() {
        let queue = queue();
        let names: Vec<String> =
            (0..NODES_AHEAD_MAX / NODES_OF_ANY_DIRECTORY).map(|number| format!("{number:06}")).collect();
        deliver(&queue, take(&queue, ""), &names.iter().map(String::as_str).collect::<Vec<_>>());
        let Ok(Taken::Ready(_, children)) = queue.receive(TOP_ID) else { panic!("the top directory is done") };
        let first = take(&queue, "000000");
        for name in &names[1..] {
            deliver(&queue, take(&queue, name), &[]);
        }
        deliver(&queue, first, &["inner"]);
        // Nobody else may take more now, but whoever consumes gets what is ready, and then the one that all the rest waits for.
        let Ok(Taken::Ready(listing, inner)) = queue.receive(children.start) else { panic!("the first one is done") };
        assert_eq!(&*listing.directory, b"000000");
        queue.lock().nodes_done = NODES_AHEAD_MAX;
        let Ok(Taken::Work(task)) = queue.receive(inner.start) else { panic!("it must be handed out") };
        assert_eq!(&*task.path, b"000000/inner");
    }
}
