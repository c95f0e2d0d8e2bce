//! What has arrived of puts, so that a cut link costs a few bytes and not a pack; and what is being stored, which goes on whether its host is still there or not: a store that is
//! far away needs its time, and a commit that is broken off would leave its lock behind.
//!
//! All of it is in memory, so there is a bound: a put that would pass it is told to come again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

/// As much as eight packs: beyond that, interrupted puts begin anew.
const HELD_BYTES_MAX: u64 = 512 << 20;
/// Objects that arrive or are being stored, interrupted ones among them: as much as thirty-two packs. One object always fits, however large.
const MEMORY_BYTES_MAX: u64 = 2 << 30;
/// A host that has not come back for so long begins anew.
const HELD_FOR: Duration = Duration::from_secs(30 * 60);

/// A put to which nothing was added for so long is an interrupted one.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// An object that is on its way. The host is part of it: no host can add to, or learn of, what another sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) host: String,
    pub(super) repository: String,
    pub(super) name: String,
    pub(super) length: u64,
    pub(super) blake3: [u8; 32],
}

/// The bytes of an object that have arrived, from its beginning.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    pub(super) parts: Vec<Bytes>,
    pub(super) length: u64,
}

/// Who may add to an object. A later put, or the question how much there is, takes that from an earlier one, whose line may be dead without its knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn(u64);

#[derive(Debug)]
struct Entry {
    arrived: Arrived,
    turn: u64,
    touched: Instant,
}

/// Objects on their way, those of interrupted puts among them.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<Objects>>);

#[derive(Debug, Default)]
struct Objects {
    arriving: HashMap<Key, Entry>,
    /// Closed when it is stored, or could not be.
    storing: HashMap<Key, watch::Receiver<()>>,
}

/// What becomes of a put.
#[derive(Debug)]
pub(super) enum Begun {
    /// It adds to what has arrived.
    Turn(Turn),
    /// It skipped another part than what is held: the host asks again.
    Elsewhere,
    /// There is no room for it now.
    Full,
    /// An earlier put of the same bytes is being stored: when this closes, it is known what came of it.
    Storing(watch::Receiver<()>),
}

/// An object that is being stored, until this is dropped.
#[derive(Debug)]
pub(super) struct Storing {
    held: Held,
    key: Key,
    _until: watch::Sender<()>,
}

impl Drop for Storing {
    fn drop(&mut self) {
        self.held.lock().storing.remove(&self.key);
    }
}

impl Held {
    /// Begins a put, or goes on with one where it was.
    pub(super) fn begin(&self, key: &Key, offset: u64) -> Begun {
        let mut objects = self.lock();
        if let Some(until) = objects.storing.get(key) {
            return Begun::Storing(until.clone());
        }
        forget(&mut objects.arriving);
        while !objects.has_room_for(key) {
            let Some(oldest) = longest_idle(&objects.arriving) else { return Begun::Full };
            objects.arriving.remove(&oldest);
        }
        let new = || Entry { arrived: Arrived::default(), turn: 0, touched: Instant::now() };
        let entry = objects.arriving.entry(key.clone()).or_insert_with(new);
        if offset == 0 {
            entry.arrived = Arrived::default();
        }
        if entry.arrived.length != offset {
            return Begun::Elsewhere;
        }
        Begun::Turn(entry.next_turn())
    }

    /// Adds what has arrived; false if it is somebody else's turn by now.
    pub(super) fn extend(&self, key: &Key, turn: Turn, bytes: Bytes) -> bool {
        let mut held = self.lock();
        let Some(entry) = held.arriving.get_mut(key).filter(|entry| entry.turn == turn.0) else { return false };
        entry.touched = Instant::now();
        entry.arrived.length += bytes.len() as u64;
        if !bytes.is_empty() {
            entry.arrived.parts.push(bytes);
        }
        true
    }

    /// What has arrived so far, if it is still the same put's turn. Bytes are not copied.
    pub(super) fn parts(&self, key: &Key, turn: Turn) -> Option<Vec<Bytes>> {
        let held = self.lock();
        held.arriving.get(key).filter(|entry| entry.turn == turn.0).map(|entry| entry.arrived.parts.clone())
    }

    /// Takes the object to be stored, if it is still the same put's turn.
    pub(super) fn finish(&self, key: &Key, turn: Turn) -> Option<(Arrived, Storing)> {
        let mut objects = self.lock();
        objects.arriving.get(key).filter(|entry| entry.turn == turn.0)?;
        let arrived = objects.arriving.remove(key)?.arrived;
        let (until, stored) = watch::channel(());
        objects.storing.insert(key.clone(), stored);
        Some((arrived, Storing { held: self.clone(), key: key.clone(), _until: until }))
    }

