//! A file system whose power can go at any call. What was not flushed may then be there, or not, or in part, and later things without earlier ones.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::io::Errno;
use strongroom_repository::text::escape;
use strongroom_worker::change::{Attributes, Files, Node};

type Number = u64;

#[derive(Debug, Clone)]
enum Stored {
    File { bytes: Vec<u8>, attributes: Attributes },
    Link { target: Vec<u8>, uid: u32, gid: u32 },
    Directory { names: BTreeMap<String, Number>, attributes: Attributes },
}

/// Nodes by their numbers. One that no name leads to is as good as gone.
type Disk = BTreeMap<Number, Stored>;

/// What a power cut may lose by itself.
#[derive(Debug, Clone)]
enum Change {
    Content(Number, Vec<u8>),
    Attributes(Number, Attributes),
    /// Names of one directory change together.
    Names(Number, Vec<(String, Option<Number>)>),
}

/// The file system: what everybody sees, what is on the disk, and what is between.
#[derive(Debug)]
pub(super) struct PageCache {
    seen: RefCell<Disk>,
    durable: RefCell<Disk>,
    pending: RefCell<Vec<Change>>,
    /// Calls until the power goes.
    left: Cell<usize>,
    calls: Cell<usize>,
}

const ROOT: Number = 0;

/// All ways in which so many pending changes may survive are tried; of more, as many by chance.
const EXHAUSTIVE_MAX: usize = 7;

impl PageCache {
    pub(super) fn new() -> Self {
        let root = Stored::Directory { names: BTreeMap::new(), attributes: Attributes::private(0o755) };
        Self::of(BTreeMap::from([(ROOT, root)]))
    }

    fn of(disk: Disk) -> Self {
        Self {
            seen: RefCell::new(disk.clone()),
            durable: RefCell::new(disk),
            pending: RefCell::default(),
            left: Cell::new(usize::MAX),
            calls: Cell::new(0),
        }
    }

    /// The same, everything flushed, whose power goes after so many calls that change something.
    pub(super) fn with_power_for(&self, calls: usize) -> Self {
        let copy = Self::of(self.seen.borrow().clone());
        copy.left.set(calls);
        copy
    }

    /// How many calls have changed something.
    pub(super) fn calls(&self) -> usize {
        self.calls.get()
    }

    /// What may be found when the power is back.
    pub(super) fn survivors(&self, seed: u64, most: usize) -> Vec<Self> {
        let pending = self.pending.borrow();
        let mut random = StdRng::seed_from_u64(seed);
        let all = 1_usize << pending.len().min(EXHAUSTIVE_MAX);
        let is_exhaustive = pending.len() <= EXHAUSTIVE_MAX && all <= most;
        let masks: Vec<u64> = match is_exhaustive {
            true => (0..all as u64).collect(),
            false => [0, u64::MAX].into_iter().chain((2..most).map(|_| random.random())).collect(),
        };
        masks.into_iter().map(|mask| self.survivor(&pending, mask, random.random())).collect()
    }

    fn survivor(&self, pending: &[Change], mask: u64, leaves_half: bool) -> Self {
        let mut disk = self.durable.borrow().clone();
        for (number, change) in pending.iter().enumerate() {
            let is_kept = mask >> (number % 64) & 1 == 1;
            match change {
                Change::Content(node, bytes) if !is_kept && leaves_half => {
                    apply(&mut disk, &Change::Content(*node, bytes[..bytes.len() / 2].to_vec()));
                }
                _ if !is_kept => {}
                change => apply(&mut disk, change),
            }
        }
        Self::of(disk)
    }

    fn spend(&self) -> io::Result<()> {
        let left = self.left.get().checked_sub(1).ok_or(Errno::IO)?;
        self.left.set(left);
        self.calls.set(self.calls.get() + 1);
        Ok(())
    }

    fn powered(&self) -> io::Result<()> {
        if self.left.get() == 0 { Err(Errno::IO.into()) } else { Ok(()) }
    }

    fn change(&self, change: Change) {
        apply(&mut self.seen.borrow_mut(), &change);
        self.pending.borrow_mut().push(change);
    }

    fn find(&self, path: &Path) -> io::Result<Number> {
        let seen = self.seen.borrow();
        let mut at = ROOT;
        for name in path.components().skip(1) {
            let names = match seen.get(&at) {
                Some(Stored::Directory { names, .. }) => names,
                Some(Stored::Link { .. }) => return Err(Errno::LOOP.into()),
                _ => return Err(Errno::NOTDIR.into()),
            };
            at = *names.get(name.as_os_str().to_str().unwrap()).ok_or(Errno::NOENT)?;
        }
        Ok(at)
    }

    fn place(&self, path: &Path) -> io::Result<(Number, String)> {
        let directory = self.find(path.parent().unwrap())?;
        Ok((directory, path.file_name().unwrap().to_str().unwrap().to_owned()))
    }

