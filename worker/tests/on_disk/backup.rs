//! Backups of real directories: what is kept, what is read again, what is said.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use crate::common::{self, Place, noise};
use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, mknodat, setxattr, utimensat};
use strongroom_repository::store::{Fault, Operation, Plan as FaultPlan, When};
use strongroom_repository::{Content, Kind, Parameters, SnapshotKind, Time};
use strongroom_worker::backup::{BackupError, Input, Outcome};
use strongroom_worker::exclude::Excludes;
use strongroom_worker::remarks::Notice;

#[test]
fn everything_that_an_entry_keeps_comes_back() {
    let place = Place::new();
    place.write("plain", "content");
    place.write("empty", "");
    place.write("deep/er/file", noise(1, 3000));
    std::fs::set_permissions(place.at("plain"), std::fs::Permissions::from_mode(0o4751)).unwrap();
    symlink("../nowhere", place.at("link")).unwrap();
    mknodat(CWD, place.at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let name = PathBuf::from(std::ffi::OsStr::from_bytes(b"\xc5\xcc\xbd\xe1 \xff"));
    std::fs::write(place.data().join(&name), "raw").unwrap();
    place.write("\u{653f}\u{52a1}", "utf8");
    setxattr(place.at("plain"), "user.b", b"2", XattrFlags::empty()).unwrap();
    setxattr(place.at("plain"), "user.a", b"\0\xff", XattrFlags::empty()).unwrap();
    setxattr(place.at("deep"), "user.dir", b"d", XattrFlags::empty()).unwrap();
    let old = Timespec { tv_sec: -1_000_000_007, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: old, last_modification: old };
    utimensat(CWD, place.at("plain"), &times, rustix::fs::AtFlags::empty()).unwrap();

    std::fs::create_dir(place.root().join("etc")).unwrap();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    std::fs::write(place.root().join("etc/passwd"), format!("me:x:{uid}:{gid}::/:\n")).unwrap();
    std::fs::write(place.root().join("etc/group"), format!("us:x:{gid}:\n")).unwrap();

    let run = place.backup();
    assert_eq!(run.report.outcome, Outcome::Complete);
    let found = place.read_back(run.report.snapshot);
    let entry = |path: &str| &found[path].0;
    assert_eq!(found["plain"].1, b"content");
    assert_eq!(entry("plain").mode, 0o4751);
    assert_eq!(entry("plain").mtime, Time { seconds: -1_000_000_007, nanoseconds: 123_456_789 });
    assert_eq!(entry("plain").xattrs, [(b"user.a".to_vec(), b"\0\xff".to_vec()), (b"user.b".to_vec(), b"2".to_vec())]);
    assert_eq!(entry("deep").xattrs, [(b"user.dir".to_vec(), b"d".to_vec())]);
    assert_eq!((entry("empty").size, &entry("empty").content), (0, &Content::None));
    assert_eq!(found["deep/er/file"].1, noise(1, 3000));
    assert_eq!((entry("link").kind, entry("link").target.as_deref()), (Kind::Symlink, Some(&b"../nowhere"[..])));
    assert_eq!((entry("fifo").kind, entry("fifo").mode), (Kind::Fifo, 0o400));
    assert_eq!(found["\\xc5̽\\xe1 \\xff"].1, b"raw");
    assert_eq!(found["\u{653f}\u{52a1}"].1, b"utf8");
    let real = std::fs::metadata(place.at("plain")).unwrap();
    assert_eq!((entry("plain").uid, entry("plain").gid), (real.uid(), real.gid()));
    assert_eq!((&*entry("plain").user, &*entry("plain").group), ("me", "us"));
    assert!(entry("plain").birth.is_some() || std::fs::metadata(place.at("plain")).unwrap().created().is_err());
    let totals = run.report.totals;
    let counted = found.values().filter(|(entry, _)| entry.kind == Kind::File).count() as u64;
    assert_eq!((totals.files, totals.others, totals.files_changed), (counted, 2, counted));
    assert_eq!(totals.bytes, found.values().map(|(entry, _)| entry.size).sum::<u64>());
    assert_eq!(totals.bytes_read, totals.bytes);
}

#[test]
fn the_directories_on_the_way_are_entries_too() {
    let place = Place::new();
    place.write("way/to/source/file", "x");
    place.write("way/other", "y");
    let run = place.run(common::Plan { sources: vec!["/data/way/to/source".into()], ..place.plan() }).unwrap();
    let all = place.read_all(run.report.snapshot);
    let paths: Vec<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(paths, ["data", "data/way", "data/way/to", "data/way/to/source", "data/way/to/source/file"]);
    for path in &paths[..4] {
        let real = std::fs::metadata(place.root().join(path)).unwrap();
        assert_eq!((all[*path].0.kind, all[*path].0.mode), (Kind::Directory, real.mode() & 0o7777));
    }
}

#[test]
fn acls_capabilities_flags_and_devices_are_kept() {
    let place = Place::new();
    place.write("file", "x");
    place.write("ping", "x");
    // Version 2; owner rwx, user 1000 r--, group r--, mask r--, other ---.
    let acl: Vec<u8> = [&2u32.to_le_bytes()[..]]
        .into_iter()
        .map(<[u8]>::to_vec)
        .chain([(1u16, 7u16, u32::MAX), (2, 4, 1000), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)].map(
            |(tag, permission, id)| [&tag.to_le_bytes()[..], &permission.to_le_bytes(), &id.to_le_bytes()].concat(),
        ))
        .flatten()
        .collect();
    setxattr(place.at("file"), "system.posix_acl_access", &acl, XattrFlags::empty()).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let capability = [1u8, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if is_root {
        setxattr(place.at("ping"), "security.capability", &capability, XattrFlags::empty()).unwrap();
        mknodat(CWD, place.at("null"), FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 3)).unwrap();
    }
    let file = std::fs::File::open(place.at("file")).unwrap();
    rustix::fs::ioctl_setflags(&file, rustix::fs::IFlags::NODUMP).unwrap();
    let found = place.read_back(place.backup().report.snapshot);
    assert_eq!(found["file"].0.xattrs, [(b"system.posix_acl_access".to_vec(), acl)]);
    assert_eq!(found["file"].0.flags, Some(rustix::fs::IFlags::NODUMP.bits()));
    assert_eq!(found["ping"].0.flags, None);
    if is_root {
        assert_eq!(found["ping"].0.xattrs, [(b"security.capability".to_vec(), capability.to_vec())]);
        assert_eq!((found["null"].0.kind, found["null"].0.device), (Kind::CharacterDevice, Some((1, 3))));
    }
}

