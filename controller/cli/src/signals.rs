//! Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends the program at once.
//!
//! Both are safe at any instruction: what a backup stores counts only from its commit on, and a restore writes under temporary names.

use std::io;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

const INTERRUPT: u8 = 2;
const TERMINATE: u8 = 15;

/// Whether a signal has arrived.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    first: watch::Receiver<Option<u8>>,
}

impl Signals {
    /// Watches from now on, on the runtime's threads.
    pub(crate) fn watch(runtime: &Handle) -> io::Result<Self> {
        let _inside = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (tell, first) = watch::channel(None);
        runtime.spawn(async move {
            let number = either(&mut interrupt, &mut terminate).await;
            // Nobody listens any more when the command is about to end anyway.
            let _ = tell.send(Some(number));
            let number = either(&mut interrupt, &mut terminate).await;
            std::process::exit(128 + i32::from(number));
        });
        Ok(Self { first })
    }

    /// Waits for the first signal.
    pub(crate) async fn arrived(&self) -> u8 {
        let mut first = self.first.clone();
        let arrived = first.wait_for(Option::is_some).await.map(|number| number.unwrap_or(INTERRUPT));
        match arrived {
            Ok(number) => number,
            // The watching task ends only with the program.
            Err(_) => std::future::pending().await,
        }
    }

    /// The first signal, if it has come.
    pub(crate) fn received(&self) -> Option<u8> {
        *self.first.borrow()
    }
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> u8 {
    tokio::select! {
        _ = interrupt.recv() => INTERRUPT,
        _ = terminate.recv() => TERMINATE,
    }
}
