//! The promises, one function each. They need an empty store and leave it as it is.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, Result};
use strongroom_repository::store::{self, Commits, ErrorKind, kind};

use crate::Store;

const MIB: usize = 1 << 20;

/// Bytes of which no two ranges are alike, different for each `seed`.
pub(crate) fn pattern(seed: u32, size: usize) -> Bytes {
    let word = |index: u32| (index.wrapping_add(seed.wrapping_mul(77_777_777))).wrapping_mul(0x9E37_79B1);
    let mut bytes: Vec<u8> = (0..size.div_ceil(4) as u32).flat_map(|index| word(index).to_le_bytes()).collect();
    bytes.truncate(size);
    bytes.into()
}

pub(crate) async fn create(store: &dyn ObjectStore, name: &str, content: impl Into<PutPayload>) -> Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&Path::from(name), content.into(), options).await.map(drop)
}

pub(crate) async fn content(store: &dyn ObjectStore, name: &str) -> Result<Bytes> {
    store.get(&Path::from(name)).await?.bytes().await
}

/// Names and sizes below a folder, sorted.
pub(crate) async fn listed(store: &dyn ObjectStore, folder: Option<&str>) -> Vec<(String, u64)> {
    let folder = folder.map(Path::from);
    let objects: Vec<_> = store.list(folder.as_ref()).try_collect().await.expect("list");
    let mut names: Vec<_> = objects.into_iter().map(|object| (object.location.to_string(), object.size)).collect();
    names.sort();
    names
}

async fn range_by_list(store: &dyn ObjectStore, name: &Path, range: Range<u64>) -> Result<Bytes> {
    let mut parts = store.get_ranges(name, std::slice::from_ref(&range)).await?;
    assert_eq!(parts.len(), 1);
    Ok(parts.remove(0))
}

fn check_kind<T: std::fmt::Debug>(result: Result<T>, expect: ErrorKind) {
    let error = result.expect_err("must fail");
    assert_eq!(kind(&error), expect, "{error}");
}

/// Without this the futures of one task would take turns rather than race.
async fn in_parallel<T: Send + 'static>(
    count: u32,
    run: impl AsyncFnOnce(u32) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let run = run.clone();
            let handle = tokio::runtime::Handle::current();
            std::thread::spawn(move || handle.block_on(run(number)))
        })
        .collect();
    tokio::task::block_in_place(|| threads.into_iter().map(|thread| thread.join().expect("thread")).collect())
}

pub(crate) async fn racers_have_one_winner(store: &Store) {
    for size in [100, 3 * MIB + 5] {
        let name = format!("commits/{size}");
        let racers = {
            let (store, name) = (Arc::clone(store), name.clone());
            async move |racer: u32| create(&store, &name, pattern(racer, size)).await
        };
        let results = in_parallel(16, racers).await;
        let winners: Vec<u32> =
            (0..).zip(&results).filter(|(_, result)| result.is_ok()).map(|(racer, _)| racer).collect();
        let [winner] = winners[..] else { panic!("winners: {winners:?} of {results:?}") };
        results.into_iter().filter(Result::is_err).for_each(|lost| check_kind(lost, ErrorKind::AlreadyExists));
        assert_eq!(content(store, &name).await.expect("get"), pattern(winner, size));
    }
    assert_eq!(listed(store, None).await.len(), 2);
}

pub(crate) async fn parallel_puts_all_arrive(store: &Store) {
    let name = |number: u32| format!("packs/{:02x}/{number}", number % 5);
    let put = {
        let store = Arc::clone(store);
        async move |number: u32| create(&store, &name(number), pattern(number, 10_000 * number as usize)).await
    };
    in_parallel(40, put).await.into_iter().collect::<Result<()>>().expect("puts");
    for number in 0..40 {
        let expect = pattern(number, 10_000 * number as usize);
        assert!(content(store, &name(number)).await.expect("get") == expect, "{number}");
    }
    assert_eq!(listed(store, None).await.len(), 40);
}

