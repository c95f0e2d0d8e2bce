//! The lanes, given nodes that are no longer what the walk saw.

use std::ffi::CString;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use crate::common::{Place, noise};
use jiff::Timestamp;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use strongroom_repository::{Begin, Content, Kind, Time};
use strongroom_worker::capture::Outcome;
use strongroom_worker::filesystem::{Root, Stat};
use strongroom_worker::owners::Owners;
use strongroom_worker::progress::Progress;
use strongroom_worker::read::{Desk, Job, Pool, Target, Targets, run_lane};
use strongroom_worker::remarks::{Notice, Remark};
use strongroom_worker::state::Fingerprint;

fn stat(place: &Place, name: &str) -> Stat {
    let directory = std::fs::File::open(place.data()).unwrap();
    Stat::at(directory.as_fd(), &CString::new(name).unwrap()).unwrap()
}

/// Lets two lanes capture nodes of the data directory as the walk saw them.
fn capture(place: &Place, seen: &[(&str, Stat)]) -> Vec<Outcome> {
    let repository = place.open();
    let session = place
        .block_on(repository.begin(Begin {
            parent: None,
            started: Timestamp::UNIX_EPOCH,
            notes: None,
            uploads: NonZeroUsize::MIN,
        }))
        .unwrap();
    let root = Root::at(&place.root()).unwrap();
    let (owners, pool, progress) = (Owners::read(&place.root()), Pool::new(2), Progress::default());
    let desk = Desk {
        root: &root,
        repository: &repository,
        session: &session,
        owners: &owners,
        pool: &pool,
        progress: &progress,
        pace: &Default::default(),
        stop: &Default::default(),
    };
    let nodes = seen.iter().map(|(name, stat)| Target { name: CString::new(*name).unwrap(), stat: *stat }).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let lane = session.lane().unwrap();
            scope.spawn(move || run_lane(desk, lane).unwrap());
        }
        let id = pool.submit(Job::Nodes(vec![Targets { directory: Arc::from(&b"data"[..]), nodes }]));
        let outcomes = pool.wait(id).unwrap().unwrap();
        pool.close();
        outcomes
    })
}

fn is_vanished(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::LeftOut(Remark::Notice { notice: Notice::Vanished, .. }))
}

#[test]
fn what_is_gone_or_became_something_else_is_left_out() {
    let place = Place::new();
    let names = ["gone", "directory", "fifo", "link", "stays"];
    for name in names {
        place.write(name, name);
    }
    let seen = names.map(|name| (name, stat(&place, name)));
    names[..4].iter().for_each(|name| std::fs::remove_file(place.at(name)).unwrap());
    std::fs::create_dir(place.at("directory")).unwrap();
    mknodat(CWD, place.at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    symlink("stays", place.at("link")).unwrap();
    let outcomes = capture(&place, &seen);
    assert!(outcomes[..4].iter().all(is_vanished), "{outcomes:?}");
    assert!(matches!(&outcomes[4], Outcome::Captured(capture) if capture.entry.size == 5));
}

#[test]
fn a_file_that_changed_since_the_walk_is_kept_as_it_is_now() {
    let place = Place::new();
    // Small, large, and one that was small and became large.
    let sizes = [("small", 100, 200), ("large", 90_000, 50_000), ("grown", 10, 70_000)];
    let mut seen = Vec::new();
    for (name, before, _) in sizes {
        place.write(name, noise(1, before));
        seen.push((name, stat(&place, name)));
    }
    for (name, _, after) in sizes {
        place.write(name, noise(2, after));
        std::fs::set_permissions(place.at(name), std::fs::Permissions::from_mode(0o611)).unwrap();
    }
    for (outcome, (name, _, size)) in capture(&place, &seen).iter().zip(sizes) {
        let Outcome::Captured(capture) = outcome else { panic!("{name}: {outcome:?}") };
        assert_eq!((capture.entry.size, capture.entry.mode), (size as u64, 0o611), "{name}");
        assert_eq!(capture.entry.hash, Some(*blake3::hash(&noise(2, size)).as_bytes()), "{name}");
        assert_eq!(capture.fingerprint, Fingerprint::of(&stat(&place, name)), "{name}");
        assert!(!capture.entry.consistency.torn && capture.remarks.is_empty());
    }
}

#[test]
fn a_directory_keeps_its_entry_though_it_is_gone() {
    let place = Place::new();
    std::fs::create_dir(place.at("inner")).unwrap();
    let seen = [("inner", stat(&place, "inner"))];
    std::fs::remove_dir(place.at("inner")).unwrap();
    for and_its_parent in [false, true] {
        if and_its_parent {
            std::fs::rename(place.data(), place.root().join("elsewhere")).unwrap();
        }
        let outcomes = capture(&place, &seen);
        let [Outcome::Captured(capture)] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert_eq!((capture.entry.kind, capture.remarks.len()), (Kind::Directory, 1));
    }
}

#[test]
fn the_longest_and_the_strangest_are_read_like_any_other() {
    let place = Place::new();
    let long = "n".repeat(255);
    place.write(&long, "long");
    place.write("one\nline", "newline");
    place.write("exactly", noise(3, 8192));
    let file = std::fs::File::create(place.at("times")).unwrap();
    let far = rustix::fs::Timespec { tv_sec: 1 << 33, tv_nsec: 999_999_999 };
    rustix::fs::futimens(&file, &rustix::fs::Timestamps { last_access: far, last_modification: far }).unwrap();
    let seen = [&long[..], "one\nline", "exactly", "times"].map(|name| (name, stat(&place, name)));
    let outcomes = capture(&place, &seen);
    let entries: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| if let Outcome::Captured(capture) = outcome { Some(&capture.entry) } else { None })
        .collect();
    assert_eq!(entries.len(), 4);
    assert_eq!((&entries[0].content, entries[0].name.len()), (&Content::Whole, 255));
    assert_eq!(entries[1].hash, Some(*blake3::hash(b"newline").as_bytes()));
    assert_eq!(entries[2].size, 8192);
    assert_eq!(entries[3].mtime, Time { seconds: 1 << 33, nanoseconds: 999_999_999 });
}