#[test]
fn a_file_with_several_names_is_read_once() {
    let place = Place::new();
    place.write("a/first", noise(2, 5000));
    std::fs::hard_link(place.at("a/first"), place.at("a/second")).unwrap();
    std::fs::create_dir(place.at("b")).unwrap();
    std::fs::hard_link(place.at("a/first"), place.at("b/third")).unwrap();
    let run = place.backup();
    let found = place.read_back(run.report.snapshot);
    let group = found["a/first"].0.hardlink;
    assert!(group.is_some());
    for name in ["a/second", "b/third"] {
        assert_eq!(found[name].0.hardlink, group);
        assert_eq!(found[name].1, noise(2, 5000));
    }
    assert_eq!((run.report.totals.bytes_read, run.report.totals.bytes), (5000, 15_000));
    assert!(place.backup().report.unchanged);
}

#[test]
fn holes_are_neither_read_nor_stored() {
    let place = Place::new();
    let file = std::fs::File::create(place.at("sparse")).unwrap();
    file.set_len(3 << 30).unwrap();
    let small = std::fs::File::create(place.at("small")).unwrap();
    small.write_all_at(b"data", 4096).unwrap();
    small.set_len(7000).unwrap();
    let middle = std::fs::File::create(place.at("middle")).unwrap();
    middle.write_all_at(&noise(3, 200_000), 1 << 20).unwrap();
    middle.set_len(4 << 20).unwrap();
    // Its block of extended attributes counts as allocated, and so makes up for the hole.
    let beside = std::fs::File::create(place.at("beside xattrs")).unwrap();
    beside.write_all_at(&noise(4, 100_000), 4096).unwrap();
    let attribute = rustix::fs::fsetxattr(&beside, "user.large", &noise(5, 2000), XattrFlags::empty());
    drop((file, small, middle, beside));
    let run = place.backup();
    assert!(run.report.totals.bytes_read < 400_000, "{}", run.report.totals.bytes_read);
    let found = place.read_back(run.report.snapshot);
    assert_eq!(&found["small"].1[4096..4100], b"data");
    assert_eq!(found["middle"].1[1 << 20..(1 << 20) + 200_000], noise(3, 200_000));
    if attribute.is_ok() {
        let first = found["beside xattrs"].0.extents.as_ref().and_then(|extents| extents.first());
        assert_eq!(first.map(|extent| extent.offset), Some(4096), "the hole is lost");
    }
    assert_eq!(found["sparse"].0.extents, Some(vec![]));
    assert_eq!((found["sparse"].0.size, &found["sparse"].0.content), (3 << 30, &Content::None));
    let mut zeros = blake3::Hasher::new();
    for _ in 0..3 << 10 {
        zeros.update(&[0; 1 << 20]);
    }
    assert_eq!(found["sparse"].0.hash, Some(*zeros.finalize().as_bytes()));
}

