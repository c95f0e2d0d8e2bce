//! Waiting for a thread from async code. File systems block, so nothing that touches one runs on the threads of the runtime.

use std::thread;

use tokio::sync::oneshot;

use super::error::RestoreError;

/// Runs `work` on a thread of its own and waits for it.
pub(crate) async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RestoreError> {
    let (answer, answered) = oneshot::channel();
    let run = move || {
        // Nobody listens any more when the restore was cancelled.
        let _cancelled = answer.send(work());
    };
    let thread = spawn(name, run)?;
    let result = answered.await;
    // The answer is its last act, or its panic has ended it: joining does not wait.
    thread.join().map_err(|_| RestoreError::Thread)?;
    result.map_err(|_| RestoreError::Thread)
}

/// Starts a thread with a name.
pub(super) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<thread::JoinHandle<T>, RestoreError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(RestoreError::target("start a thread for", name))
}
