//! What has arrived of interrupted puts, so that a cut link costs a few bytes and not a pack.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// As much as eight packs: beyond that, interrupted puts begin anew.
const HELD_BYTES_MAX: u64 = 512 << 20;
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
#[derive(Debug, Default)]
pub struct Held(Mutex<HashMap<Key, Entry>>);

impl Held {
    /// Begins a put, or goes on with one where it was. None if that is not where it was: the host asks again then.
    pub(super) fn begin(&self, key: &Key, offset: u64) -> Option<Turn> {
        let mut held = self.lock();
        forget(&mut held);
        let new = || Entry { arrived: Arrived::default(), turn: 0, touched: Instant::now() };
        let entry = held.entry(key.clone()).or_insert_with(new);
        if offset == 0 {
            entry.arrived = Arrived::default();
        }
        if entry.arrived.length != offset {
            return None;
        }
        Some(entry.next_turn())
    }

    /// Adds what has arrived; false if it is somebody else's turn by now.
    pub(super) fn extend(&self, key: &Key, turn: Turn, bytes: Bytes) -> bool {
        let mut held = self.lock();
        let Some(entry) = held.get_mut(key).filter(|entry| entry.turn == turn.0) else { return false };
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
        held.get(key).filter(|entry| entry.turn == turn.0).map(|entry| entry.arrived.parts.clone())
    }

    /// Takes the object, if it is still the same put's turn.
    pub(super) fn finish(&self, key: &Key, turn: Turn) -> Option<Arrived> {
        let mut held = self.lock();
        held.get(key).filter(|entry| entry.turn == turn.0)?;
        held.remove(key).map(|entry| entry.arrived)
    }

    /// How much there is of an object. Whoever asks goes on with it: an earlier put adds nothing more.
    pub(super) fn length(&self, key: &Key) -> u64 {
        let mut held = self.lock();
        held.get_mut(key).map_or(0, |entry| {
            entry.next_turn();
            entry.arrived.length
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let idle = held.iter().filter(|(_, entry)| entry.touched.elapsed() > IDLE_AFTER);
        let Some(oldest) = idle.min_by_key(|(_, entry)| entry.touched).map(|(key, _)| key.clone()) else { break };
        held.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { host: "web1".into(), repository: "r".into(), name: name.into(), length: 10, blake3: [0; 32] }
    }

    /// A put of which so many bytes arrive.
    fn put(held: &Held, key: &Key, bytes: usize) -> Turn {
        let turn = held.begin(key, 0).unwrap();
        assert!(held.extend(key, turn, Bytes::from(vec![0; bytes])));
        turn
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_arrived_is_held_for_a_while_and_taken_once() {
        let held = Held::default();
        let turn = put(&held, &key("a"), 4);
        assert_eq!(held.finish(&key("a"), turn).unwrap().length, 4);
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
        assert_eq!(held.begin(&key("a"), 3), None);
        let turn = held.begin(&key("a"), 4).unwrap();
        assert!(held.extend(&key("a"), turn, Bytes::from_static(b"rest")));
        assert!(held.finish(&key("a"), dead).is_none());
        assert_eq!(held.finish(&key("a"), turn).unwrap().length, 8);
    }

    #[tokio::test]
    async fn another_host_sees_nothing_of_it() {
        let held = Held::default();
        put(&held, &key("a"), 4);
        assert_eq!(held.length(&Key { host: "web2".into(), ..key("a") }), 0);
    }
}