#[test]
fn large_files_and_images_come_back() {
    let place = Place::new();
    // With the small parameters a large file is one of 8 KiB, and the fixed chunk of images 16 KiB.
    place.write("large", noise(4, 3_000_000));
    place.write("almost", noise(5, 8191));
    place.write("just", noise(6, 8192));
    place.write("disk.img", noise(7, 1_000_001));
    let image = std::fs::File::create(place.at("sparse.qcow2")).unwrap();
    for at in [0, 300_000, 305_000, 1_500_000] {
        image.write_all_at(&noise(8, 10_000), at).unwrap();
    }
    // Data and holes in turns within each granule, so that nothing of one granule may show in the holes of the next.
    for at in (700_000 / 8192..1_400_000 / 8192).map(|block| block * 8192) {
        image.write_all_at(&noise(at, 4096), at).unwrap();
    }
    image.set_len(2_000_000).unwrap();
    for threads in [1, 3] {
        let run = place.run(common::Plan { threads, kind: SnapshotKind::Full, ..place.plan() }).unwrap();
        let found = place.read_back(run.report.snapshot);
        for (name, expect) in [
            ("large", noise(4, 3_000_000)),
            ("almost", noise(5, 8191)),
            ("just", noise(6, 8192)),
            ("disk.img", noise(7, 1_000_001)),
        ] {
            assert!(found[name].1 == expect, "{name}");
        }
        assert!(found["sparse.qcow2"].1 == std::fs::read(place.at("sparse.qcow2")).unwrap());
        let holes = found["sparse.qcow2"].0.extents.as_ref().map(|runs| runs.iter().map(|run| run.length).sum::<u64>());
        assert!(holes.is_some_and(|data| data < 500_000), "{holes:?}");
    }
}

#[test]
fn a_changed_block_of_an_image_costs_one_chunk() {
    let place = Place::new();
    place.write("disk.raw", noise(9, 1 << 20));
    place.backup();
    let image = std::fs::File::options().write(true).open(place.at("disk.raw")).unwrap();
    image.write_all_at(b"changed", 500_000).unwrap();
    let run = place.backup();
    assert_eq!(run.report.totals.bytes_read, 1 << 20);
    assert_eq!(run.report.totals.bytes_new, 16 << 10);
}

#[test]
fn nothing_is_read_when_nothing_changed() {
    let place = Place::new();
    for number in 0..3000 {
        place.write(&format!("{}/{number}", number % 40), noise(number, 100));
    }
    let first = place.backup();
    assert_eq!(first.report.totals.files_changed, 3000);
    let head = std::fs::read(place.state_file("head")).unwrap();
    let body = std::fs::metadata(place.state_file("body")).unwrap();
    let second = place.backup();
    assert!(second.used_state() && second.report.unchanged);
    assert_eq!((second.report.totals.files_changed, second.report.totals.bytes_read), (0, 0));
    assert_eq!(second.report.parent, Some(first.report.snapshot));
    let counts = |run: &common::Run| (run.report.totals.files, run.report.totals.directories, run.report.totals.bytes);
    assert_eq!(counts(&first), counts(&second));
    assert_eq!(place.read_back(first.report.snapshot), place.read_back(second.report.snapshot));
    // The body of the state stays as it is, the head tells of the new snapshot.
    assert_eq!(std::fs::metadata(place.state_file("body")).unwrap().ino(), body.ino());
    assert_ne!(std::fs::read(place.state_file("head")).unwrap(), head);
    assert!(place.backup().report.unchanged);
}

#[test]
fn full_reads_everything_and_finds_the_same_tree() {
    let place = Place::new();
    for number in 0..50 {
        place.write(&format!("{number}"), noise(number, 1000));
    }
    let first = place.backup();
    let full = place.run(common::Plan { kind: SnapshotKind::Full, ..place.plan() }).unwrap();
    assert_eq!(full.report.totals.bytes_read, 50_000);
    assert_eq!((full.report.totals.bytes_new, full.report.parent, full.report.kind), (0, None, SnapshotKind::Full));
    assert_eq!(place.read_back(first.report.snapshot), place.read_back(full.report.snapshot));
    assert!(place.backup().report.unchanged);
}

