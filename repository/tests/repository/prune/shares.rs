//! Who uses what: the shares sum up to the store, and what is unique to somebody comes free when they go.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::ObjectStore;
use strongroom_repository::shares::{self, Share, Shares};
use strongroom_repository::{Committed, Manifest, Repository};

use super::scene::{Files, begin, files, prune, write};
use crate::common::{Fixture, manifest};

async fn stored(fixture: &Fixture) -> u64 {
    let listed: Vec<_> = fixture.store.list(None).try_collect().await.unwrap();
    listed.iter().map(|meta| meta.size).sum()
}

async fn back_up_of(repository: &Arc<Repository>, host: &str, tenant: Option<&str>, files: &Files) -> Committed {
    repository.refresh().await.unwrap();
    let session = begin(repository, None).await.unwrap();
    let tree = write(&session, files).await.unwrap();
    let tags = tenant.map(|tenant| ("tenant".to_owned(), tenant.to_owned())).into_iter().collect();
    session.commit(tree, Manifest { host: host.into(), tags, ..manifest() }).await.unwrap()
}

async fn by_host(repository: &Arc<Repository>) -> (Shares, BTreeMap<String, Share>) {
    let shares = shares::gather(repository, |manifest| Some(manifest.host.clone())).await.unwrap();
    let named = shares.shares.iter().map(|share| (share.name.clone().unwrap(), share.clone())).collect();
    (shares, named)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stored_byte_is_somebodys_or_nobodys() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    // Each file is a solid frame's part; versions are files of their own.
    back_up_of(&repository, "web1", Some("north"), &files(0..300, 0)).await;
    back_up_of(&repository, "web2", Some("south"), &files(0..300, 0)).await;
    let last = back_up_of(&repository, "web2", Some("south"), &files(300..500, 0)).await;
    back_up_of(&repository, "db1", None, &files(1000..1200, 0)).await;
    let (shares, named) = by_host(&repository).await;
    assert_eq!(
        (shares.sum_bytes(), shares.stored_bytes),
        (stored(&fixture).await, stored(&fixture).await),
        "{shares:?}"
    );
    assert_eq!((shares.unused_bytes, shares.unreferred_bytes), (0, 0), "{shares:?}");
    let [web1, web2, db1] = ["web1", "web2", "db1"].map(|name| &named[name]);
    assert_eq!(db1.shared_bytes, 0, "{db1:?}");
    assert!(web1.shared_bytes > 100_000 && web1.shared_bytes == web2.shared_bytes, "{web1:?} {web2:?}");
    assert!(web1.fair_bytes < web1.unique_bytes + web1.shared_bytes / 2 + 1000, "{web1:?}");
    assert_eq!(shares.shares[0].name.as_deref(), Some("web2"), "the largest comes first");
    let tenants = shares::gather(&repository, |manifest| manifest.tags.get("tenant").cloned()).await.unwrap();
    assert_eq!(tenants.sum_bytes(), shares.stored_bytes);
    let none = tenants.shares.iter().find(|share| share.name.is_none()).unwrap();
    assert_eq!(Share { name: Some("db1".into()), ..none.clone() }, *db1, "who has no tenant");
    repository.forget(&[last.snapshot]).await.unwrap();
    let (after, _) = by_host(&repository).await;
    assert!(after.unused_bytes > 100_000, "{after:?}");
    assert_eq!(after.sum_bytes(), stored(&fixture).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unique_to_a_host_comes_free_when_it_goes() {
    for host in ["web1", "web2", "db1"] {
        let fixture = Fixture::new().await;
        let repository = fixture.open().await;
        for (host, numbers) in [("web1", 0..300), ("web2", 0..300), ("web2", 300..500), ("db1", 1000..1200)] {
            back_up_of(&repository, host, None, &files(numbers, 0)).await;
        }
        let (_, named) = by_host(&repository).await;
        let before = stored(&fixture).await;
        let going = repository.snapshots().await.unwrap().readable;
        let going: Vec<_> = going.iter().filter(|one| one.manifest.host == host).map(|one| one.id).collect();
        repository.forget(&going).await.unwrap();
        for _ in 0..3 {
            prune(&repository).await;
        }
        let (after, _) = by_host(&repository).await;
        assert_eq!(after.unused_bytes + after.unreferred_bytes, 0, "{after:?}");
        let freed = before - stored(&fixture).await;
        let unique = named[host].unique_bytes;
        // With its frames go their packs' tables, their parity and their part of the index; the commits of the prune come.
        assert!(freed >= unique * 99 / 100, "{host}: {unique} bytes are unique, and {freed} came free");
        assert!(freed <= unique * 130 / 100 + 20_000, "{host}: {unique} bytes are unique, and {freed} came free");
    }
}
