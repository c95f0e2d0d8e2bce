//! Snapshots written by an enemy who holds a writer's key: names that lead elsewhere, links as directories, content that does not fit.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::symlink;

use crate::common::Place;
use crate::restoring::listing;
use jiff::Timestamp;
use strongroom_repository::tree::order;
use strongroom_repository::{
    Begin, Content, Entry, Extent, Kind, Manifest, ObjectId, Origin, SnapshotKind, Totals, TreeWriter,
};
use strongroom_worker::restore::{Outcome, ProblemKind, RestoreError, RestoreOptions};

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
        let begin = Begin { parent: None, started: Timestamp::UNIX_EPOCH, notes: None, uploads: NonZeroUsize::MIN };
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

/// The problems of a restore, and the names that it left in its target.
type Restored = (Vec<(String, ProblemKind)>, Vec<String>);

/// Restores a snapshot of these entries and checks that nothing got out of the target. What the repository's parser refuses already is not restored at all.
fn restore(entries: &[(&[u8], Entry)]) -> Result<Restored, RestoreError> {
    let place = Place::new();
    let outside = place.target("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(place.target("deep")).unwrap();
    symlink("../outside", place.target("deep/outside")).unwrap();
    let snapshot = snapshot(&place, entries);
    let before = listing(place.folder.path());
    let target = place.target("deep/target");
    let result = place.try_restore(snapshot, RestoreOptions::into_target(&target), |_| {});
    assert_eq!(listing(&outside), [""; 0]);
    let beside: Vec<String> = listing(&place.target("deep")).into_iter().filter(|name| name != "target").collect();
    assert_eq!((beside, listing(place.folder.path())), (vec!["outside".to_owned()], before));
    let report = result?;
    let problems = report.problems.into_iter().map(|problem| (problem.path, problem.kind)).collect();
    Ok((problems, listing(&target)))
}

#[test]
fn no_name_leads_out_of_the_target() {
    let bad: [(&[u8], &[u8]); 7] = [
        (b"", b".."),
        (b"", b"../escaped"),
        (b"", b"/escaped"),
        (b"a", b"."),
        (b"a", b"z\0"),
        (b"a/..", b"escaped"),
        (b"..", b"escaped"),
    ];
    for (directory, name) in bad {
        for kind in [Kind::File, Kind::Directory] {
            let evil = if kind == Kind::File { file(name, 4) } else { entry(name, kind) };
            let mut entries: Vec<(&[u8], Entry)> =
                vec![(b"", entry(b"a", Kind::Directory)), (b"a", file(b"good", 4)), (directory, evil)];
            entries.sort_by(|left, right| order::keys((left.0, &left.1.name), (right.0, &right.1.name)));
            match restore(&entries) {
                Ok((problems, names)) => {
                    assert_eq!(names, ["a"], "{name:?}");
                    assert!(problems.len() == 1 && problems[0].1 == ProblemKind::Malformed, "{problems:?}");
                }
                Err(error) => assert!(matches!(error, RestoreError::Repository(_)), "{error}"),
            }
        }
    }
}

#[test]
fn no_link_is_followed() {
    for target in ["/", "../outside", "..", "."] {
        let mut link = entry(b"link", Kind::Symlink);
        link.target = Some(target.as_bytes().to_vec());
        let entries: Vec<(&[u8], Entry)> = vec![
            (b"", file(b"good", 4)),
            (b"", link),
            (b"link", entry(b"directory", Kind::Directory)),
            (b"link", file(b"escaped", 4)),
            (b"link/directory", file(b"escaped", 4)),
        ];
        let (problems, names) = restore(&entries).unwrap();
        // A name that is a link and a directory at once can be only one of them: which one is no matter, as long as it is said.
        assert_eq!(problems, [("link".to_owned(), ProblemKind::Target)]);
        assert_eq!(names, ["good", "link"]);
    }
}

/// The disk is not to blame when the repository itself has other content than the snapshot says, so everything else is restored.
#[test]
fn a_file_whose_hash_is_a_lie_is_lost_alone() {
    let place = Place::new();
    let chunk = place.open().whole_chunk(&file(b"x", 4)).unwrap();
    for hardlink in [None, Some((1, 2))] {
        let mut liar = file(b"liar", 4);
        (liar.hash, liar.content, liar.hardlink) = (Some([7; 32]), Content::Chunks(vec![chunk]), hardlink);
        let snapshot = snapshot(&place, &[(b"", file(b"good", 4)), (b"", liar)]);
        let target = place.target(if hardlink.is_some() { "linked" } else { "target" });
        let report = place.restore(snapshot, RestoreOptions::into_target(&target));
        assert_eq!(report.problems.len(), 1);
        if hardlink.is_some() {
            assert_eq!((report.outcome, report.problems[0].kind), (Outcome::Failed, ProblemKind::Mismatch));
        } else {
            assert_eq!((report.outcome, report.problems[0].kind), (Outcome::Partial, ProblemKind::Malformed));
            assert_eq!(listing(&target), ["good"]);
        }
    }
}

#[test]
fn content_that_does_not_fit_its_file_is_not_restored() {
    let mut beyond = file(b"bad", 100);
    beyond.extents = Some(vec![Extent { offset: 98, length: 4 }]);
    let mut endless = file(b"bad", 1 << 62);
    endless.extents = Some(vec![Extent { offset: 0, length: 5 }]);
    let mut backwards = file(b"bad", 100);
    backwards.extents = Some(vec![Extent { offset: 50, length: 2 }, Extent { offset: 10, length: 2 }]);
    for bad in [beyond, endless, backwards, file(b"bad", 5), file(b"bad", 3)] {
        match restore(&[(b"", bad), (b"", file(b"good", 4))]) {
            Ok((problems, names)) => {
                assert_eq!(names, ["good"]);
                assert!(problems.len() == 1 && problems[0].0 == "bad", "{problems:?}");
            }
            Err(error) => assert!(matches!(error, RestoreError::Repository(_)), "{error}"),
        }
    }
}

/// A file that changed between the visits to two of its names: each comes back with what was read for it.
#[test]
fn names_of_one_file_with_other_content_are_not_linked() {
    let place = Place::new();
    let mut names = ["a", "b", "c"].map(|name| file(name.as_bytes(), 4));
    names.iter_mut().for_each(|name| name.hardlink = Some((1, 2)));
    (names[1].size, names[1].hash, names[1].content) = (0, Some(*blake3::hash(b"").as_bytes()), Content::None);
    let snapshot = snapshot(&place, &names.map(|name| (&b""[..], name)));
    let target = place.target("target");
    let report = place.restore(snapshot, RestoreOptions::into_target(&target));
    assert_eq!((report.outcome, report.counts.hard_links), (Outcome::Restored, 1), "{report:?}");
    let content = ["a", "b", "c"].map(|name| fs::read_to_string(target.join(name)).unwrap());
    assert_eq!(content, ["evil", "", "evil"]);
}
