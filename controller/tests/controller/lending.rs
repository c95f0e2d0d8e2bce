//! What a host may read for a restore: what was lent to it, as long as it is lent.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::small_repository::{back_up, noise, repository};
use anyhow::{Context, Result, ensure};
use hyper_util::rt::TokioIo;
use strongroom_controller::gateway::{Gateway, serve};
use strongroom_proto::gateway::GetRequest;
use strongroom_proto::gateway::gateway_client::GatewayClient;
use strongroom_repository::{Lending, Repository};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

async fn host(gateway: &Arc<Gateway>, name: &str) -> Result<GatewayClient<Channel>> {
    let (here, there) = tokio::io::duplex(64 << 10);
    tokio::spawn(serve(Arc::clone(gateway), name.to_owned(), there));
    let mut io = Some(TokioIo::new(here));
    let connector = tower::service_fn(move |_| {
        let io = io.take();
        async move { io.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)) }
    });
    Ok(GatewayClient::new(Endpoint::from_static("http://gateway.invalid").connect_with_connector(connector).await?))
}

fn get(repository: &Repository, name: &str) -> GetRequest {
    GetRequest { repository: repository.id().to_string(), name: name.into(), ..GetRequest::default() }
}

/// How many bytes come, or why none do.
async fn read(host: &mut GatewayClient<Channel>, request: GetRequest) -> Result<u64, Status> {
    let mut parts = host.get(request).await?.into_inner();
    let mut came = 0;
    while let Some(part) = parts.message().await? {
        came += part.bytes.len() as u64;
    }
    Ok(came)
}

fn is_refused(read: Result<u64, Status>) -> bool {
    read.is_err_and(|status| status.code() == Code::PermissionDenied)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_reads_what_is_lent_to_it_and_nothing_else() -> Result<()> {
    let cache = tempfile::tempdir()?;
    let repository = repository(cache.path()).await?;
    let (one, two) = (back_up(&repository, noise(1, 3 << 20)).await?, back_up(&repository, noise(2, 3 << 20)).await?);
    let gateway = Arc::new(Gateway::new([Arc::clone(&repository)]));
    let (mut web1, mut web2) = (host(&gateway, "web1").await?, host(&gateway, "web2").await?);
    let (lending, other) = (repository.lend(&one, &[]).await?, repository.lend(&two, &[]).await?);
    ensure!(lending.objects.len() >= 2 && lending.objects.is_disjoint(&other.objects), "{lending:?}");
    for name in &lending.objects {
        ensure!(is_refused(read(&mut web1, get(&repository, name)).await), "{name} before it is lent");
    }
    let lent = gateway.lend("web1", &lending);
    let mut came = 0;
    for name in &lending.objects {
        came += read(&mut web1, get(&repository, name)).await?;
        let range = GetRequest { start: Some(10), end: Some(110), ..get(&repository, name) };
        ensure!(read(&mut web1, range).await? == 100);
        came += 100;
        ensure!(is_refused(read(&mut web2, get(&repository, name)).await), "{name} by another host");
    }
    ensure!(lent.read_bytes() == came && came > 3 << 20, "{came}");
    for name in &other.objects {
        ensure!(is_refused(read(&mut web1, get(&repository, name)).await), "{name} of another snapshot");
    }
    let pack = lending.objects.first().context("an object")?;
    let parity = format!("parity/{}", pack.rsplit('/').next().context("an id")?);
    ensure!(is_refused(read(&mut web1, get(&repository, &parity)).await));
    drop(lent);
    for name in &lending.objects {
        ensure!(is_refused(read(&mut web1, get(&repository, name)).await), "{name} after it was taken back");
    }
    // What a prune has moved to an object of another name is lent with it.
    let lent = gateway.lend("web1", &Lending { objects: BTreeSet::new(), ..lending.clone() });
    ensure!(read(&mut web1, get(&repository, pack)).await? > 0);
    for name in &other.objects {
        ensure!(is_refused(read(&mut web1, get(&repository, name)).await), "{name} of another snapshot");
    }
    drop(lent);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_is_under_way_ends_when_it_is_taken_back() -> Result<()> {
    let cache = tempfile::tempdir()?;
    let repository = repository(cache.path()).await?;
    let snapshot = back_up(&repository, noise(1, 40 << 20)).await?;
    let gateway = Arc::new(Gateway::new([Arc::clone(&repository)]));
    let mut web1 = host(&gateway, "web1").await?;
    let lending = repository.lend(&snapshot, &[]).await?;
    let lent = gateway.lend("web1", &lending);
    let pack = lending.objects.iter().find(|name| name.starts_with("packs/")).context("a pack")?;
    let mut parts = web1.get(get(&repository, pack)).await?.into_inner();
    parts.message().await?.context("a part")?;
    drop(lent);
    let ended = loop {
        match parts.message().await {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    ensure!(ended.is_err_and(|status| status.code() == Code::PermissionDenied), "it came to its end");
    Ok(())
}
