//! A store that denies deletions, as one whose objects are locked: what goes is out of the index all the same, and its objects go when they may.

use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use strongroom_repository::prune::PruneOptions;
use strongroom_repository::store::{Fault, Faulty, Operation, Plan, When};

use super::scene::{back_up, files, open, options, prune_with, read_all};
use crate::common::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_deleted_stops_no_prune_and_goes_later() {
    let fixture = Fixture::new().await;
    let denied =
        Plan { fault: Fault::ErrorBefore(Errno::ACCESS), when: When::FromNth(1), only: Some(Operation::Delete) };
    let store = Arc::new(Faulty::new(fixture.store.clone(), denied));
    let repository = open(store.clone(), &fixture.key, fixture.cache.path()).await.unwrap();
    let going = back_up(&repository, &files(0..60, 0)).await.unwrap();
    back_up(&repository, &files(0..60, 1)).await.unwrap();
    repository.forget(&[going.snapshot]).await.unwrap();

    let (_, report) = prune_with(&repository, &options()).await.unwrap();
    assert!(report.swept > 0 && report.deleted_bytes == 0, "{report:?}");
    assert!(report.not_deleted.len() as u64 > report.swept, "packs and what lies beside them: {report:?}");
    let why = report.denied.as_deref().unwrap_or_default();
    assert!(why.contains("cannot delete"), "{why}");
    assert_eq!(read_all(store.clone(), &fixture.key).await, 1);

    store.arm(Plan::NOTHING);
    // The record of the prune that could delete nothing is still there, and is waited for no longer.
    let patient = PruneOptions { fence_after: Duration::ZERO, ..options() };
    let mut gone = 0;
    for _ in 0..3 {
        let (_, report) = prune_with(&repository, &patient).await.unwrap();
        assert!(report.not_deleted.is_empty() && report.denied.is_none(), "{report:?}");
        gone += report.strays;
    }
    assert!(gone > 0);
    assert_eq!(read_all(store, &fixture.key).await, 1);
}
