//! The walk against real directories: its order, its rules, its faults.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use strongroom_repository::tree::order;
use strongroom_worker::exclude::{CACHE_SIGNATURE, Caches, Excludes, Filter, Mounts};
use strongroom_worker::filesystem::Root;
use strongroom_worker::remarks::{Doing, Notice, Remark};
use strongroom_worker::sources::Sources;
use strongroom_worker::walk::{Contents, Territory, Walk};

/// Everything that a walk delivered.
#[derive(Default)]
struct Seen {
    paths: Vec<Vec<u8>>,
    directories: Vec<Vec<u8>>,
    remarks: Vec<Remark>,
    left_out: u64,
    sources_found: u64,
}

impl Seen {
    fn text(&self) -> Vec<String> {
        self.paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    fn notices(&self) -> Vec<(String, Notice)> {
        let notice = |remark: &Remark| match remark {
            Remark::Notice { path, notice } => Some((String::from_utf8_lossy(path).into_owned(), *notice)),
            Remark::Problem(_) => None,
        };
        self.remarks.iter().filter_map(notice).collect()
    }

    fn problems(&self) -> Vec<(String, Doing)> {
        let problem = |remark: &Remark| match remark {
            Remark::Problem(problem) => Some((String::from_utf8_lossy(&problem.path).into_owned(), problem.doing)),
            Remark::Notice { .. } => None,
        };
        self.remarks.iter().filter_map(problem).collect()
    }
}

fn walk(top: &Path, sources: &[&str], rules: &Excludes, threads: usize) -> Seen {
    let root = Root::at(top).unwrap();
    let paths: Vec<PathBuf> = sources.iter().map(PathBuf::from).collect();
    let sources = Sources::resolve(top, &paths).unwrap();
    let filter = Filter::new(rules).unwrap();
    let walk = Walk::new(Territory { root: &root, sources: &sources, filter: &filter, state: None });
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(|| walk.work())));
        let mut consumer = walk.consumer();
        while let Some(listing) = consumer.next_listing().unwrap() {
            let Contents::Listed(nodes) = listing.contents else { panic!("without a state nothing is unchanged") };
            seen.paths.extend(nodes.iter().map(|(name, _)| order::join(&listing.directory, name)));
            seen.directories.push(listing.directory.to_vec());
            seen.remarks.extend(listing.remarks);
            seen.left_out += listing.left_out;
            seen.sources_found += listing.sources_found;
        }
    });
    seen
}

fn make(top: &Path, paths: &[&str]) {
    for path in paths {
        let full = top.join(path.trim_end_matches('/'));
        if path.ends_with('/') {
            std::fs::create_dir_all(full).unwrap();
        } else {
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(full, path).unwrap();
        }
    }
}

/// A tree with awkward names, and the paths in it.
fn random_tree(top: &Path, random: &mut StdRng) -> BTreeSet<Vec<u8>> {
    let pieces: [&[u8]; 9] = [b"a", b"b", b"-", b".x", b"\x01", b"\xff", b"0", b" ", "\u{653f}".as_bytes()];
    let mut directories = vec![Vec::new()];
    let mut paths = BTreeSet::new();
    for _ in 0..random.random_range(1..400) {
        let parent = directories.choose(random).unwrap().clone();
        let count = random.random_range(1..4);
        let name: Vec<u8> = (0..count).flat_map(|_| pieces.choose(random).unwrap().to_vec()).collect();
        let path = order::join(&parent, &name);
        let full = top.join(std::ffi::OsStr::from_bytes(&path));
        if !paths.insert(path.clone()) {
            continue;
        }
        if random.random_bool(0.4) {
            std::fs::create_dir(full).unwrap();
            directories.push(path);
        } else {
            std::fs::write(full, b"").unwrap();
        }
    }
    paths
}

#[test]
fn any_tree_is_delivered_in_the_order_of_a_snapshot() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let top = tempfile::tempdir().unwrap();
        let mut expect: Vec<Vec<u8>> = random_tree(top.path(), &mut random).into_iter().collect();
        expect.sort_by(|left, right| order::keys(order::split(left), order::split(right)));
        for threads in [0, 1, 2, 5] {
            let seen = walk(top.path(), &["/"], &Excludes::default(), threads);
            assert_eq!(seen.paths, expect, "seed {seed}, {threads} threads");
            assert!(
                seen.directories.is_sorted_by(|left, right| order::directories(left, right).is_lt()),
                "seed {seed}"
            );
            assert!(seen.remarks.is_empty());
        }
    }
}