    /// How much there is of an object. Whoever asks goes on with it: an earlier put adds nothing more.
    pub(super) fn length(&self, key: &Key) -> u64 {
        let mut held = self.lock();
        held.arriving.get_mut(key).map_or(0, |entry| {
            entry.next_turn();
            entry.arrived.length
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects {
    /// Counts what was promised, not what has come: a put that has begun is never out of room.
    fn has_room_for(&self, key: &Key) -> bool {
        if self.arriving.contains_key(key) {
            return true;
        }
        let taken: u64 = self.arriving.keys().chain(self.storing.keys()).map(|key| key.length).sum();
        taken == 0 || taken + key.length <= MEMORY_BYTES_MAX
    }
}

impl Entry {
    fn next_turn(&mut self) -> Turn {
        self.turn += 1;
        self.touched = Instant::now();
        Turn(self.turn)
    }
}

/// What nobody has touched for long goes; and beyond the bound, what was touched least lately.
fn forget(held: &mut HashMap<Key, Entry>) {
    held.retain(|_, entry| entry.touched.elapsed() < HELD_FOR);
    let bytes = |held: &HashMap<Key, Entry>| held.values().map(|entry| entry.arrived.length).sum::<u64>();
    while bytes(held) > HELD_BYTES_MAX {
        let Some(oldest) = longest_idle(held) else { break };
        held.remove(&oldest);
    }
}

fn longest_idle(held: &HashMap<Key, Entry>) -> Option<Key> {
    let idle = held.iter().filter(|(_, entry)| entry.touched.elapsed() > IDLE_AFTER);
    idle.min_by_key(|(_, entry)| entry.touched).map(|(key, _)| key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { host: "web1".into(), repository: "r".into(), name: name.into(), length: 10, blake3: [0; 32] }
    }

    fn begun(held: &Held, key: &Key, offset: u64) -> Turn {
        match held.begin(key, offset) {
            Begun::Turn(turn) => turn,
            other => panic!("{other:?}"),
        }
    }

    /// A put of which so many bytes arrive.
    fn put(held: &Held, key: &Key, bytes: usize) -> Turn {
        let turn = begun(held, key, 0);
        assert!(held.extend(key, turn, Bytes::from(vec![0; bytes])));
        turn
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_arrived_is_held_for_a_while_and_taken_once() {
        let held = Held::default();
        let turn = put(&held, &key("a"), 4);
        assert_eq!(held.finish(&key("a"), turn).unwrap().0.length, 4);
        assert!(held.finish(&key("a"), turn).is_none());
        put(&held, &key("a"), 4);
        tokio::time::advance(HELD_FOR).await;
        put(&held, &key("b"), 1);
        assert_eq!((held.length(&key("a")), held.length(&key("b"))), (0, 1));
    }

    #[tokio::test]
    async fn whoever_asks_goes_on_and_the_earlier_put_adds_nothing_more() {
        let held = Held::default();
        let dead = put(&held, &key("a"), 4);
        assert_eq!(held.length(&key("a")), 4);
        assert!(!held.extend(&key("a"), dead, Bytes::from_static(b"late")));
        assert!(matches!(held.begin(&key("a"), 3), Begun::Elsewhere));
        let turn = begun(&held, &key("a"), 4);
        assert!(held.extend(&key("a"), turn, Bytes::from_static(b"rest")));
        assert!(held.finish(&key("a"), dead).is_none());
        assert_eq!(held.finish(&key("a"), turn).unwrap().0.length, 8);
    }

    #[tokio::test]
    async fn another_host_sees_nothing_of_it() {
        let held = Held::default();
        put(&held, &key("a"), 4);
        assert_eq!(held.length(&Key { host: "web2".into(), ..key("a") }), 0);
    }

    #[tokio::test]
    async fn what_is_being_stored_is_not_taken_twice() {
        let held = Held::default();
        let turn = put(&held, &key("a"), 10);
        let (_, storing) = held.finish(&key("a"), turn).unwrap();
        let Begun::Storing(mut until) = held.begin(&key("a"), 0) else { panic!("not known to be stored") };
        assert!(!until.has_changed().unwrap());
        drop(storing);
        assert!(until.changed().await.is_err());
        begun(&held, &key("a"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_bound_that_counts_what_was_promised() {
        let held = Held::default();
        let large = |name: &str| Key { length: MEMORY_BYTES_MAX, ..key(name) };
        let turn = begun(&held, &large("a"), 0);
        assert!(matches!(held.begin(&key("b"), 0), Begun::Full));
        begun(&held, &large("a"), 0);
        assert!(held.finish(&large("a"), turn).is_none());
        let turn = begun(&held, &large("a"), 0);
        let (_, storing) = held.finish(&large("a"), turn).unwrap();
        assert!(matches!(held.begin(&key("b"), 0), Begun::Full));
        drop(storing);
        begun(&held, &key("b"), 0);
        assert!(matches!(held.begin(&large("a"), 0), Begun::Full));
        // An interrupted put does not keep others out.
        tokio::time::advance(IDLE_AFTER * 2).await;
        begun(&held, &large("a"), 0);
    }
}