pub(crate) async fn existing_objects_stay(store: &Store) {
    create(store, "config", "old").await.expect("put");
    check_kind(create(store, "config", "new and longer").await, ErrorKind::AlreadyExists);
    check_kind(create(store, "config", pattern(1, 2 * MIB)).await, ErrorKind::AlreadyExists);
    check_kind(create(store, "config", "").await, ErrorKind::AlreadyExists);
    assert_eq!(content(store, "config").await.expect("get"), "old");
    assert_eq!(listed(store, None).await, [("config".to_owned(), 3)]);
}

pub(crate) async fn ranges_are_honoured(store: &Store) {
    let all = pattern(1, 5 * MIB + 77);
    create(store, "packs/aa/one", all.clone()).await.expect("put");
    let name = Path::from("packs/aa/one");
    let size = all.len();
    let ranges = [
        0..1,
        0..4096,
        1..4097,
        4095..4096,
        100..MIB,
        0..MIB,
        1..MIB + 1,
        4096..3 * MIB,
        4097..3 * MIB + 1,
        MIB..size,
        size - 1..size,
        size - 5000..size,
        0..size,
    ];
    for range in ranges {
        let found = store.get_range(&name, range.start as u64..range.end as u64).await.expect("range");
        assert!(found == all[range.clone()], "{range:?}");
    }
    for suffix in [1, 40, 4096, 2 * MIB + 3, size, size + 100] {
        let options = GetOptions::new().with_range(Some(GetRange::Suffix(suffix as u64)));
        let result = store.get_opts(&name, options).await.expect("suffix");
        let start = size.saturating_sub(suffix);
        assert_eq!(result.range, start as u64..size as u64);
        assert!(result.bytes().await.expect("suffix") == all[start..], "suffix {suffix}");
    }
    let options = GetOptions::new().with_range(Some(GetRange::Offset(MIB as u64 + 1)));
    let found = store.get_opts(&name, options).await.expect("offset").bytes().await.expect("offset");
    assert!(found == all[MIB + 1..]);
}

pub(crate) async fn several_ranges_at_once(store: &Store) {
    let all = pattern(2, 4 * MIB);
    create(store, "one", all.clone()).await.expect("put");
    // Out of order, overlapping, adjacent, small among large.
    let ranges: [Range<usize>; 6] = [3 * MIB..4 * MIB, 5..10, 7..2 * MIB, 10..11, 11..12, 0..4 * MIB];
    let asked = ranges.clone().map(|range| range.start as u64..range.end as u64);
    let found = store.get_ranges(&Path::from("one"), &asked).await.expect("ranges");
    assert_eq!(found.len(), ranges.len());
    for (range, found) in ranges.into_iter().zip(found) {
        assert!(found == all[range.clone()], "{range:?}");
    }
    assert!(store.get_ranges(&Path::from("one"), &[]).await.expect("none").is_empty());
}

pub(crate) async fn ranges_past_the_end(store: &Store) {
    for size in [1000, 2 * MIB + 10] {
        let name = Path::from(format!("of-{size}"));
        let all = pattern(3, size);
        create(store, name.as_ref(), all.clone()).await.expect("put");
        let end = size as u64;
        for start in [0, end - 1] {
            let found = store.get_range(&name, start..end + 5000).await.expect("cut at the end");
            assert!(found == all[start as usize..], "{start}");
            let found = range_by_list(store, &name, start..end + 5000).await.expect("cut at the end");
            assert!(found == all[start as usize..], "{start}");
        }
        for start in [end, end + 1, end + 10_000_000] {
            store.get_range(&name, start..start + 10).await.expect_err("nothing is there");
            range_by_list(store, &name, start..start + 10).await.expect_err("nothing is there");
        }
    }
}

pub(crate) async fn empty_objects(store: &Store) {
    create(store, "empty", "").await.expect("put");
    assert!(content(store, "empty").await.expect("get").is_empty());
    assert_eq!(store.head(&Path::from("empty")).await.expect("head").size, 0);
    assert_eq!(listed(store, None).await, [("empty".to_owned(), 0)]);
    check_kind(create(store, "empty", "more").await, ErrorKind::AlreadyExists);
}