#[test]
fn only_what_leads_to_sources_is_delivered_around_them() {
    let top = tempfile::tempdir().unwrap();
    make(
        top.path(),
        &[
            "etc/passwd",
            "usr/bin/ls",
            "usr/share/doc/a/b",
            "usr/share/man/x",
            "usr/share/doc-base",
            "srv/one",
            "srv/two",
        ],
    );
    let seen = walk(top.path(), &["/usr/share/doc", "/srv/two", "/etc"], &Excludes::default(), 2);
    let expect = [
        "etc",
        "srv",
        "usr",
        "etc/passwd",
        "srv/two",
        "usr/share",
        "usr/share/doc",
        "usr/share/doc/a",
        "usr/share/doc/a/b",
    ];
    assert_eq!(seen.text(), expect);
}

#[test]
fn overlapping_sources_are_delivered_once() {
    let top = tempfile::tempdir().unwrap();
    make(top.path(), &["a/b/c", "a/d"]);
    let expect = ["a", "a/b", "a/d", "a/b/c"];
    for sources in [&["/a"][..], &["/a", "/a/b"], &["/a/b/c", "/a"], &["/a", "/a"]] {
        assert_eq!(walk(top.path(), sources, &Excludes::default(), 1).text(), expect, "{sources:?}");
    }
}

#[test]
fn a_missing_source_is_a_problem_and_the_rest_goes_on() {
    let top = tempfile::tempdir().unwrap();
    make(top.path(), &["a/b"]);
    let seen = walk(top.path(), &["/a", "/absent/deep", "/a/none"], &Excludes::default(), 1);
    assert_eq!(seen.text(), ["a", "a/b"]);
    let missing = |path: &str| (path.to_owned(), Doing::FindSource);
    assert_eq!(seen.problems(), [missing("absent/deep"), missing("a/none")]);
    assert_eq!(seen.sources_found, 1);
    let seen = walk(top.path(), &["/a/b/inside", "/a/x/y", "/a/x/z"], &Excludes::default(), 1);
    assert_eq!(seen.text(), ["a"]);
    assert_eq!(seen.problems(), [missing("a/b/inside"), missing("a/x/y"), missing("a/x/z")]);
    assert_eq!(seen.sources_found, 0);
}

#[test]
fn a_source_behind_a_link_is_walked_where_it_is() {
    let top = tempfile::tempdir().unwrap();
    make(top.path(), &["disk/data/file"]);
    symlink("/disk/data", top.path().join("data")).unwrap();
    let seen = walk(top.path(), &["/data"], &Excludes::default(), 1);
    assert_eq!(seen.text(), ["data", "disk", "disk/data", "disk/data/file"]);
}

#[test]
fn links_inside_a_source_are_not_followed() {
    let top = tempfile::tempdir().unwrap();
    make(top.path(), &["a/b/"]);
    symlink("..", top.path().join("a/b/up")).unwrap();
    symlink("self", top.path().join("a/self")).unwrap();
    assert_eq!(walk(top.path(), &["/"], &Excludes::default(), 2).text(), ["a", "a/b", "a/self", "a/b/up"]);
}

#[test]
fn rules_leave_out_what_they_name_but_never_a_source() {
    let top = tempfile::tempdir().unwrap();
    make(top.path(), &["a/keep", "a/x.tmp", "a/tmp/y", "a/deep/z.tmp", "a/large", "x.tmp/inside/deep"]);
    std::fs::write(top.path().join("a/large"), vec![0; 5000]).unwrap();
    let rules = Excludes {
        patterns: vec!["*.tmp".into(), "/a/tmp".into()],
        larger_than_bytes: Some(4999),
        ..Excludes::default()
    };
    let seen = walk(top.path(), &["/"], &rules, 1);
    assert_eq!(seen.text(), ["a", "a/deep", "a/keep"]);
    assert_eq!(seen.left_out, 5);
    let seen = walk(top.path(), &["/", "/x.tmp/inside"], &rules, 1);
    assert_eq!(seen.text(), ["a", "x.tmp", "a/deep", "a/keep", "x.tmp/inside", "x.tmp/inside/deep"]);
}

