//! What goes in comes out, and can be looked at in between.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use crate::support::World;

/// A source with something of everything that needs no root, and names in several encodings.
fn source(world: &World) {
    world.write("source/etc/hosts", "127.0.0.1 localhost\n");
    world.write("source/etc/empty", "");
    world.write("source/政务/台账.txt", "第一行\n");
    world.write("source/large.bin", pattern(9 << 20));
    world.write("source/etc/secret", "x");
    std::fs::set_permissions(world.path("source/etc/secret"), std::fs::Permissions::from_mode(0o4750)).unwrap();
    symlink("hosts", world.path("source/etc/link")).unwrap();
    std::fs::hard_link(world.path("source/etc/hosts"), world.path("source/etc/hosts-again")).unwrap();
    let raw = std::ffi::OsStr::from_bytes(b"\xb9\xab\xce\xc4.txt");
    std::fs::write(world.path("source").join(raw), "gbk").unwrap();
    let sparse = std::fs::File::create(world.path("source/sparse")).unwrap();
    sparse.set_len(5 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"in the middle", 2 << 20).unwrap();
}

fn pattern(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(b"pattern").finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn what_goes_in_comes_out() {
    let world = World::with_repository();
    source(&world);
    let source = world.text("source");
    let first = world.json(&["backup", "source", "--tag", "reason=test", "--host", "web1"]);
    assert_eq!((first["outcome"].as_str(), first["totals"]["files"].as_u64()), (Some("complete"), Some(8)));

    let plan = world.json(&["restore", "latest", "--target", "out", "--dry-run"]);
    assert_eq!(plan["files"], 7, "hard links count once: {plan}");
    assert!(!world.path("out").exists(), "a dry run wrote something");
    let report = world.json(&["restore", "latest@web1", "--target", "out"]);
    assert_eq!(report["outcome"], "restored", "{report}");
    world.assert_same(&world.path("source"), &world.path("out").join(&source[1..]));

    // Nothing is overwritten unless asked, and a second time finds everything equal.
    let restored = world.path("out").join(&source[1..]).join("etc/hosts");
    std::fs::write(&restored, "mine").unwrap();
    world.run(&["restore", "latest", "--target", "out"]).expect(0);
    assert_eq!(std::fs::read(&restored).unwrap(), b"mine");
    let over = ["restore", "latest", "--target", "out", "--overwrite", "changed"];
    let report = world.json(&over);
    world.assert_same(&world.path("source"), &world.path("out").join(&source[1..]));
    // What was there is kept, unless asked.
    let aside = world.path("out").join(report["set-aside"].as_str().unwrap());
    assert_eq!(std::fs::read(aside.join(&source[1..]).join("etc/hosts")).unwrap(), b"mine");
    std::fs::write(&restored, "mine").unwrap();
    let report = world.json(&[&over[..], &["--discard-replaced"]].concat());
    assert!(report["set-aside"].is_null() && std::fs::read(&restored).unwrap() != b"mine", "{report}");

    let one = format!("{source}/政务");
    world.run(&["restore", "latest", &one, "--target", "one"]).expect(0);
    assert_eq!(std::fs::read_to_string(world.path("one").join(&one[1..]).join("台账.txt")).unwrap(), "第一行\n");
    assert!(!world.path("one").join(&source[1..]).join("etc").exists());
}

#[test]
fn a_snapshot_can_be_looked_at() {
    let world = World::with_repository();
    source(&world);
    let source = world.text("source");
    world.run(&["backup", "source"]).expect(0);
    let names = world
        .run(&["ls", "latest", "source"].map(|word| if word == "source" { source.as_str() } else { word }))
        .expect(0);
    assert_eq!(names.text(), "etc/\nlarge.bin\nsparse\n\\xb9\\xab\\xce\\xc4.txt\n政务/\n");
    let long = world.run(&["ls", "--long", "latest", &format!("{source}/etc")]).expect(0);
    let line = long.text().lines().find(|line| line.ends_with("secret")).unwrap().to_owned();
    assert!(line.starts_with("-rwsr-x---  ") && line.contains("1 B"), "{line}");
    assert!(long.text().contains("link -> hosts"));

    let all = world.json_lines(&["ls", "--recursive", "latest", &source]);
    let paths: Vec<&str> = all.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), 12, "{paths:?}");
    assert_eq!(all[0]["kind"], "directory");

    let found = world.run(&["find", "latest", "host*"]).expect(0);
    assert_eq!(found.text().lines().count(), 2);
    let raw = world.run(&["find", "latest", r"\xb9*"]).expect(0);
    assert_eq!(raw.text().trim_end(), format!(r"{}/\xb9\xab\xce\xc4.txt", &source[1..]));
    let typed = raw.text().trim_end().to_owned();
    assert_eq!(world.run(&["cat", "latest", &typed]).expect(0).text(), "gbk");

    for name in ["large.bin", "sparse", "etc/empty"] {
        let content = world.run(&["cat", "latest", &format!("{source}/{name}")]).expect(0);
        assert!(content.out == std::fs::read(world.path("source").join(name)).unwrap(), "{name} came out otherwise");
    }
}