/// Larger than a pack, not a multiple of anything, and put in uneven pieces.
pub(crate) async fn a_large_object(store: &Store) {
    let all = pattern(4, 70 * MIB + 12_345);
    let cuts = [0, 1, 1, 5000, 3 * MIB, 5 * MIB + 1, 69 * MIB, all.len()];
    let parts: PutPayload = cuts.windows(2).map(|cut| all.slice(cut[0]..cut[1])).collect();
    create(store, "packs/ff/large", parts).await.expect("put");
    assert!(content(store, "packs/ff/large").await.expect("get") == all);

    let stream = store.get(&Path::from("packs/ff/large")).await.expect("get").into_stream();
    let pieces: Vec<Bytes> = stream.try_collect().await.expect("stream");
    let sizes: usize = pieces.iter().map(Bytes::len).sum();
    assert_eq!(sizes, all.len());

    let range = 8 * MIB as u64 + 1..60 * MIB as u64;
    let middle = store.get_range(&Path::from("packs/ff/large"), range).await.expect("range");
    assert!(middle == all[8 * MIB + 1..60 * MIB]);
}

pub(crate) async fn heads_tell_the_size(store: &Store) {
    create(store, "keys/one", pattern(5, 4321)).await.expect("put");
    let head = store.head(&Path::from("keys/one")).await.expect("head");
    assert_eq!((head.size, head.location.as_ref()), (4321, "keys/one"));
    let listed: Vec<_> = store.list(None).try_collect().await.expect("list");
    // Over HTTP a head tells whole seconds, and a listing more.
    assert_eq!(listed[0].last_modified.timestamp(), head.last_modified.timestamp());
    let options = GetOptions::new().with_if_none_match(head.e_tag.clone());
    assert!(matches!(
        store.get_opts(&Path::from("keys/one"), options).await,
        Err(object_store::Error::NotModified { .. })
    ));
}

/// Some objects, two levels deep.
async fn populate(store: &Store) {
    for name in ["config", "index/aa", "index/ab", "packs/00/00a", "packs/00/00b", "packs/ff/ff0", "packs0"] {
        create(store, name, name.to_owned()).await.expect("put");
    }
}

fn names(names: &[&str]) -> Vec<(String, u64)> {
    names.iter().map(|&name| (name.to_owned(), name.len() as u64)).collect()
}

pub(crate) async fn listings_keep_to_their_folder(store: &Store) {
    assert!(listed(store, None).await.is_empty());
    assert!(listed(store, Some("packs")).await.is_empty());
    populate(store).await;
    let all = ["config", "index/aa", "index/ab", "packs/00/00a", "packs/00/00b", "packs/ff/ff0", "packs0"];
    assert_eq!(listed(store, None).await, names(&all));
    assert_eq!(listed(store, Some("packs")).await, names(&all[3..6]));
    assert_eq!(listed(store, Some("packs/00")).await, names(&all[3..5]));
    // A folder, not the beginning of a name.
    assert_eq!(listed(store, Some("packs/0")).await, []);
    assert_eq!(listed(store, Some("config")).await, []);
    assert_eq!(listed(store, Some("absent/folder")).await, []);
}

pub(crate) async fn listings_one_level_deep(store: &Store) {
    populate(store).await;
    let check = async |folder: Option<&str>, folders: &[&str], objects: &[&str]| {
        let found = store.list_with_delimiter(folder.map(Path::from).as_ref()).await.expect("list");
        let mut found_folders: Vec<_> = found.common_prefixes.iter().map(Path::as_ref).collect();
        let mut found_objects: Vec<_> = found.objects.iter().map(|object| object.location.as_ref()).collect();
        found_folders.sort_unstable();
        found_objects.sort_unstable();
        assert_eq!((&found_folders[..], &found_objects[..]), (folders, objects), "{folder:?}");
    };
    check(None, &["index", "packs"], &["config", "packs0"]).await;
    check(Some("packs"), &["packs/00", "packs/ff"], &[]).await;
    check(Some("packs/00"), &[], &["packs/00/00a", "packs/00/00b"]).await;
    check(Some("absent"), &[], &[]).await;
}

pub(crate) async fn listings_from_a_name_on(store: &Store) {
    populate(store).await;
    let offset = Path::from("index/ab");
    let found: Vec<_> = store.list_with_offset(None, &offset).try_collect().await.expect("list");
    let mut found: Vec<_> = found.iter().map(|object| object.location.as_ref()).collect();
    found.sort_unstable();
    assert_eq!(found, ["packs/00/00a", "packs/00/00b", "packs/ff/ff0", "packs0"]);
    let packs = Path::from("packs");
    let offset = Path::from("packs/00/00a");
    let found: Vec<_> = store.list_with_offset(Some(&packs), &offset).try_collect().await.expect("list");
    assert_eq!(found.len(), 2);
}

