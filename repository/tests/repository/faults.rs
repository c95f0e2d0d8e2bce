//! Every I/O of a backup fails once: what was visible before stays whole, nothing half appears, and the next run succeeds.

use std::sync::Arc;

use crate::common::{Fixture, back_up, open_fresh, read_everything, try_back_up};
use object_store::ObjectStore;
use rustix::io::Errno;
use strongroom_repository::store::{Fault, Faulty, Plan, Recording, When};
use strongroom_repository::{ErrorKind, check};

/// How many operations a second backup makes on the store.
async fn operations_of_a_backup() -> u64 {
    let fixture = Fixture::new().await;
    back_up(&fixture.open().await, 100).await;
    let recording = Arc::new(Recording::new(fixture.store.clone() as Arc<dyn ObjectStore>));
    let (repository, _cache) = open_fresh(recording.clone(), &fixture.key).await.unwrap();
    back_up(&repository, 200).await;
    let record = recording.snapshot();
    [record.get, record.put, record.list, record.head, record.delete].iter().map(|tally| tally.calls).sum()
}

async fn after_a_fault(fixture: &Fixture, succeeded: bool, context: &str) {
    let (repository, _cache) = open_fresh(fixture.store.clone(), &fixture.key).await.unwrap();
    let snapshots = read_everything(&repository).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(
        snapshots == 2 || (snapshots == 1 && !succeeded),
        "{context}: {snapshots} snapshots, succeeded: {succeeded}"
    );
    back_up(&repository, 200).await;
    assert_eq!(read_everything(&repository).await.unwrap(), snapshots + 1, "{context}");
    let report = check::run(&repository, check::Depth::ReadData, Arc::default()).await.unwrap();
    assert!(report.is_sound(), "{context}: {report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_operation_may_fail_once() {
    let operations = operations_of_a_backup().await;
    assert!(operations > 10, "only {operations} operations");
    for fault in [
        Fault::ErrorBefore(Errno::IO),
        Fault::ErrorAfter(Errno::IO),
        Fault::NoSpace,
        Fault::ShortRead,
        Fault::FlippedBit,
    ] {
        for number in 1..=operations {
            let fixture = Fixture::new().await;
            back_up(&fixture.open().await, 100).await;
            let faulty = Faulty::new(
                fixture.store.clone() as Arc<dyn ObjectStore>,
                Plan { fault, when: When::Nth(number), only: None },
            );
            let context = format!("{fault:?} at operation {number} of {operations}");
            let outcome = match open_fresh(Arc::new(faulty), &fixture.key).await {
                Ok((repository, _cache)) => try_back_up(&repository, 200).await.map(|_| ()),
                Err(error) => Err(error),
            };
            if let (Err(error), Fault::NoSpace) = (&outcome, fault) {
                assert!(matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::Other), "{context}: {error:?}");
            }
            if let (Err(error), Fault::FlippedBit) = (&outcome, fault) {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{context}: {error:?}");
            }
            after_a_fault(&fixture, outcome.is_ok(), &context).await;
        }
    }
}