#[test]
fn files_as_young_as_the_last_scan_are_read_again() {
    let place = Place::new();
    place.write("one", "one");
    place.write("two", "two");
    // A change in the tick in which a file was read leaves its times as they were. Here the scan claims to have begun before the files were
    // written, so none of them can be told from one that changed again.
    let early = || common::Plan { later: jiff::SignedDuration::from_secs(-5), ..place.plan() };
    place.run(early()).unwrap();
    let young = place.run(early()).unwrap();
    assert!(young.used_state());
    assert_eq!(young.report.totals.files_changed, 2);
    assert!(young.report.unchanged, "what was read again turned out to be the same");
    // This scan began well after the files were written, but the state it starts from did not.
    assert_eq!(place.backup().report.totals.files_changed, 2);
    assert_eq!(place.backup().report.totals.files_changed, 0);
}

#[test]
fn changes_additions_and_removals_are_found() {
    let place = Place::new();
    for number in 0..2500 {
        place.write(&format!("{:02}/{number:04}", number % 30), noise(number, 50));
    }
    place.backup();
    place.write("07/0037", "other");
    place.write("00/aaa", "first");
    place.write("30/new", "last");
    place.write("12/sub/dir/file", "inside");
    std::fs::remove_file(place.at("15/0015")).unwrap();
    std::fs::remove_dir_all(place.at("20")).unwrap();
    std::fs::rename(place.at("21"), place.at("22b")).unwrap();
    std::fs::set_permissions(place.at("05/0005"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let incremental = place.backup();
    // What a rename moves is read again: the state knows nodes by their place.
    let moved = std::fs::read_dir(place.at("22b")).unwrap().count() as u64;
    assert_eq!(incremental.report.totals.files_changed, 5 + moved);
    let full = place.run(common::Plan { kind: SnapshotKind::Full, ..place.plan() }).unwrap();
    let (incremental, full) = (place.read_back(incremental.report.snapshot), place.read_back(full.report.snapshot));
    assert_eq!(incremental, full);
    assert_eq!(full["07/0037"].1, b"other");
    assert!(!full.contains_key("15/0015") && !full.contains_key("20") && full.contains_key("12/sub/dir/file"));
    assert!(place.backup().report.unchanged);
}

#[test]
fn rules_and_hosts_have_states_of_their_own() {
    let place = Place::new();
    place.write("a", "a");
    place.write("b.tmp", "b");
    place.backup();
    let rules = Excludes { patterns: vec!["*.tmp".into()], ..Excludes::default() };
    let run = place.run(common::Plan { excludes: rules, ..place.plan() }).unwrap();
    assert!(!run.used_state());
    assert_eq!((run.report.left_out, run.report.totals.files), (1, 1));
    let other = place.run(common::Plan { host: "other".into(), ..place.plan() }).unwrap();
    assert!(!other.used_state());
    assert!(place.backup().used_state());
}

#[test]
fn a_missing_source_makes_the_run_partial_and_no_source_at_all_fails_it() {
    let place = Place::new();
    place.write("a", "a");
    let sources = vec!["/data".into(), "/data/absent".into()];
    let run = place.run(common::Plan { sources, ..place.plan() }).unwrap();
    assert_eq!((run.report.outcome, run.report.totals.problems), (Outcome::Partial, 1));
    assert!(run.report.problems[0].path.eq("/data/absent"), "{:?}", run.report.problems);
    assert_eq!(run.report.problems[0].error, "cannot find the source: No such file or directory (os error 2)");
    for absent in [&["/data/absent"][..], &["/data/no/one", "/data/no/two"], &["/data/a/below"], &[]] {
        let sources = absent.iter().map(PathBuf::from).collect();
        let none = place.run(common::Plan { sources, ..place.plan() });
        assert!(matches!(none, Err(BackupError::NoSource)), "{absent:?}");
    }
    assert_eq!(place.block_on(place.open().snapshots()).unwrap().readable.len(), 1);
}

/// Takes from this thread, and from those that it starts, root's right to pass by permissions.
fn respect_permissions() {
    #[repr(C)]
    struct Header(u32, i32);
    let header = Header(0x2008_0522, 0);
    let mut sets = [[0u32; 3]; 2];
    // CAP_DAC_OVERRIDE is 1, CAP_DAC_READ_SEARCH is 2.
    #[expect(unsafe_code, reason = "there is no safe call for capabilities among our dependencies")]
    // SAFETY: the kernel reads and writes two triples of u32 for this version of the header, which is what it is given.
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_capget, &raw const header, &raw mut sets), 0);
        sets[0][0] &= !0b110;
        assert_eq!(libc::syscall(libc::SYS_capset, &raw const header, &raw const sets), 0);
    }
}

