//! Snapshots written by an enemy who holds a writer's key: names that lead elsewhere, links as directories, content that does not fit.

mod common;
mod restoring;

use std::collections::{BTreeMap, HashSet};
use std::fs;

use common::Place;
use jiff::Timestamp;
use restoring::listing;
use strongroom_repository::{
    Begin, Content, Entry, Extent, Kind, Manifest, ObjectId, Origin, SnapshotKind, Totals, TreeWriter,
};
use strongroom_worker::restore::{Outcome, ProblemKind, RestoreOptions};

fn entry(name: &[u8], kind: Kind) -> Entry {
    let mut entry = Entry::new(name.to_vec(), kind);
    entry.mode = 0o755;
    entry
}

fn file(name: &[u8], size: u64) -> Entry {
    let mut file = entry(name, Kind::File);
    (file.size, file.hash, file.content) = (size, Some(*blake3::hash(b"evil").as_bytes()), Content::Whole);
    file
}

fn manifest() -> Manifest {
    Manifest {
        host: "h".into(),
        time: Timestamp::UNIX_EPOCH,
        finished: Timestamp::UNIX_EPOCH,
        kind: SnapshotKind::Full,
        sources: vec!["/".into()],
        tags: BTreeMap::new(),
        root: None,
        parent: None,
        program: "test".into(),
        totals: Totals::default(),
        problems: Vec::new(),
    }
}

/// Stores a snapshot of exactly these entries.
fn snapshot(place: &Place, entries: &[(&[u8], Entry)]) -> ObjectId {
    let repository = place.open();
    place.block_on(async {
        let begin = Begin { parent: None, started: Timestamp::UNIX_EPOCH };
        let session = repository.begin(begin).await.unwrap();
        let tree = tokio::task::block_in_place(|| {
            let mut lane = session.lane().unwrap();
            lane.add_whole(b"evil").unwrap();
            lane.flush().unwrap();
            let mut tree = TreeWriter::new(session.clone(), HashSet::new(), |_, _| {});
            entries.iter().for_each(|(directory, entry)| tree.push(directory, entry, Origin::Fresh).unwrap());
            tree.finish().unwrap()
        });
        session.commit(tree, manifest()).await.unwrap().snapshot
    })
}

#[test]
fn no_name_and_no_link_leads_out_of_the_target() {
    let place = Place::new();
    let outside = place.target("outside");
    fs::create_dir(&outside).unwrap();
    let mut link = entry(b"link", Kind::Symlink);
    link.target = Some(outside.as_os_str().as_encoded_bytes().to_vec());
    let mut to_above = entry(b"up", Kind::Symlink);
    to_above.target = Some(b"../..".to_vec());
    let entries: Vec<(&[u8], Entry)> = vec![
        (b"", entry(b"..", Kind::Directory)),
        (b"", file(b"../escaped", 4)),
        (b"", entry(b"a", Kind::Directory)),
        (b"", file(b"good", 4)),
        (b"", link),
        (b"", to_above),
        (b"..", file(b"escaped", 4)),
        (b"a", file(b".", 4)),
        (b"a", file(b"zero\0byte", 4)),
        (b"a/..", file(b"escaped", 4)),
        (b"link", file(b"escaped", 4)),
        (b"up", file(b"escaped", 4)),
    ];
    let snapshot = snapshot(&place, &entries);
    let before = listing(place.folder.path());
    let report = place.restore(snapshot, RestoreOptions::into_target(place.target("deep/target")));
    assert_eq!(report.outcome, Outcome::Partial);
    let mut found: Vec<_> = report.problems.iter().map(|problem| (problem.path.as_str(), problem.kind)).collect();
    found.sort_by_key(|(path, _)| *path);
    let (malformed, target) = (ProblemKind::Malformed, ProblemKind::Target);
    let expect = [
        ("..", malformed),
        ("../escaped", malformed),
        ("../escaped", malformed),
        ("a/.", malformed),
        ("a/../escaped", malformed),
        ("a/zero\\x00byte", malformed),
        ("link/escaped", target),
        ("up/escaped", target),
    ];
    assert_eq!(found, expect);
    assert_eq!(listing(&outside), [""; 0]);
    assert_eq!(listing(&place.target("deep")), ["target"]);
    assert_eq!(listing(&place.target("deep/target")), ["a", "good", "link", "up"]);
    let mut now = listing(place.folder.path());
    now.retain(|name| name != "deep");
    assert_eq!(now, before);
    assert_eq!(fs::read(place.target("deep/target/good")).unwrap(), b"evil");
}

#[test]
fn content_that_does_not_fit_its_file_is_not_restored() {
    let place = Place::new();
    let mut beyond = file(b"beyond", 100);
    beyond.extents = Some(vec![Extent { offset: 98, length: 4 }]);
    let mut endless = file(b"endless", 1 << 62);
    endless.extents = Some(vec![Extent { offset: 0, length: 5 }]);
    let mut unknown = file(b"unknown", 4);
    unknown.hash = Some([9; 32]);
    let entries: Vec<(&[u8], Entry)> =
        vec![(b"", beyond), (b"", endless), (b"", file(b"good", 4)), (b"", file(b"too-long", 5))];
    let report = place.restore(snapshot(&place, &entries), RestoreOptions::into_target(place.target("target")));
    let problems: Vec<_> = report.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(problems, ["beyond", "endless", "too-long"]);
    assert_eq!(listing(&place.target("target")), ["good"]);
}
