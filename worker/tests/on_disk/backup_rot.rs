//! Backups into a repository in which something rotted: what is condemned is read and stored again, and nothing else is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Place, noise};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_repository::Parameters;
use strongroom_repository::rebuild::Act;
use strongroom_repository::scrub::{Ledger, Scrub, ScrubOptions, ScrubReport, Step};

/// Files in two folders, each of more entries than a leaf ever holds, with content that fills packs of its own.
const FILES: usize = 2500;

fn names(place: &Place, folder: &str) -> BTreeSet<Path> {
    let folder = Path::from(folder);
    let listed = place.store.list(Some(&folder)).map_ok(|meta| meta.location);
    place.block_on(listed.try_collect()).unwrap()
}

async fn scrub(place: &Place) -> ScrubReport {
    let options = ScrubOptions {
        bytes: None,
        time: None,
        every: Duration::from_secs(1 << 20),
        now: jiff::Timestamp::now(),
        by: "test".into(),
        act: Act::ForReal,
    };
    let mut scrub = Scrub::begin(place.open_async().await, Ledger::default(), options).await.unwrap();
    while scrub.go_on(Duration::from_secs(1)).await.unwrap() == Step::More {}
    scrub.finish().await.unwrap().0
}

#[test]
fn what_is_condemned_is_read_again_and_nothing_else() {
    // Without parity, so that the packs are all that there is of their frames.
    let place = Place::with(Parameters { parity_percent: 0, ..Parameters::small() });
    for number in 0..FILES {
        place.write(&format!("a/{number}"), noise(number as u64, 300));
    }
    place.backup();
    let old_packs = names(&place, "packs");
    for number in 0..FILES {
        place.write(&format!("b/{number}"), noise((FILES + number) as u64, 300));
    }
    let second = place.backup();
    let unchanged = place.backup();
    assert_eq!(unchanged.report.totals.bytes_read, 0, "there is nothing to read");

    let rotten = names(&place, "packs").into_iter().find(|name| !old_packs.contains(name)).unwrap();
    place.block_on(async {
        let store = Arc::clone(&place.store);
        let mut bytes = store.get(&rotten).await.unwrap().bytes().await.unwrap().to_vec();
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        store.delete(&rotten).await.unwrap();
        store.put_opts(&rotten, bytes.into(), object_store::PutMode::Create.into()).await.unwrap();
    });
    let found = place.block_on(scrub(&place));
    assert_eq!(found.condemned.len(), 1, "{found:?}");
    assert!(found.affected.iter().all(|lost| lost.path.contains("/b/")) && !found.affected.is_empty());

    let healed = place.backup();
    assert!(healed.used_state(), "the state is of use all the same");
    let read = healed.report.totals.bytes_read;
    let of_b = (FILES * 300) as u64;
    let lost = found.affected.iter().map(|lost| &lost.path).collect::<BTreeSet<_>>().len() as u64 * 300;
    assert!((lost..=of_b + of_b / 2).contains(&read), "{read} bytes read, {lost} lost, {of_b} in the folder");
    assert_eq!(place.read_back(healed.report.snapshot).len(), 2 * FILES + 3);
    assert_eq!(place.read_back(second.report.snapshot).len(), 2 * FILES + 3, "the older one has its chunks again");
    assert!(place.block_on(scrub(&place)).affected.is_empty());

    let packs = names(&place, "packs");
    let again = place.backup();
    assert_eq!(again.report.totals.bytes_read, 0, "it is healed: nothing is read again");
    assert_eq!(names(&place, "packs"), packs);
}
