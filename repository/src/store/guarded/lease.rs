//! A lock in a store that can do nothing but put, list and delete.
//!
//! Who wants it puts an object of a random name below `locks/`, then lists them, twice with a pause between. Who sees only his own, both times, has the lock; who
//! sees another one takes his own away and tries again later. Of two that come together at least one sees the other, because each looks after it has put: so they
//! may both draw back, but never both go on. That holds where a listing shows what was put before it; whether ours shows our own is checked.
//!
//! A lock ends by being deleted, or when it is older than [`LEASE`]: its holder is dead then. Ages are differences of two times that the store itself has given,
//! so no clock of ours is asked.

use std::time::Duration;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, Result};
use tokio::time::{Instant, sleep};

use super::GuardError;

/// Where locks lie.
pub(super) const FOLDER: &str = "locks";

/// A lock is dead after this time. Its holder puts one object of a few kilobytes, in half of it at most.
pub(super) const LEASE: Duration = Duration::from_secs(120);

/// Others are waited for so long: every honest one is done by then, and every dead one has ended.
const WAIT_MAX: Duration = Duration::from_secs(150);

/// Between two tries: half of it for certain, the rest by chance, so that two which drew back together do not return together.
const PAUSE: Duration = Duration::from_millis(800);

/// A held lock.
#[derive(Debug)]
pub(super) struct Lease {
    name: Path,
    /// When its putting began.
    pub(super) begun: Instant,
}

/// What one look at the locks shows.
enum Sight {
    /// Nobody but us.
    Alone,
    /// The lock of somebody else.
    Other(Path),
}

impl Lease {
    /// Takes the lock, or waits for it.
    pub(super) async fn acquire(store: &dyn ObjectStore, who: &str, settle: Duration) -> Result<Self> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let lease = Self::put(store, who).await?;
            match lease.look_twice(store, settle).await {
                Ok(Sight::Alone) => return Ok(lease),
                Ok(Sight::Other(name)) => {
                    lease.release(store).await;
                    if Instant::now() >= deadline {
                        return Err(GuardError::Held(holder(store, &name).await).into());
                    }
                }
                Err(error) => {
                    lease.release(store).await;
                    return Err(error);
                }
            }
            sleep(PAUSE / 2 + PAUSE.mul_f64(f64::from(random::<1>()[0]) / 512.0)).await;
        }
    }

    async fn put(store: &dyn ObjectStore, who: &str) -> Result<Self> {
        let name = Path::from(format!("{FOLDER}/{}", data_encoding::HEXLOWER.encode(&random::<16>())));
        let begun = Instant::now();
        store.put_opts(&name, PutPayload::from(who.to_owned().into_bytes()), PutMode::Create.into()).await?;
        Ok(Self { name, begun })
    }

    async fn look_twice(&self, store: &dyn ObjectStore, settle: Duration) -> Result<Sight> {
        if let Sight::Other(name) = self.look(store).await? {
            return Ok(Sight::Other(name));
        }
        sleep(settle).await;
        self.look(store).await
    }

    async fn look(&self, store: &dyn ObjectStore) -> Result<Sight> {
        let locks: Vec<ObjectMeta> = store.list(Some(&Path::from(FOLDER))).try_collect().await?;
        let own = locks.iter().find(|lock| lock.location == self.name).ok_or(GuardError::Unseen)?;
        for lock in locks.iter().filter(|lock| lock.location != self.name) {
            let age = own.last_modified.signed_duration_since(lock.last_modified).to_std();
            if age.is_ok_and(|age| age > LEASE) {
                tracing::warn!(lock = %lock.location, "removing the lock of a writer that is gone");
                store.delete(&lock.location).await?;
            } else {
                return Ok(Sight::Other(lock.location.clone()));
            }
        }
        Ok(Sight::Alone)
    }

    /// Lets go. If that fails the lock ends by its age.
    pub(super) async fn release(&self, store: &dyn ObjectStore) {
        if let Err(error) = store.delete(&self.name).await {
            tracing::warn!(lock = %self.name, "the lock stays until it is {} seconds old: {error}", LEASE.as_secs());
        }
    }
}

/// What the holder of a lock says of itself.
async fn holder(store: &dyn ObjectStore, name: &Path) -> String {
    let said = async { store.get(name).await?.bytes().await };
    let said = said.await.ok().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    let said = said.filter(|said| said.len() < 200 && !said.chars().any(char::is_control));
    said.unwrap_or_else(|| "another process".into())
}

fn random<const SIZE: usize>() -> [u8; SIZE] {
    crate::keys::random()
}