#[test]
fn caches_keep_their_tag_alone_when_asked() {
    let top = tempfile::tempdir().unwrap();
    make(top.path(), &["cache/data/", "cache/file", "other/file", "other/CACHEDIR.TAG"]);
    std::fs::write(top.path().join("cache/CACHEDIR.TAG"), [&CACHE_SIGNATURE[..], b"\n# more"].concat()).unwrap();
    let rules = Excludes { caches: Caches::LeaveOut, ..Excludes::default() };
    let seen = walk(top.path(), &["/"], &rules, 1);
    assert_eq!(seen.text(), ["cache", "other", "cache/CACHEDIR.TAG", "other/CACHEDIR.TAG", "other/file"]);
    assert_eq!(seen.notices(), [("cache".to_owned(), Notice::Cache)]);
    assert_eq!(walk(top.path(), &["/"], &Excludes::default(), 1).paths.len(), 7);
}

#[test]
fn sockets_are_left_out_with_a_notice() {
    let top = tempfile::tempdir().unwrap();
    make(top.path(), &["a"]);
    let _listener = UnixListener::bind(top.path().join("socket")).unwrap();
    let seen = walk(top.path(), &["/"], &Excludes::default(), 1);
    assert_eq!(seen.text(), ["a"]);
    assert_eq!(seen.notices(), [("socket".to_owned(), Notice::Socket)]);
}

/// Mounts a file system where only this thread, and those that it starts, see it. Needs root.
fn mount_for_this_thread(kind: &std::ffi::CStr, at: &Path) {
    let at = std::ffi::CString::new(at.as_os_str().as_bytes()).unwrap();
    #[expect(unsafe_code, reason = "no dependency has a safe call for mounts")]
    // SAFETY: every pointer is to a string with its final zero, or null where the call allows it.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0, "{}", std::io::Error::last_os_error());
        let private = libc::MS_REC | libc::MS_PRIVATE;
        assert_eq!(libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()), 0);
        assert_eq!(libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, std::ptr::null()), 0);
    }
}

#[test]
fn other_file_systems_are_walked_unless_the_rules_say_no() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    make(top.path(), &["a/disk/", "a/z"]);
    mount_for_this_thread(c"tmpfs", &top.path().join("a/disk"));
    make(top.path(), &["a/disk/file"]);
    assert_eq!(walk(top.path(), &["/"], &Excludes::default(), 2).text(), ["a", "a/disk", "a/z", "a/disk/file"]);
    let stay = Excludes { mounts: Mounts::StayOut, ..Excludes::default() };
    assert_eq!(walk(top.path(), &["/"], &stay, 2).text(), ["a", "a/disk", "a/z"]);
    assert_eq!(walk(top.path(), &["/", "/a/disk"], &stay, 2).text(), ["a", "a/disk", "a/z", "a/disk/file"]);
    assert_eq!(walk(top.path(), &["/a/disk"], &stay, 2).text(), ["a", "a/disk", "a/disk/file"]);
}

#[test]
fn views_of_the_kernel_are_not_walked_unless_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    make(top.path(), &["a/view/"]);
    mount_for_this_thread(c"proc", &top.path().join("a/view"));
    let seen = walk(top.path(), &["/a"], &Excludes::default(), 2);
    assert_eq!(seen.text(), ["a", "a/view"]);
    assert_eq!(seen.notices(), [("a/view".to_owned(), Notice::Pseudo("proc"))]);
    let seen = walk(top.path(), &["/a", "/a/view/sys/kernel/random"], &Excludes::default(), 2);
    assert!(seen.text().contains(&"a/view/sys/kernel/random/uuid".to_owned()), "{:?}", seen.text());
    assert!(!seen.text().contains(&"a/view/version".to_owned()));
}

#[test]
fn a_directory_of_many_names_and_a_chain_of_many_directories_are_walked() {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir(top.path().join("wide")).unwrap();
    for number in 0..40_000 {
        std::fs::write(top.path().join(format!("wide/{number}")), b"").unwrap();
    }
    let mut place = rustix::fs::open(top.path(), rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&place, "d", rustix::fs::Mode::RWXU).unwrap();
        place = rustix::fs::openat(&place, "d", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    }
    for threads in [0, 3] {
        let seen = walk(top.path(), &["/"], &Excludes::default(), threads);
        assert_eq!(seen.paths.len(), 40_001 + 3000);
        assert!(seen.remarks.is_empty(), "{:?}", seen.remarks);
    }
    // The standard library removes by path and recursion; a chain this deep needs the file system's own tool.
    assert!(std::process::Command::new("rm").arg("-rf").arg(top.path().join("d")).status().unwrap().success());
}
