//! Keys from making to taking away.

use std::os::unix::fs::PermissionsExt;

use crate::support::World;

fn names(world: &World, key: &[&str]) -> Vec<String> {
    let list = world.json(&[&["key", "list"], key].concat());
    list.as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["holder"].as_str().unwrap(), row["role"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_key_file_is_its_owners_alone_and_never_overwritten() {
    let world = World::new();
    let made = world.json(&["repo", "init", "repo"]);
    let path = world.default_key();
    assert_eq!(made["key-file"].as_str().unwrap(), path.to_str().unwrap());
    assert_eq!(path.file_stem().unwrap().to_str().unwrap(), made["repository"].as_str().unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let before = std::fs::read(&path).unwrap();
    let ran = world.run(&["repo", "init", "second", "--key-file", path.to_str().unwrap()]).expect(1);
    assert!(ran.err.contains("never overwritten"), "{}", ran.err);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(!world.path("second/config").exists(), "a repository was made whose key could not be kept");
}

#[test]
fn holders_and_writers_come_and_go() {
    let world = World::with_repository();
    world.write("source/file", "content");
    world.write_secret("phrase", "correct horse\n");
    world.run(&["key", "add", "--holder", "ops", "--new-passphrase-file", "phrase", "--dry-run"]).expect(0);
    assert_eq!(names(&world, &[]), ["owner holder"]);
    world.run(&["key", "add", "--holder", "ops", "--new-passphrase-file", "phrase"]).expect(0);
    world.run(&["key", "add", "--holder", "vault", "--key-file", "vault.json"]).expect(0);
    world.run(&["key", "add", "--holder", "web1", "--writer", "writer.json"]).expect(0);
    assert_eq!(names(&world, &[]), ["ops holder", "owner holder", "vault holder", "web1 writer"]);
    assert_eq!(names(&world, &["--passphrase-file", "phrase"]).len(), 4);

    // A writer adds, and reads nothing.
    world.run(&["backup", "source", "--key", "writer.json"]).expect(0);
    world.run(&["snapshots", "--key", "writer.json"]).expect(6);
    assert_eq!(world.json(&["snapshots", "--key", "vault.json"])[0]["signer"], "web1");

    world.run(&["key", "rotate", "--dry-run"]).expect(0);
    assert_eq!(world.json(&["key", "rotate"])["epoch"], 2);
    world.run(&["backup", "source"]).expect(0);
    world.run(&["key", "remove", "ops"]).expect(0);
    world.run(&["snapshots", "--passphrase-file", "phrase"]).expect(6);
    let content = world.run(&["cat", "--key", "vault.json", "latest", &world.text("source/file")]).expect(0);
    assert_eq!(content.text(), "content");
    world.run(&["key", "remove", "vault"]).expect(0);
    let last = world.run(&["key", "remove", "owner"]).expect(6);
    assert!(last.err.contains("last holder"), "{}", last.err);
}

#[test]
fn a_sheet_brings_a_lost_key_back() {
    let world = World::with_repository();
    let sheet = world.run(&["key", "sheet"]).expect(0);
    let typed = sheet.text().to_lowercase();
    let key = world.default_key();
    std::fs::rename(&key, world.path("lost.json")).unwrap();
    world.run(&["key", "list"]).expect(6);
    world
        .run_with_input(&["key", "sheet", "--from-sheet", "-", "--key-file", "typed.json"], typed.as_bytes())
        .expect(0);
    assert_eq!(names(&world, &["--key", "typed.json"]), ["owner holder"]);
    assert_eq!(std::fs::metadata(world.path("typed.json")).unwrap().permissions().mode() & 0o7777, 0o600);
    let slip = typed.replacen("\n2  ", "\n2  a", 1);
    let ran = world
        .run_with_input(&["key", "sheet", "--from-sheet", "-", "--key-file", "slip.json"], slip.as_bytes())
        .expect(2);
    assert!(ran.err.contains("line 2"), "{}", ran.err);
    assert!(!world.path("slip.json").exists());
}

#[test]
fn the_environment_names_a_key_and_the_command_line_comes_first() {
    let world = World::with_repository();
    world.write_secret("phrase", "correct horse\n");
    world.run(&["key", "add", "--holder", "ops", "--new-passphrase-file", "phrase"]).expect(0);
    let code = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = world.command(&[&["key", "list"], args].concat());
        command.envs(variables.iter().copied()).output().unwrap().status.code().unwrap()
    };
    assert_eq!(code(&[], &[("STRONGROOM_KEY", "absent.json")]), 7);
    assert_eq!(code(&[], &[("STRONGROOM_KEY", "")]), 0);
    assert_eq!(code(&["--passphrase-file", "phrase"], &[("STRONGROOM_KEY", "absent.json")]), 0);
    assert_eq!(code(&[], &[("STRONGROOM_PASSPHRASE_FILE", "phrase")]), 0);
    assert_eq!(code(&[], &[("STRONGROOM_PASSPHRASE_FILE", "absent")]), 7);
}

#[test]
fn a_passphrase_alone_opens_a_repository() {
    let world = World::new();
    world.write_secret("phrase", "correct horse\n");
    let made = world.json(&["repo", "init", "repo", "--passphrase-file", "phrase"]);
    assert!(made["key-file"].is_null());
    assert!(!world.path("home/.config").exists());
    assert_eq!(names(&world, &["--passphrase-file", "phrase"]), ["owner holder"]);
    world.run(&["key", "list"]).expect(6);
}

/// Three typed sheets of which two are needed.
fn split(world: &World) {
    let split = world.json(&["key", "sheet", "--shares", "2/3", "--out", "sheets"]);
    assert_eq!(split["files"].as_array().unwrap().len(), 3);
    for number in 1..=3 {
        let mode = std::fs::metadata(world.path(&share(number))).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
}

fn share(number: u8) -> String {
    format!("sheets/key-share-{number}-of-3.txt")
}

#[test]
fn two_shares_of_three_bring_a_lost_key_back() {
    let world = World::with_repository();
    split(&world);
    let again = world.run(&["key", "sheet", "--shares", "2/3", "--out", "sheets"]).expect(1);
    assert!(again.err.contains("two splits"), "{}", again.err);
    let key = world.default_key();
    std::fs::rename(&key, world.path("lost.json")).unwrap();
    let both = |left: &str, right: &str, out: &str| {
        world.run(&["key", "sheet", "--from-sheet", left, "--sheet", right, "--key-file", out])
    };
    for (at, (left, right)) in [(1, 2), (3, 1), (2, 3)].into_iter().enumerate() {
        let out = format!("joined-{at}.json");
        both(&share(left), &share(right), &out).expect(0);
        assert_eq!(names(&world, &["--key", &out]), ["owner holder"]);
    }
    let told = |ran: crate::support::Ran, what: &str| {
        assert!(ran.err.contains(what), "{}", ran.err);
        assert!(!world.path("none.json").exists());
    };
    let one = world.run(&["key", "sheet", "--from-sheet", &share(1), "--key-file", "none.json"]).expect(6);
    told(one, "2 shares are needed, and there is share 1: bring 1 of share 2, 3");
    told(both(&share(1), &share(1), "none.json").expect(6), "sheet 2 is share 1 once more");
    let typed = std::fs::read_to_string(world.path(&share(2))).unwrap();
    world.write_secret("slip", &typed.replacen("\n3  ", "\n3  A", 1));
    told(both(&share(1), "slip", "none.json").expect(2), "slip\n  why:  line 3 of the key sheet");
    std::fs::rename(world.path("lost.json"), &key).unwrap();
    world.run(&["key", "sheet", "--shares", "2/3", "--out", "later"]).expect(0);
    told(both(&share(1), "later/key-share-2-of-3.txt", "none.json").expect(6), "sheet 2 is of the split");
    let whole = world.run(&["key", "sheet"]).expect(0);
    world.write_secret("whole", whole.text());
    told(both(&share(1), "whole", "none.json").expect(2), "enough alone");
}
