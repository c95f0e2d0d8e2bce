//! What has arrived of interrupted puts, so that a cut link costs a few bytes and not a pack.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// As much as eight packs: a put beyond that is not held, and begins anew after a cut.
const HELD_BYTES_MAX: usize = 512 << 20;
/// A host that has not come back for so long begins anew.
const HELD_FOR: Duration = Duration::from_secs(30 * 60);

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

impl Arrived {
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len() as u64;
        self.parts.push(bytes);
    }
}

/// Interrupted puts. Bounded in bytes and in time.
#[derive(Debug, Default)]
pub struct Held(Mutex<HashMap<Key, (Arrived, Instant)>>);

impl Held {
    /// Keeps what has arrived until the host comes back.
    pub(super) fn keep(&self, key: Key, arrived: Arrived) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        held.retain(|_, (_, since)| now.duration_since(*since) < HELD_FOR);
        let bytes: u64 = held.values().map(|(arrived, _)| arrived.length).sum();
        if bytes + arrived.length <= HELD_BYTES_MAX as u64 {
            held.insert(key, (arrived, now));
        }
    }

    /// How much there is of an object.
    pub(super) fn length(&self, key: &Key) -> u64 {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(key).map_or(0, |(arrived, _)| arrived.length)
    }

    /// Takes what there is of an object, to go on with it.
    pub(super) fn take(&self, key: &Key) -> Arrived {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(key).map(|(arrived, _)| arrived).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { host: "web1".into(), repository: "r".into(), name: name.into(), length: 10, blake3: [0; 32] }
    }

    fn arrived(bytes: usize) -> Arrived {
        let mut arrived = Arrived::default();
        arrived.push(Bytes::from(vec![0; bytes]));
        arrived
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_arrived_is_held_for_a_while_and_taken_once() {
        let held = Held::default();
        held.keep(key("a"), arrived(4));
        assert_eq!((held.length(&key("a")), held.length(&key("b"))), (4, 0));
        assert_eq!(held.take(&key("a")).length, 4);
        assert_eq!(held.take(&key("a")).length, 0);
        held.keep(key("a"), arrived(4));
        tokio::time::advance(HELD_FOR).await;
        held.keep(key("b"), arrived(1));
        assert_eq!((held.length(&key("a")), held.length(&key("b"))), (0, 1));
    }

    #[tokio::test]
    async fn another_host_sees_nothing_of_it() {
        let held = Held::default();
        held.keep(key("a"), arrived(4));
        assert_eq!(held.length(&Key { host: "web2".into(), ..key("a") }), 0);
    }
}
