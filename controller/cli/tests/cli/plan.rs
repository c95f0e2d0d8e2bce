//! `strongroom run PLAN`.

use serde_json::Value;

use crate::support::World;

fn plan(world: &World, prove: &str) {
    world.write("source/etc/hosts", "127.0.0.1 localhost\n");
    world.write("source/etc/a.tmp", "left out");
    world.write("second/ledger", "42\n");
    let (source, second) = (world.text("source"), world.text("second"));
    let text = format!(
        "kind: backup\nname: test\nsources:\n  - files: [{source}]\n    exclude: [\"*.tmp\"]\n  - files: [{second}]\n\
         repository: ./repo\nretain: {{ last: 2 }}\nprove: {prove}\ntags: {{ system: billing }}\n"
    );
    world.write("plan.yaml", text);
}

fn steps(answer: &Value) -> Vec<&str> {
    answer["record"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["outcome"]["result"].as_str().unwrap())
        .collect()
}

fn no_scratch(world: &World) {
    let left = std::fs::read_dir(world.path("home/.local/state/strongroom/scratch")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the scratch directory is still there");
}

#[test]
fn a_plan_is_run_proven_and_recorded() {
    let world = World::new();
    let ledger = world.text("second/ledger");
    plan(&world, &format!("{{ level: restored, checks: [[test, -s, \"{}\"], [\"true\"]] }}", &ledger[1..]));
    let shown = world.run(&["run", "plan.yaml", "--dry-run"]).expect(0);
    assert!(shown.text().contains("5. show what retention would keep"), "{}", shown.text());
    assert!(!world.path("repo").exists(), "a dry run made a repository");

    let answer = world.json(&["run", "plan.yaml"]);
    let record = &answer["record"];
    assert_eq!(steps(&answer), ["backed-up", "backed-up", "restored", "verified", "previewed"]);
    assert_eq!((record["verdict"].as_str(), record["proof"].as_str()), (Some("done"), Some("L3")), "{record}");
    assert_eq!(record["steps"][2]["outcome"]["verification"]["files-equal"], 2);
    let file = std::fs::read_to_string(answer["record-file"].as_str().unwrap()).unwrap();
    assert_eq!(&serde_json::from_str::<Value>(&file).unwrap(), record);
    no_scratch(&world);

    let text = world.run(&["run", "plan.yaml"]).expect(0);
    for part in [
        "the repository is on the same file system as",
        "DONE and PROVEN",
        "proof    L3 (restored)",
        "key ",
        "record ",
        "strongroom restore --repo",
    ] {
        assert!(text.text().contains(part), "{part} is not in {}", text.text());
    }
    let snapshots = world.json(&["snapshots", "--tag", "plan=test"]);
    assert_eq!(snapshots.as_array().unwrap().len(), 4);
    let third = world.json(&["run", "plan.yaml"]);
    let kept = third["record"]["steps"][4]["outcome"]["snapshots"].as_array().unwrap();
    let dropped = kept.iter().filter(|kept| kept["verdict"] == "drop").count();
    assert_eq!((kept.len(), dropped), (6, 2), "each source keeps its own history");
    for command in answer["next"].as_array().unwrap() {
        let words: Vec<&str> = command.as_str().unwrap().split(' ').collect();
        world.run(&words[1..]).expect(0);
    }
}

#[test]
fn a_check_that_does_not_agree_proves_nothing() {
    let world = World::new();
    plan(&world, "{ level: restored, checks: [[\"false\"], [\"true\"], [/does/not/exist]] }");
    let ran = world.run(&["run", "plan.yaml"]).expect(4);
    for part in [
        "NOT PROVEN",
        "L0 (claimed); the plan demands L3",
        "check false: DOES NOT AGREE",
        "check true: agrees",
        "could NOT BE STARTED",
    ] {
        assert!(ran.text().contains(part), "{part} is not in {}", ran.text());
    }
    no_scratch(&world);
}

#[test]
fn what_fails_leaves_the_rest_undone_and_is_recorded() {
    let world = World::new();
    plan(&world, "{ level: restored }");
    world.run(&["run", "plan.yaml"]).expect(0);
    std::fs::remove_dir_all(world.path("second")).unwrap();
    let ran = world.run(&["run", "plan.yaml", "--json"]).expect(7);
    let answer: Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!(steps(&answer), ["backed-up", "failed", "not-begun", "not-begun", "not-begun"]);
    assert_eq!(answer["record"]["verdict"], "failed");
    assert!(ran.err.contains("none of the sources"), "{}", ran.err);
    no_scratch(&world);
}

#[test]
fn the_named_key_opens_the_repository_that_a_run_makes() {
    let world = World::new();
    plan(&world, "{ level: restored }");
    world.run(&["run", "plan.yaml", "--key", "plan-key.json"]).expect(0);
    assert!(!world.path("home/.config").exists());
    world.run(&["run", "plan.yaml", "--key", "plan-key.json"]).expect(0);
    world.run(&["run", "plan.yaml"]).expect(6);
}

#[test]
fn a_plan_without_proof_claims_nothing_more() {
    let world = World::new();
    world.write("source/file", "x");
    let source = world.text("source");
    world.write(
        "plan.yaml",
        format!(
            "kind: backup\nname: t\nsources: [{{ files: [{source}] }}]\nrepository: ./repo\nretain: {{ last: 2 }}\n"
        ),
    );
    let ran = world.run(&["run", "plan.yaml"]).expect(0);
    assert!(ran.text().starts_with("DONE, not proven"), "{}", ran.text());
}

#[test]
fn a_repository_behind_a_link_in_a_source_is_found_out() {
    let world = World::new();
    world.write("source/real/keep", "x");
    std::os::unix::fs::symlink(world.path("source/real"), world.path("plans")).unwrap();
    let source = world.text("source");
    world.write(
        "source/real/plan.yaml",
        format!(
            "kind: backup\nname: t\nsources: [{{ files: [{source}] }}]\nrepository: ./repo\nretain: {{ last: 2 }}\n"
        ),
    );
    let ran = world.run(&["run", "plans/plan.yaml"]).expect(2);
    assert!(ran.err.contains("P-0023"), "{}", ran.err);
}

/// A plan that promises full backups is not kept by reading only what has changed.
#[test]
fn a_run_reads_what_the_plan_promises() {
    let world = World::new();
    plan(&world, "{ level: restored }");
    let text = std::fs::read_to_string(world.path("plan.yaml")).unwrap();
    let expect = |schedule: &str, words: &[&str], kind: &str| {
        world.write("plan.yaml", format!("{text}schedule: {schedule}\n"));
        let answer = world.json(&[&["run", "plan.yaml"], words].concat());
        let backup = &answer["record"]["steps"][0]["outcome"];
        assert_eq!(backup["kind"], kind, "{schedule} {words:?}: {backup}");
    };
    expect("{ incremental: daily 01:30 }", &[], "incremental");
    expect("{ full: weekly sun 01:30, incremental: daily 01:30 }", &[], "incremental");
    expect("{ full: weekly sun 01:30, incremental: daily 01:30 }", &["--full"], "full");
    expect("{ full: daily 01:30 }", &[], "full");
}

/// A plan whose commands say in a log that they ran, and what they were told.
fn plan_with_commands(world: &World, before: &str, dump: &str) {
    world.write("source/ledger", "42\n");
    let log = world.text("log");
    let say = |what: &str| format!("[sh, -c, \"echo {what} $STRONGROOM_WHEN $STRONGROOM_RESULT >>{log}; {before}\"]");
    let after = format!("[sh, -c, \"echo after $STRONGROOM_PLAN $STRONGROOM_RESULT >>{log}\"]");
    let text = format!(
        "kind: backup\nname: test\nsources:\n  - files: [{}]\n    before: [{{ run: {} }}]\n    after: [{{ run: {after} }}]\n  \
         - command: [sh, -c, \"{dump}\"]\n    name: /dumps/all.sql\n    time-out: 1m\n\
         repository: ./repo\nretain: {{ last: 2 }}\nprove: {{ level: restored }}\nlimits: {{ upload: 1 GiB, read: 1 GiB, threads: 1 }}\n",
        world.text("source"),
        say("before"),
    );
    world.write("plan.yaml", text);
}

#[test]
fn what_a_command_prints_is_backed_up_between_the_commands_around_it() {
    let world = World::new();
    plan_with_commands(&world, "true", "seq 1 100000");
    let answer = world.json(&["run", "plan.yaml"]);
    assert_eq!(steps(&answer), ["backed-up", "backed-up", "restored", "verified", "previewed"]);
    assert_eq!(std::fs::read_to_string(world.path("log")).unwrap(), "before before\nafter test backed-up\n");
    let dump = world.run(&["cat", "latest", "/dumps/all.sql"]).expect(0);
    let expect: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert!(dump.out == expect.as_bytes(), "{} bytes", dump.out.len());
}

#[test]
fn a_command_that_fails_leaves_no_snapshot() {
    for (before, dump, snapshots, told) in [
        ("exit 3", "true", 0, "the command before the backup"),
        ("true", "echo half; echo no space >&2; exit 1", 1, "no space"),
    ] {
        let world = World::new();
        plan_with_commands(&world, before, dump);
        let ran = world.run(&["run", "plan.yaml"]);
        assert!(ran.code != 0 && ran.err.contains(told), "{}: {}", ran.code, ran.err);
        assert_eq!(world.json(&["snapshots"]).as_array().unwrap().len(), snapshots, "{told}");
        let log = std::fs::read_to_string(world.path("log")).unwrap();
        assert!(log.contains("after test"), "an application that was stopped is not started again: {log}");
    }
}
