//! What people are told when something cannot be done: what, why, what to do next, and the exit code.

use crate::support::{World, golden};

/// A world in which much is wrong.
fn prepare() -> World {
    let world = World::new();
    world.run(&["repo", "init", "repo", "--key-file", "owner.json"]).expect(0);
    world.run(&["repo", "init", "other"]).expect(0);
    world.write("source/file", "content");
    world.write("source/list", "more");
    std::os::unix::fs::symlink("file", world.path("source/link")).unwrap();
    world.run(&["backup", "--key", "owner.json", "source", "--host", "web1"]).expect(0);
    world.run(&["key", "add", "--key", "owner.json", "--holder", "web1", "--writer", "writer.json"]).expect(0);
    world.write_secret("passphrase", "correct horse\n");
    world.write_secret("wrong-passphrase", "wrong\n");
    world.write_secret("empty-passphrase", "\n");
    world.write_secret("no-key.json", "{\"secret\": \"do not print this\"}");
    world.write("open-key.json", std::fs::read(world.path("owner.json")).unwrap());
    world
        .run(&["key", "add", "--key", "owner.json", "--holder", "ops", "--new-passphrase-file", "passphrase"])
        .expect(0);
    world.write("faulty.yaml", "kind: backup\nname: x y\nsource: [/etc]\nrepository: s3://bucket\n");
    world.write("a-file", "");
    world
}

const CASES: &[&[&str]] = &[
    // Where
    &["snapshots", "--repo", "absent"],
    &["snapshots", "--repo", ""],
    &["snapshots", "--repo", "s3://user:secret@bucket"],
    &["snapshots", "--repo", "a-file"],
    &["repo", "init", "repo"],
    // Who
    &["snapshots"],
    &["snapshots", "--key", "absent.json"],
    &["snapshots", "--key", "open-key.json"],
    &["snapshots", "--key", "no-key.json"],
    &["snapshots", "--key", "owner.json", "--repo", "other"],
    &["snapshots", "--passphrase-file", "wrong-passphrase"],
    &["snapshots", "--passphrase-file", "empty-passphrase"],
    &["snapshots", "--ask-passphrase"],
    &["ls", "--key", "writer.json", "latest"],
    &["repo", "check", "--key", "writer.json"],
    &["key", "add", "--key", "owner.json", "--holder", "ops", "--key-file", "new.json"],
    &["key", "add", "--key", "owner.json", "--holder", "new", "--key-file", "writer.json"],
    &["key", "add", "--key", "owner.json", "--holder", "new"],
    &["key", "remove", "--key", "owner.json", "nobody"],
    &["key", "sheet", "--key", "writer.json"],
    &["key", "sheet", "--from-sheet", "passphrase", "--key-file", "new.json"],
    // What
    &["ls", "--key", "owner.json", "beef"],
    &["ls", "--key", "owner.json", "latest@web2"],
    &["ls", "--key", "owner.json", "2001-01-01"],
    &["ls", "--key", "owner.json", "latest", "absent"],
    &["ls", "--key", "owner.json", "latest", "../etc"],
    &["find", "--key", "owner.json", "latest", "a["],
    &["find", "--key", "owner.json", "latest", "nothing-has-this-name"],
    &["diff", "--key", "owner.json", "latest", "latest", "absent"],
    &["cat", "--key", "owner.json", "latest", "$DIR/source"],
    &["cat", "--key", "owner.json", "latest", "$DIR/source/link"],
    &["inspect", "--key", "owner.json", "pack", "zz"],
    &["inspect", "--key", "owner.json", "pack"],
    &["inspect", "--key", "owner.json", "commit", "999"],
    // How
    &["backup", "--key", "owner.json"],
    &["backup", "--key", "owner.json", "absent"],
    &["backup", "--key", "owner.json", "source", "--exclude", "a["],
    &["backup", "--key", "owner.json", "source", "--exclude-larger-than", "many"],
    &["backup", "--key", "owner.json", "source", "--tag", "without-value"],
    &["restore", "--key", "owner.json", "latest"],
    &["restore", "--key", "owner.json", "latest", "absent", "--target", "target"],
    &["restore", "--key", "owner.json", "latest", "--target", "target", "--overwrite", "perhaps"],
    &["restore", "--key", "owner.json", "latest", "--target", "a-file"],
    &["run", "absent.yaml"],
    &["run", "faulty.yaml"],
    &["run", "faulty.yaml", "--json"],
    &["snapshots", "--key", "owner.json", "--log", "=nonsense="],
    &["restor"],
    &["ls", "--key", "owner.json", "latest", "absent", "--json"],
];

#[test]
fn every_error_says_what_why_and_what_next() {
    let world = prepare();
    let directory = world.text("");
    let directory = directory.trim_end_matches('/');
    let snapshots = world.json(&["snapshots", "--key", "owner.json"]);
    let field = |name: &str| snapshots[0][name].as_str().unwrap().to_owned();
    let (snapshot, time) = (field("id"), field("time"));
    let id = |repository: &str| {
        let config = std::fs::read_to_string(world.path(repository)).unwrap();
        serde_json::from_str::<serde_json::Value>(&config).unwrap()["repository"].as_str().unwrap().to_owned()
    };
    let (own, other) = (id("owner.json"), id(world.default_key().to_str().unwrap()));
    let mut transcript = String::new();
    for case in CASES {
        let args: Vec<String> = case.iter().map(|word| word.replace("$DIR", directory)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ran = world.run(&args);
        assert_ne!(ran.code, 0, "{case:?} succeeded: {}", ran.text());
        assert!(!ran.err.contains("secret") && !ran.err.contains("do not print"), "a secret was printed: {}", ran.err);
        transcript += &format!("$ strongroom {}\n{}{}[exit {}]\n\n", case.join(" "), ran.text(), ran.err, ran.code);
    }
    let known = [
        (directory, "$DIR"),
        (&own, "$REPO"),
        (&other, "$OTHER"),
        (&snapshot, "$SNAPSHOT"),
        (&snapshot[..12], "$SNAP"),
        (&time, "$TIME"),
    ];
    for (text, name) in known {
        transcript = transcript.replace(text, name);
    }
    golden("errors.txt", &transcript);
}