#[test]
fn a_difference_names_what_changed() {
    let world = World::with_repository();
    source(&world);
    let source = world.text("source");
    world.run(&["backup", "source"]).expect(0);
    world.run(&["backup", "source"]).expect(0);
    world.write("source/etc/new", "new");
    world.write("source/large.bin", "small");
    std::fs::remove_file(world.path("source/etc/empty")).unwrap();
    std::fs::set_permissions(world.path("source/etc/secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::remove_file(world.path("source/etc/link")).unwrap();
    world.write("source/etc/link", "a file now");
    world.run(&["backup", "source"]).expect(0);

    let ids = world.json(&["snapshots"]);
    let id = |at: usize| ids[at]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.run(&["diff", &id(0), &id(1)]).expect(0).text(), "");
    let ran = world.run(&["diff", &id(0)[..12], "latest"]).expect(0);
    let inside = |name: &str| format!("{}/{name}", &source[1..]);
    let expect = [
        format!("C {}", inside("large.bin")),
        format!("- {}", inside("etc/empty")),
        format!("T {}", inside("etc/link")),
        format!("+ {}", inside("etc/new")),
        format!("M {}  (mode)", inside("etc/secret")),
    ];
    assert_eq!(ran.text().lines().collect::<Vec<_>>(), expect);
    assert!(ran.err.contains("1 added, 1 removed, 3 changed"), "{}", ran.err);
    let lines = world.json_lines(&["diff", &id(0), "latest", &format!("{source}/etc")]);
    assert_eq!(
        lines.iter().map(|line| line["change"].as_str().unwrap()).collect::<Vec<_>>(),
        ["removed", "type", "added", "metadata"]
    );
}

#[test]
fn a_stream_is_one_file() {
    let world = World::with_repository();
    let dump = pattern(3 << 20);
    world.run_with_input(&["backup", "--stdin", "dumps/all.sql"], &dump).expect(0);
    assert!(world.run(&["cat", "latest", "dumps/all.sql"]).expect(0).out == dump);
    assert_eq!(world.run(&["ls", "--recursive", "latest"]).expect(0).text(), "dumps/\ndumps/all.sql\n");
}

#[test]
fn rules_leave_out_what_they_say() {
    let world = World::with_repository();
    world.write("source/keep", "k");
    world.write("source/a.tmp", "t");
    world.write("source/scratch/deep", "d");
    world.write("source/cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    world.write("source/cache/content", "c");
    world.write("source/big", vec![b'b'; 3000]);
    let scratch = world.text("source/scratch");
    let rules = ["--exclude", "*.tmp", "--exclude", &scratch, "--exclude-caches", "--exclude-larger-than", "2 KiB"];
    let args = [&["backup", "source"][..], &rules].concat();
    let preview = world.json(&[&args[..], &["--dry-run"]].concat());
    assert_eq!((preview["files"].as_u64(), preview["files-to-read"].as_u64()), (Some(2), Some(2)), "{preview}");
    assert_eq!(world.json(&["snapshots"]), Value::Array(Vec::new()), "a dry run made a snapshot");
    world.run(&args).expect(0);
    // The second one begins when the files are old enough to be trusted.
    world.run(&args).expect(0);
    let listed = world.run(&["ls", "--recursive", "latest", &world.text("source")]).expect(0);
    let names: Vec<&str> = listed.text().lines().filter_map(|line| line.split("source/").nth(1)).collect();
    assert_eq!(names, ["", "cache/", "keep", "cache/CACHEDIR.TAG"]);
    let preview = world.json(&[&args[..], &["--dry-run"]].concat());
    assert_eq!((preview["files"].as_u64(), preview["files-to-read"].as_u64()), (Some(2), Some(0)), "{preview}");
}

#[test]
fn a_repository_never_holds_itself() {
    let world = World::with_repository();
    world.write("file", "content");
    let ran = world.run(&["backup", "."]).expect(0);
    assert!(ran.err.contains("lies in what is backed up"), "{}", ran.err);
    let listed = world.run(&["ls", "latest", &world.text("")]).expect(0);
    assert_eq!(listed.text(), "file\nhome/\n");
    world.run(&["backup", "repo/packs"]).expect(2);
    symlink("repo", world.path("link")).unwrap();
    world.run(&["backup", "link"]).expect(2);
}

#[test]
fn a_missing_path_makes_it_partial_and_a_tag_finds_it() {
    let world = World::with_repository();
    world.write("source/file", "content");
    let ran = world.run(&["backup", "source", "absent", "--tag", "system=billing"]).expect(3);
    assert!(ran.err.contains("problem: ") && ran.text().contains("PARTIAL: 1"), "{}{}", ran.err, ran.text());
    let count = |args: &[&str]| world.json(&[&["snapshots"], args].concat()).as_array().unwrap().len();
    assert_eq!(count(&["--tag", "system"]), 1);
    assert_eq!(count(&["--tag", "system=billing"]), 1);
    assert_eq!(count(&["--tag", "system=web"]), 0);
    assert_eq!(count(&["--host", "nobody"]), 0);
}

#[test]
fn a_check_finds_damage_and_says_whom_it_costs() {
    let world = World::with_repository();
    world.write("source/file", pattern(3 << 20));
    world.run(&["backup", "source"]).expect(0);
    world.run(&["repo", "check", "--read-data"]).expect(0);
    let stats = world.json(&["repo", "stats"]);
    assert_eq!(stats["stats"]["snapshots"]["count"], 1);
    let pack = std::fs::read_dir(world.path("repo/packs")).unwrap().next().unwrap().unwrap().path();
    let pack = std::fs::read_dir(pack).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[1 << 20] ^= 1;
    std::fs::set_permissions(&pack, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&pack, bytes).unwrap();
    world.run(&["repo", "check"]).expect(0);
    let ran = world.run(&["repo", "check", "--read-data"]).expect(4);
    assert!(ran.text().contains("DAMAGE") && ran.text().contains("source/file"), "{}", ran.text());
    world.run(&["cat", "latest", &world.text("source/file")]).expect(4);
    world.run(&["restore", "latest", "--target", "out"]).expect(4);
    world.run(&["repo", "rebuild-index", "--dry-run"]).expect(0);
    world.run(&["repo", "rebuild-index"]).expect(0);
    world.run(&["repo", "probe"]).expect(0);
}

#[test]
fn whoever_stops_reading_gets_no_error() {
    let world = World::with_repository();
    world.write("source/file", pattern(9 << 20));
    world.run(&["backup", "source"]).expect(0);
    let mut child = world
        .command(&["cat", "latest", &world.text("source/file")])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut reader, &mut [0; 10]).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