pub(crate) async fn absent_objects(store: &Store) {
    populate(store).await;
    for name in ["absent", "absent/folder/name", "index/absent", "packs/00", "packs"] {
        let path = Path::from(name);
        check_kind(store.get(&path).await.map(drop), ErrorKind::NotFound);
        check_kind(store.head(&path).await, ErrorKind::NotFound);
        check_kind(store.get_range(&path, 0..10).await, ErrorKind::NotFound);
        check_kind(range_by_list(store, &path, 0..10).await, ErrorKind::NotFound);
    }
}

pub(crate) async fn deletions(store: &Store) {
    populate(store).await;
    store.delete(&Path::from("absent")).await.expect("what is absent is deleted");
    store.delete(&Path::from("absent/folder/name")).await.expect("what is absent is deleted");
    store.delete(&Path::from("config")).await.expect("delete");
    check_kind(content(store, "config").await, ErrorKind::NotFound);
    create(store, "config", "anew").await.expect("the name is free again");

    let doomed: Vec<_> = ["packs/00/00a", "packs/absent", "packs/ff/ff0"].map(Path::from).into();
    let stream = Box::pin(futures::stream::iter(doomed.clone().into_iter().map(Ok)));
    let deleted: Vec<Path> = store.delete_stream(stream).try_collect().await.expect("deletions");
    assert_eq!(deleted, doomed);
    assert_eq!(listed(store, Some("packs")).await, names(&["packs/00/00b"]));
}

/// By our own stores; one that is made elsewhere may offer more than is used.
pub(crate) async fn what_is_not_offered_is_refused(store: &Store) {
    if store.to_string() == "InMemory" {
        return;
    }
    create(store, "one", "content").await.expect("put");
    let (one, two) = (Path::from("one"), Path::from("two"));
    let refused = |result: Result<()>| match result {
        Err(object_store::Error::NotSupported { source }) => {
            assert!(source.to_string().contains("does not"), "{source}")
        }
        other => panic!("not refused: {other:?}"),
    };
    refused(store.copy(&one, &two).await);
    refused(store.copy_if_not_exists(&one, &two).await);
    refused(store.rename(&one, &two).await);
    refused(store.rename_if_not_exists(&one, &two).await);
    refused(store.put_multipart(&two).await.map(drop));
    assert_eq!(listed(store, None).await, [("one".to_owned(), 7)]);
}

pub(crate) async fn the_probe_is_content(store: &Store) {
    let (one, two) = tokio::join!(store::probe(store), store::probe(store));
    for report in [one, two] {
        assert!(report.is_clean(), "{report:#?}");
        assert_eq!(report.commits, Commits::Race);
    }
    assert_eq!(listed(store, None).await, []);
}

/// Lanes of the engine are threads, which wait for the store through the runtime's handle.
pub(crate) async fn plain_threads_may_call(store: &Store) {
    let run = {
        let store = Arc::clone(store);
        async move |number: u32| {
            let name = format!("index/{number}");
            create(&store, &name, pattern(number, MIB + 1)).await.expect("put");
            let range = range_by_list(&store, &Path::from(name.as_str()), 1..9).await.expect("get");
            store.head(&Path::from(name.as_str())).await.expect("head");
            let listed = listed(&store, Some("index")).await.len();
            (range, listed > 0)
        }
    };
    for (number, result) in (0..).zip(in_parallel(4, run).await) {
        assert_eq!(result, (pattern(number, MIB + 1).slice(1..9), true));
    }
}

pub(crate) async fn plain_threads_may_delete(store: &Store) {
    let run = {
        let store = Arc::clone(store);
        async move |number: u32| {
            let name = format!("index/{number}");
            create(&store, &name, pattern(number, 100)).await.expect("put");
            let deleted = join_all([store.delete(&Path::from(name.as_str()))]).await;
            deleted.iter().all(Result::is_ok)
        }
    };
    assert_eq!(in_parallel(4, run).await, [true; 4]);
}