#[test]
fn what_cannot_be_read_is_reported_and_left_out_each_time() {
    let place = Place::new();
    place.write("good", "good");
    place.write("bad", "bad");
    place.write("closed/inside", "inside");
    place.write("good directory/file", "file");
    place.backup();
    for path in ["bad", "closed"] {
        std::fs::set_permissions(place.at(path), std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    respect_permissions();
    for _ in 0..2 {
        let run = place.backup();
        let problems: Vec<(&str, &str)> =
            run.report.problems.iter().map(|problem| (problem.path.as_str(), problem.error.as_str())).collect();
        let [(bad, why), (closed, why_closed)] = problems[..] else { panic!("{problems:?}") };
        let (bad, why, closed, why_closed) =
            if bad.ends_with("/bad") { (bad, why, closed, why_closed) } else { (closed, why_closed, bad, why) };
        assert!(bad == "/data/bad" && closed == "/data/closed");
        assert_eq!(why, "cannot read the file: Permission denied (os error 13)");
        assert_eq!(why_closed, "cannot list the directory: Permission denied (os error 13)");
        assert_eq!((run.report.outcome, run.report.totals.problems), (Outcome::Partial, 2));
        let found = place.read_back(run.report.snapshot);
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["", "closed", "good", "good directory", "good directory/file"]);
    }
    for path in ["bad", "closed"] {
        std::fs::set_permissions(place.at(path), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let run = place.backup();
    assert_eq!(run.report.outcome, Outcome::Complete);
    assert_eq!(place.read_back(run.report.snapshot)["closed/inside"].1, b"inside");
}

#[test]
fn a_file_that_opens_and_cannot_be_read_is_reported() {
    let place = Place::new();
    place.write("good", "good");
    // The speed of the loopback interface: 4096 bytes long by its metadata, and an error to whoever reads it.
    let sources = vec![place.data(), PathBuf::from("/sys/class/net/lo/speed")];
    let run = place.run(common::Plan { root: "/".into(), sources, ..place.plan() }).unwrap();
    assert_eq!(run.report.outcome, Outcome::Partial);
    assert_eq!(run.report.problems[0].error, "cannot read the file: Invalid argument (os error 22)");
    let found = place.read_all(run.report.snapshot);
    assert!(found.iter().any(|(path, (_, content))| path.ends_with("/data/good") && content == b"good"));
    assert!(!found.keys().any(|path| path.ends_with("/speed")));
}

#[test]
fn a_stream_becomes_a_file() {
    let place = Place::new();
    let bytes = noise(11, 500_000);
    let input = Input::Stream { name: "dumps/main.sql".into(), reader: Box::new(std::io::Cursor::new(bytes.clone())) };
    let run = place.run_input(place.plan(), input).unwrap();
    let found = place.read_all(run.report.snapshot);
    assert_eq!(found["dumps/main.sql"].1, bytes);
    assert_eq!(found["dumps"].0.kind, Kind::Directory);
    assert_eq!((found.len(), run.report.totals.bytes_read), (2, 500_000));
    for name in ["", "/", "../x", "a/"] {
        let input = Input::Stream { name: name.into(), reader: Box::new(std::io::empty()) };
        assert!(matches!(place.run_input(place.plan(), input), Err(BackupError::StreamName(_))), "{name:?}");
    }
}

#[test]
fn a_stream_that_breaks_off_leaves_no_snapshot() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the pipe burst"))
        }
    }
    let place = Place::new();
    let reader = Box::new(std::io::Read::chain(std::io::Cursor::new(noise(12, 100_000)), Broken));
    let result = place.run_input(place.plan(), Input::Stream { name: "dump".into(), reader });
    assert!(matches!(&result, Err(BackupError::Stream(why)) if why.contains("the pipe burst")), "{:?}", result.err());
    assert!(place.block_on(place.open().snapshots()).unwrap().readable.is_empty());
}

