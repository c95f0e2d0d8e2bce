use object_store::memory::InMemory;

use super::*;
use crate::store::{ErrorKind, kind};

const CONTENT: &[u8] = b"sixteen bytes...";

fn name() -> Path {
    Path::from("one")
}

/// A store with one object, and a plan for what follows.
async fn armed(fault: Fault, when: When, only: Option<Operation>) -> Faulty {
    let faulty = Faulty::new(Arc::new(InMemory::new()), Plan::NOTHING);
    faulty.put(&name(), CONTENT.into()).await.expect("put");
    faulty.arm(Plan { fault, when, only });
    faulty
}

async fn first(fault: Fault) -> Faulty {
    armed(fault, When::Nth(1), None).await
}

async fn content(store: &Faulty, name: &Path) -> Result<Bytes> {
    store.get(name).await?.bytes().await
}

#[tokio::test]
async fn an_error_before_has_no_effect_and_happens_once() {
    let store = first(Fault::ErrorBefore(Errno::TIMEDOUT)).await;
    let two = Path::from("two");
    let error = store.put(&two, CONTENT.into()).await.expect_err("planned");
    assert_eq!(kind(&error), ErrorKind::Transient);
    let error = content(&store, &two).await.expect_err("nothing was put");
    assert_eq!(kind(&error), ErrorKind::NotFound);
    let expect = Injected { ordinal: 1, operation: Operation::Put, name: "two".into() };
    assert_eq!(store.injected(), [expect]);
    store.put(&two, CONTENT.into()).await.expect("only the first fails");
    assert_eq!(store.operations(), 3);
}

#[tokio::test]
async fn an_error_after_has_its_effect() {
    let store = first(Fault::ErrorAfter(Errno::IO)).await;
    let two = Path::from("two");
    store.put(&two, CONTENT.into()).await.expect_err("planned");
    assert_eq!(content(&store, &two).await.expect("it was put"), CONTENT);
    store.arm(Plan { only: Some(Operation::Delete), ..store.with(|state| state.plan) });
    store.delete(&two).await.expect_err("planned");
    content(&store, &two).await.expect_err("it was deleted");
    assert_eq!(store.injected().len(), 1);
}

#[tokio::test]
async fn a_full_store_stays_full_but_can_be_read() {
    let store = armed(Fault::NoSpace, When::FromNth(2), None).await;
    let put = async |name: &str| store.put(&Path::from(name), CONTENT.into()).await;
    put("two").await.expect("there is space for one more");
    for name in ["three", "four"] {
        let error = put(name).await.expect_err("full");
        assert_eq!(kind(&error), ErrorKind::NoSpace);
    }
    assert_eq!(content(&store, &name()).await.expect("reads work"), CONTENT);
    let listed: Vec<_> = store.list(None).try_collect().await.expect("list");
    assert_eq!(listed.len(), 2);
}

#[tokio::test]
async fn a_lost_put_says_ok() {
    let store = first(Fault::LostPut).await;
    let two = Path::from("two");
    store.put(&two, CONTENT.into()).await.expect("so it says");
    let error = store.head(&two).await.expect_err("but nothing is there");
    assert_eq!(kind(&error), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_short_read_ends_early() {
    let store = first(Fault::ShortRead).await;
    assert_eq!(content(&store, &name()).await.expect("get"), CONTENT[..8]);
    store.arm(Plan { fault: Fault::ShortRead, when: When::Nth(1), only: None });
    let parts = store.get_ranges(&name(), &[0..4, 4..8]).await.expect("get");
    assert_eq!(parts, [&CONTENT[..4], &CONTENT[4..6]]);
}

#[tokio::test]
async fn one_bit_is_flipped() {
    let store = armed(Fault::FlippedBit, When::FromNth(1), None).await;
    for _ in 0..20 {
        let bytes = content(&store, &name()).await.expect("get");
        let flipped: u32 = bytes.iter().zip(CONTENT).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!((bytes.len(), flipped), (CONTENT.len(), 1));
    }
}

#[tokio::test]
async fn faults_keep_to_their_operation() {
    let store = armed(Fault::ErrorBefore(Errno::IO), When::FromNth(1), Some(Operation::List)).await;
    content(&store, &name()).await.expect("get");
    store.head(&name()).await.expect("head");
    store.list(None).try_collect::<Vec<_>>().await.expect_err("planned");
    store.list_with_delimiter(None).await.expect_err("planned");
    assert_eq!(store.operations(), 2);
}

#[tokio::test]
async fn a_listing_that_fails_after_still_lists() {
    let store = first(Fault::ErrorAfter(Errno::IO)).await;
    let items: Vec<_> = store.list(None).collect().await;
    assert_eq!(items.len(), 2);
    assert!(items[0].is_ok() && items[1].is_err());
}

/// Which of 1000 heads fail under this seed.
async fn failures(seed: u64) -> Vec<u64> {
    let one_in = NonZeroU64::new(10).expect("not zero");
    let when = When::Chance { one_in, seed };
    let store = armed(Fault::ErrorBefore(Errno::IO), when, None).await;
    for _ in 0..1000 {
        drop(store.head(&name()).await);
    }
    store.injected().iter().map(|fault| fault.ordinal).collect()
}

#[tokio::test]
async fn chance_is_fair_and_repeats() {
    let once = failures(7).await;
    assert!((60..140).contains(&once.len()), "{}", once.len());
    assert_eq!(once, failures(7).await);
    assert_ne!(once, failures(8).await);
}
