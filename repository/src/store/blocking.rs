//! The one place of this module from which work that blocks is sent to other threads.

use object_store::Result;
use tokio::runtime::Handle;

/// Runs `work`, which may block, on the runtime's threads for that; without a runtime, right here.
///
/// Dropping the future does not stop work that has begun: a put whose caller went away may still
/// become visible, whole. How much runs at once is bounded by the callers.
pub(super) async fn run<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    if Handle::try_current().is_err() {
        return work();
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the store owns its blocking work: reads, writes and flushes of files"
    )]
    let task = tokio::task::spawn_blocking(work);
    task.await?
}