#[test]
fn a_file_that_never_holds_still_is_kept_as_torn() {
    let place = Place::with(Parameters::default());
    place.write("quiet", "quiet");
    place.write("busy", noise(13, 900_000));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let path = place.at("busy");
    let (torn, quiet) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            let mut count = 0u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                count += 1;
                file.write_all_at(&count.to_le_bytes(), count * 8 % 800_000).unwrap();
            }
        });
        // The writer may be kept waiting by a busy machine for one run, but not for fifty.
        let result = (0..50).find_map(|_| {
            let run = place.backup();
            (run.report.torn == 1).then_some(run)
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let run = result.expect("a file that is written all the time is noticed");
        (run.notices(), place.read_back(run.report.snapshot))
    });
    assert!(torn.contains(&("busy".to_owned(), Notice::Torn)));
    assert!(quiet["busy"].0.consistency.torn && !quiet["quiet"].0.consistency.torn);
    let calm = place.backup();
    assert_eq!((calm.report.totals.files_changed, calm.report.torn), (1, 0), "a torn file is read again");
}

#[test]
fn a_fault_of_the_store_ends_the_run_and_is_no_fault_of_a_file() {
    let place = Place::new();
    for number in 0..200 {
        place.write(&format!("{number}"), noise(number, 5000));
    }
    place.backup();
    let mut failed = 0;
    for nth in 1.. {
        place.write("more", noise(1000 + nth, 1_000_000));
        let snapshots = || place.block_on(place.open().snapshots()).unwrap().readable.len();
        let before = snapshots();
        place.store.arm(FaultPlan { fault: Fault::NoSpace, when: When::Nth(nth), only: Some(Operation::Put) });
        let result = place.run(place.plan());
        let injected = place.store.injected();
        place.store.arm(FaultPlan::NOTHING);
        match (&injected[..], result) {
            ([], Ok(_)) => break,
            ([fault], Ok(run)) => {
                assert_eq!(fault.name, "hint", "only the hint may be lost");
                assert_eq!(run.report.outcome, Outcome::Complete);
            }
            (_, Err(BackupError::Repository(_))) => {
                failed += 1;
                assert_eq!(snapshots(), before);
                assert_eq!(place.stored("rests"), 1, "a run that ends early leaves word of it");
            }
            (_, Err(other)) => panic!("{other:?}"),
            ([_, ..], Ok(_)) => panic!("{injected:?}"),
        }
    }
    assert!(failed >= 5, "a session, packs, an index run, a snapshot and a commit are put: {failed}");
    assert_eq!(place.stored("rests"), 0, "who takes it up is at work again");
    let run = place.backup();
    assert!(run.used_state());
    let full = place.run(common::Plan { kind: SnapshotKind::Full, ..place.plan() }).unwrap();
    assert!(place.read_back(run.report.snapshot) == place.read_back(full.report.snapshot));
}

#[test]
fn a_run_that_is_dropped_ends_without_a_snapshot() {
    let place = Place::new();
    place.write("file", "content");
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (alive, ended) = std::sync::mpsc::channel::<()>();
    // The first event is that there is no state; the run waits there until its future is gone.
    let sink = Box::new(move |_| {
        let _ = wait.recv();
        let _ = &alive;
    });
    let plan = place.plan();
    let input = Input::Files { root: plan.root.clone(), sources: plan.sources.clone(), excludes: Excludes::default() };
    let options = place.options(plan, input);
    place.block_on(async {
        let run = strongroom_worker::backup::run(place.open_async().await, options, Default::default(), sink);
        tokio::select! {
            biased;
            _ = run => panic!("it waits for us"),
            () = std::future::ready(()) => {}
        }
    });
    drop(go);
    // The sink is dropped with the run.
    assert!(
        ended
            .recv_timeout(std::time::Duration::from_secs(60))
            .is_err_and(|why| why == std::sync::mpsc::RecvTimeoutError::Disconnected)
    );
    assert!(place.block_on(place.open().snapshots()).unwrap().readable.is_empty());
}

#[test]
fn more_nodes_than_may_wait_at_once_pass_through() {
    let place = Place::new();
    for directory in 0..3 {
        place.write(&format!("{directory}/0large"), noise(directory, 300_000));
        for number in 0..24_000 {
            std::fs::File::create(place.at(&format!("{directory}/{number}"))).unwrap();
        }
    }
    let run = place.backup();
    assert_eq!((run.report.totals.files, run.report.totals.directories), (72_003, 4));
    assert!(place.backup().report.unchanged);
}
