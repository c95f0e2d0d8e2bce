//! The host's end of the gateway, in a process of its own, as a worker's is: it stores packs where it is told, and says how long it took.
//!
//! On standard input come words, one a line: `gateway`, or the folder of a store to write to directly. For each it answers with the seconds.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as Name;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};
use strongroom_repository::{ObjectId, RepositoryId, store};
use strongroom_worker_daemon::gateway::{GatewayStore, Links};
use tokio::net::UnixListener;

/// As large as packs are.
pub(crate) const PACK_BYTES: usize = 64 << 20;
/// Packs of one round: a GiB.
pub(crate) const PACKS: usize = 16;

/// Packs on their way at once, as a worker behind a gateway has them.
const AT_ONCE: usize = 2;

#[derive(Debug, Args)]
pub(crate) struct Order {
    /// Where the socket is that the forced command joins
    #[arg(long)]
    run_dir: PathBuf,
    /// The repository behind the gateway
    #[arg(long)]
    repository: RepositoryId,
}

pub(crate) fn run(order: &Order) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let links = Links::default();
    let listener = {
        let _inside = runtime.enter();
        UnixListener::bind(order.run_dir.join("gateway.sock"))?
    };
    let attach = links.clone();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Err(error) = attach.attach(stream).await {
                eprintln!("the gateway could not be joined: {error}");
            }
        }
    });
    say("ready")?;
    for (round, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line?;
        let packs = packs(round);
        let store: Arc<dyn ObjectStore> = match line.as_str() {
            "gateway" => Arc::new(GatewayStore::new(links.clone(), order.repository).0),
            folder => store::open(folder)?,
        };
        let begun = Instant::now();
        runtime.block_on(put_all(&*store, packs))?;
        say(&begun.elapsed().as_secs_f64().to_string())?;
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    println!("{text}");
    Ok(std::io::stdout().flush()?)
}

/// Packs that no round before had, under the names of their bytes.
fn packs(round: usize) -> Vec<(Name, Bytes)> {
    let pack = |number: usize| {
        let mut bytes = vec![0; PACK_BYTES];
        blake3::Hasher::new().update(&[round as u8, number as u8]).finalize_xof().fill(&mut bytes);
        let hex = ObjectId::of(&bytes).hex();
        (Name::from(format!("packs/{}/{hex}", &hex[..2])), Bytes::from(bytes))
    };
    (0..PACKS).map(pack).collect()
}

/// As a backup's uploads go: the next one begins while the one before is made durable.
async fn put_all(store: &dyn ObjectStore, packs: Vec<(Name, Bytes)>) -> Result<()> {
    let put = |(name, bytes): (Name, Bytes)| async move {
        let put = store.put_opts(&name, PutPayload::from(bytes), PutOptions::from(PutMode::Create)).await;
        put.map(drop).with_context(|| format!("storing {name}"))
    };
    stream::iter(packs).map(put).buffered(AT_ONCE).try_collect().await
}
