//! A store behind a gate: every request of every actor waits until it is let through, one at a time, in an order that dice choose. So a prune stands still between any two of
//! its requests while others go on, an actor sleeps as long as it pleases the dice, and one that is killed sends nothing more.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};

/// Who asks.
pub(crate) type Actor = usize;

/// Where all requests wait.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<(Actor, String, oneshot::Sender<()>)>,
    dead: Vec<Actor>,
    ended: HashSet<Actor>,
    /// Everything that was let through, for whoever has to find a fault.
    log: Vec<String>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The actors that have a request waiting, once for each.
    pub(crate) fn waiting(&self) -> Vec<Actor> {
        self.state().waiting.iter().map(|(actor, ..)| *actor).collect()
    }

    /// What an actor's first waiting request asks for.
    pub(crate) fn asks(&self, actor: Actor) -> Option<String> {
        self.state().waiting.iter().find(|(who, ..)| *who == actor).map(|(_, what, _)| what.clone())
    }

    /// Lets the `number`th of an actor's requests through.
    pub(crate) fn let_through(&self, actor: Actor, number: usize) {
        let mut state = self.state();
        let of_actor = state.waiting.iter().enumerate().filter(|(_, (who, ..))| *who == actor).map(|(at, _)| at);
        let of_actor: Vec<usize> = of_actor.collect();
        if let Some(at) = of_actor.get(number % of_actor.len().max(1)) {
            let (_, what, go) = state.waiting.swap_remove(*at);
            state.log.push(what);
            // Nobody listens where the request was given up.
            let _ = go.send(());
        }
    }

    /// Sends nothing more for an actor, whatever of it is still alive.
    pub(crate) fn kill(&self, actor: Actor) {
        let mut state = self.state();
        state.dead.push(actor);
        state.waiting.retain(|(who, ..)| *who != actor);
        state.log.push(format!("{actor} is killed"));
    }

    pub(crate) fn note(&self, what: String) {
        self.state().log.push(what);
    }

    pub(crate) fn has_ended(&self, actor: Actor) -> bool {
        self.state().ended.contains(&actor)
    }

    pub(crate) fn log(&self) -> String {
        self.state().log.join("\n")
    }

    /// Resolves when something has come to the gate since it was asked for.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    async fn pass(&self, actor: Actor, what: String) -> Result<()> {
        let (go, gone) = oneshot::channel();
        {
            let mut state = self.state();
            match state.dead.contains(&actor) {
                true => drop(go),
                false => state.waiting.push((actor, format!("{actor}: {what}"), go)),
            }
        }
        self.changed.notify_waiters();
        gone.await.map_err(|_| object_store::Error::Generic { store: "Gated", source: "killed".into() })
    }
}

/// Tells the gate, however it comes about, that an actor has ended.
pub(crate) struct Ending(pub(crate) Arc<Gate>, pub(crate) Actor);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.state().ended.insert(self.1);
        self.0.changed.notify_waiters();
    }
}

/// An actor's way to the store.
#[derive(Debug, Clone)]
pub(crate) struct Gated {
    pub(crate) inner: Arc<dyn ObjectStore>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) actor: Actor,
}

impl fmt::Display for Gated {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Gated({})", self.inner)
    }
}

fn never<T>() -> Result<T> {
    panic!("the engine never asks for this")
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Gated {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.gate.pass(self.actor, format!("put {location}")).await?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        never()
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.gate.pass(self.actor, format!("get {location}")).await?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.gate.pass(self.actor, format!("get {location}")).await?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let gated = self.clone();
        let delete = move |name: Path| {
            let gated = gated.clone();
            async move {
                gated.gate.pass(gated.actor, format!("delete {name}")).await?;
                let one = futures::stream::once(std::future::ready(Ok(name.clone()))).boxed();
                gated.inner.delete_stream(one).try_collect::<Vec<_>>().await?;
                Ok(name)
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (gated, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            gated.gate.pass(gated.actor, format!("list {prefix:?}")).await?;
            gated.inner.list(prefix.as_ref()).try_collect::<Vec<_>>().await
        };
        let all = futures::stream::once(listed).map_ok(|found| futures::stream::iter(found.into_iter().map(Ok)));
        all.try_flatten().boxed()
    }

    fn list_with_offset(&self, _: Option<&Path>, _: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::once(std::future::ready(never())).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        never()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        never()
    }

    async fn rename_opts(&self, _: &Path, _: &Path, _: RenameOptions) -> Result<()> {
        never()
    }
}