    fn make(&self, path: &Path, stored: Stored) -> io::Result<Number> {
        self.spend()?;
        let (directory, name) = self.place(path)?;
        if self.find(path).is_ok() {
            return Err(Errno::EXIST.into());
        }
        let number = self.seen.borrow().len() as Number;
        // Without a name, it being there is as good as it not being there.
        self.seen.borrow_mut().insert(number, stored.clone());
        self.durable.borrow_mut().insert(number, stored);
        self.change(Change::Names(directory, vec![(name, Some(number))]));
        Ok(number)
    }
}

fn apply(disk: &mut Disk, change: &Change) {
    match change {
        Change::Content(number, content) => {
            let Some(Stored::File { bytes, .. }) = disk.get_mut(number) else { unreachable!("no file") };
            bytes.clone_from(content);
        }
        Change::Attributes(number, wanted) => match disk.get_mut(number) {
            Some(Stored::File { attributes, .. } | Stored::Directory { attributes, .. }) => {
                attributes.clone_from(wanted);
            }
            _ => unreachable!("no attributes"),
        },
        Change::Names(number, changed) => {
            let Some(Stored::Directory { names, .. }) = disk.get_mut(number) else { unreachable!("no directory") };
            for (name, to) in changed {
                match to {
                    Some(to) => names.insert(name.clone(), *to),
                    None => names.remove(name),
                };
            }
        }
    }
}

impl Files for PageCache {
    fn look(&self, path: &Path) -> io::Result<Node> {
        self.powered()?;
        let number = match self.find(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Node::Absent),
            number => number?,
        };
        Ok(match &self.seen.borrow()[&number] {
            Stored::File { bytes, attributes } => Node::File {
                hash: blake3::hash(bytes).to_hex().to_string(),
                bytes: bytes.len() as u64,
                attributes: attributes.clone(),
            },
            Stored::Link { target, uid, gid } => Node::Symlink { target: escape(target), uid: *uid, gid: *gid },
            Stored::Directory { attributes, .. } => Node::Directory { attributes: attributes.clone() },
        })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.powered()?;
        match &self.seen.borrow()[&self.find(path)?] {
            Stored::File { bytes, .. } => Ok(bytes.clone()),
            _ => Err(Errno::ISDIR.into()),
        }
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.powered()?;
        let Ok(number) = self.find(directory) else { return Ok(Vec::new()) };
        match &self.seen.borrow()[&number] {
            Stored::Directory { names, .. } => Ok(names.keys().cloned().collect()),
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    fn create(&self, path: &Path, content: &[u8], attributes: &Attributes) -> io::Result<()> {
        let empty = Stored::File { bytes: Vec::new(), attributes: Attributes::private(0o600) };
        let number = self.make(path, empty)?;
        self.change(Change::Content(number, content.to_vec()));
        self.change(Change::Attributes(number, attributes.clone()));
        Ok(())
    }

    fn link(&self, path: &Path, target: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        self.make(path, Stored::Link { target: target.to_vec(), uid, gid }).map(drop)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let empty = Stored::Directory { names: BTreeMap::new(), attributes: Attributes::private(0o700) };
        self.make(path, empty).map(drop)
    }

    fn set_attributes(&self, directory: &Path, attributes: &Attributes) -> io::Result<()> {
        self.spend()?;
        self.change(Change::Attributes(self.find(directory)?, attributes.clone()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend()?;
        let (number, old, new) = (self.find(from)?, self.place(from)?, self.place(to)?);
        if self.find(to).is_ok_and(|there| matches!(self.seen.borrow()[&there], Stored::Directory { .. })) {
            return Err(Errno::ISDIR.into());
        }
        if old.0 == new.0 {
            self.change(Change::Names(new.0, vec![(new.1, Some(number)), (old.1, None)]));
        } else {
            self.change(Change::Names(new.0, vec![(new.1, Some(number))]));
            self.change(Change::Names(old.0, vec![(old.1, None)]));
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.spend()?;
        let (number, (directory, name)) = (self.find(path)?, self.place(path)?);
        if matches!(&self.seen.borrow()[&number], Stored::Directory { names, .. } if !names.is_empty()) {
            return Err(Errno::NOTEMPTY.into());
        }
        self.change(Change::Names(directory, vec![(name, None)]));
        Ok(())
    }

    fn flush(&self, path: &Path) -> io::Result<()> {
        self.spend()?;
        let number = self.find(path)?;
        let mut pending = self.pending.borrow_mut();
        let (flushed, left) = pending.drain(..).partition(|change| match change {
            Change::Content(node, _) | Change::Attributes(node, _) | Change::Names(node, _) => *node == number,
        });
        *pending = left;
        let flushed: Vec<Change> = flushed;
        flushed.iter().for_each(|change| apply(&mut self.durable.borrow_mut(), change));
        Ok(())
    }

    fn mount(&self, _path: &Path) -> io::Result<u64> {
        Ok(1)
    }
}
