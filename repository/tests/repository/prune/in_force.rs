//! What is in force, and so is to be locked: enough to restore everything from, and nothing that is condemned and needed by nobody.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use strongroom_repository::lock;
use strongroom_repository::store::InMemory;

use super::scene::{back_up, begin, files, prune, read_all};
use crate::common::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_force_is_enough_and_no_more() {
    let fixture = Fixture::new().await;
    let repository = fixture.open().await;
    let going = back_up(&repository, &files(0..60, 0)).await.unwrap();
    back_up(&repository, &files(0..60, 1)).await.unwrap();
    let before = lock::in_force(&repository).await.unwrap();
    // What an open session may build on stays, and is condemned all the same.
    let _session = begin(&repository, None).await.unwrap();
    repository.forget(&[going.snapshot]).await.unwrap();
    let (_, report) = prune(&repository).await;
    assert!(report.waiting > 0 && report.swept == 0, "{report:?}");

    let names = lock::in_force(&repository).await.unwrap();
    let condemned = &repository.history().condemned;
    for pack in condemned.keys() {
        let is_it = |name: &&String| name.ends_with(&pack.hex());
        assert!(before.iter().any(|name| is_it(&name)), "{pack} was in force");
        assert_eq!(names.iter().find(is_it), None, "neither the pack nor its parity");
    }
    assert!(names.contains("config") && names.iter().any(|name| name.starts_with("keys/")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("sessions/")), "{names:?}");

    let alone = Arc::new(InMemory::new());
    for name in names.iter().map(|name| Path::from(name.as_str())) {
        let bytes = fixture.store.get(&name).await.unwrap().bytes().await.unwrap();
        alone.put_opts(&name, bytes.into(), PutOptions::from(PutMode::Create)).await.unwrap();
    }
    assert_eq!(read_all(alone, &fixture.key).await, 1);
}
