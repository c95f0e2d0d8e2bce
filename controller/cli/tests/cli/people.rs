//! Several persons and one controller: each may do what his role allows, and every refusal is in the journal. Needs root, to act as others.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::World;

/// Long enough for any machine.
const SOON: Duration = Duration::from_secs(60);

/// Accounts that every Debian has, and what they are here. `sync` is nobody.
const PEOPLE: &str = "\
people:
  wang: { full-name: 王芳, organisation: 运维商甲, users: [daemon], roles: { operator: tenant=north } }
  li: { full-name: 李强, organisation: 甲方, users: [bin, games], roles: { viewer: \"*\", auditor: \"*\" } }
  zhao: { users: [man], roles: { security: \"*\" } }
";

const HOSTS: &str = "\
hosts:
  north1: { address: 127.0.0.1, port: 1, labels: { tenant: north } }
  south1: { address: 127.0.0.1, port: 1, labels: { tenant: south } }
";

const PLAN: &str =
    "kind: backup\nname: nightly\nhosts: \"*\"\nsources: [{ files: [/etc] }]\nrepository: main\nretain: { last: 3 }\n";

fn world() -> World {
    let world = World::with_repository();
    let site = format!("name: test\nzone: UTC\nrepositories: {{ main: {{ at: {} }} }}\n", world.text("repo"));
    world.write("site/site.yaml", site);
    world.write("site/hosts.yaml", HOSTS);
    world.write("site/plans/nightly.yaml", PLAN);
    // Others pass through to the socket, and start the program from here: where it was built they may not look.
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_strongroom"), world.path("strongroom")).unwrap();
    world
}

fn name_people(world: &World) {
    let site = fs::read_to_string(world.path("site/site.yaml")).unwrap();
    world.write("site/site.yaml", site + PEOPLE);
}

/// Runs a command as somebody else, with the exit code that it must have.
#[track_caller]
fn as_user(world: &World, user: &str, args: &[&str], code: i32) -> Output {
    let (program, socket) = (world.text("strongroom"), world.text("socket"));
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), "--clear-groups", "--regid=nogroup", "--", &program]);
    command.args(args).args(["--socket", &socket]).current_dir("/").env_clear().env("HOME", "/nonexistent");
    let output = command.output().expect("setpriv starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{user} {args:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    output
}

/// Whether this user can act as others; a test that cannot run is written down where `tests/run` counts it.
fn is_root(test: &str) -> bool {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        let line = format!("test\t{test}\tit needs root, to act as others\n");
        match std::env::var_os("STRONGROOM_TESTS_SKIPS") {
            Some(path) => OpenOptions::new().append(true).open(path).unwrap().write_all(line.as_bytes()).unwrap(),
            None => std::io::stderr().write_all(line.as_bytes()).unwrap(),
        }
    }
    root
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn everybody_does_what_his_role_allows_and_nothing_else() {
    if !is_root("everybody_does_what_his_role_allows_and_nothing_else") {
        return;
    }
    let world = world();
    name_people(&world);
    let _controller = world.serve("site");
    let told = |output: Output| String::from_utf8(output.stdout).unwrap();

    let seen: Value = serde_json::from_str(&told(as_user(&world, "daemon", &["host", "list", "--json"], 0))).unwrap();
    let names: Vec<_> = seen.as_array().unwrap().iter().map(|found| found["host"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["north1"], "another contractor's hosts are not seen");
    let status = told(as_user(&world, "daemon", &["status", "--json"], 0));
    assert!(status.contains("north1") && !status.contains("south1"), "{status}");
    // The host is not there, so the run is missed; but it may be asked for.
    as_user(&world, "daemon", &["run", "nightly", "--host", "north1", "--watch"], 1);

    let refused = [
        ("daemon", &["run", "nightly", "--host", "south1"][..], "wang may not start or end runs on south1"),
        ("daemon", &["run", "nightly"], "wang may not start or end runs on south1"),
        ("daemon", &["repo", "maintain", "main"], "the whole site"),
        ("daemon", &["journal", "show"], "auditor"),
        ("bin", &["run", "nightly", "--host", "north1"], "operator or on-call"),
        ("games", &["site", "load"], "security"),
        ("man", &["runs", "cancel", "20261122t013000z-00000000"], ""),
        ("sync", &["status"], "account of nobody"),
    ];
    for (user, args, why) in refused {
        let code = if user == "man" { 7 } else { 6 };
        let said = String::from_utf8(as_user(&world, user, args, code).stderr).unwrap();
        assert!(said.contains(why), "{user} {args:?}: {said}");
    }
    as_user(&world, "man", &["site", "load"], 0);

    let audit = told(as_user(&world, "bin", &["journal", "show", "--json"], 0));
    let entries: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refusals: Vec<String> = entries
        .iter()
        .filter(|entry| entry["event"] == "refused")
        .map(|entry| format!("{} {}", entry["by"]["person"].as_str().unwrap_or("?"), entry["act"].as_str().unwrap()))
        .collect();
    let expected = ["wang run", "wang run", "wang maintain", "wang read-journal", "li run", "li load-site", "? see"];
    assert_eq!(refusals, expected, "{audit}");
    let run = entries.iter().find(|entry| entry["event"] == "run-planned").unwrap();
    let by = &run["origin"]["asked"];
    assert_eq!(
        (&by["person"], &by["organisation"], &by["name"]),
        (&"wang".into(), &"运维商甲".into(), &"daemon".into())
    );
    world.run(&["journal", "verify"]).expect(0);
}

#[test]
fn without_people_the_socket_is_its_owners_alone() {
    if !is_root("without_people_the_socket_is_its_owners_alone") {
        return;
    }
    let world = world();
    let _controller = world.serve("site");
    assert_eq!(mode(&world.path("socket")), 0o600);
    as_user(&world, "daemon", &["status"], 1);
    name_people(&world);
    world.run(&["site", "load", "--socket", "socket"]).expect(0);
    // The answer may be here before the socket is open.
    let deadline = Instant::now() + SOON;
    while mode(&world.path("socket")) != 0o666 {
        assert!(Instant::now() < deadline, "others cannot open the socket");
        std::thread::yield_now();
    }
    as_user(&world, "sync", &["status"], 6);
    as_user(&world, "bin", &["status"], 0);
}

#[test]
fn the_people_of_a_site_are_shown_with_what_they_may() {
    let world = world();
    world.run(&["site", "people", "--site", "site"]).expect(0).text().contains("names nobody");
    name_people(&world);
    let ran = world.run(&["site", "people", "--site", "site"]).expect(0);
    let wang = ran.text().lines().find(|line| line.starts_with("wang")).unwrap();
    let words: Vec<&str> = wang.split_whitespace().collect();
    assert_eq!(words, ["wang", "王芳", "运维商甲", "daemon", "operator", "tenant=north", "1"]);
    let people = world.json(&["site", "people", "--site", "site"]);
    assert_eq!(people["people"][0]["hosts"]["viewer"], serde_json::json!(["north1", "south1"]));
}
