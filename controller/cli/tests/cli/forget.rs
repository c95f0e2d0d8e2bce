//! Forgetting, holding and pruning, as people type it.

use crate::support::World;

/// Backups of two hosts, each of another content.
fn backups(world: &World, count: usize) -> Vec<String> {
    let one = |number: usize| {
        world.write("source/changing", vec![number as u8 + 1; 300_000]);
        world.write(&format!("source/new {number}"), blake3::hash(&[number as u8]).to_hex().repeat(5000));
        let host = ["web1", "web2"][number % 2];
        world.json(&["backup", "source", "--host", host])["snapshot"].as_str().unwrap().to_owned()
    };
    (0..count).map(one).collect()
}

fn ids(world: &World) -> Vec<String> {
    let listed = world.json(&["snapshots"]);
    listed.as_array().unwrap().iter().map(|snapshot| snapshot["id"].as_str().unwrap().to_owned()).collect()
}

/// As `du` counts them.
fn stored_bytes(world: &World) -> u64 {
    let counted =
        std::process::Command::new("du").args(["--apparent-size", "-sb"]).arg(world.path("repo")).output().unwrap();
    String::from_utf8(counted.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn rules_forget_source_by_source_and_a_prune_makes_room() {
    let world = World::with_repository();
    let all = backups(&world, 6);
    let rehearsed = world.json(&["forget", "--keep", "last=1", "--dry-run"]);
    assert_eq!(rehearsed["forgotten"].as_array().unwrap().len(), 4, "{rehearsed}");
    assert_eq!(ids(&world), all, "a rehearsal forgot something");
    world.run(&["forget", "--keep", "last=1", "--host", "web1"]).expect(0);
    assert_eq!(ids(&world), [1, 3, 4, 5].map(|number| all[number].clone()));
    let told = world.run(&["forget", "--keep", "last=1"]).expect(0);
    assert!(told.text().contains("forgotten: 2; kept: 2"), "{}", told.text());
    assert_eq!(ids(&world), all[4..]);

    let plan = world.json(&["repo", "prune", "repo", "--dry-run"]);
    assert!(plan["report"].is_null() && plan["plan"]["deleted-bytes"].as_u64().unwrap() > 0, "{plan}");
    let before = stored_bytes(&world);
    let pruned = world.json(&["repo", "prune", "repo"]);
    assert_eq!(pruned["report"]["swept"].as_u64().unwrap() as usize, pruned["plan"]["packs"].as_array().unwrap().len());
    let after = stored_bytes(&world);
    assert!(after < before, "{before} bytes became {after}");
    world.run(&["repo", "check", "--read-data", "repo"]).expect(0);
    let source = world.text("source");
    world.run(&["restore", "latest", "--target", "out"]).expect(0);
    world.assert_same(&world.path("source"), &world.path("out").join(&source[1..]));
}

#[test]
fn what_must_stay_is_told_with_what_to_do() {
    let world = World::with_repository();
    let all = backups(&world, 2);
    world.run(&["hold", "add", &all[0], "--name", "case-17", "--reason", "court order"]).expect(0);
    let refused = world.run(&["forget", &all[0]]).expect(1);
    assert!(refused.err.contains("held by 'case-17': court order"), "{}", refused.err);
    let kept = world.run(&["forget", "--keep", "last=1"]).expect(0);
    assert!(kept.text().contains("keep: last #1, held by case-17"), "{}", kept.text());
    let late = world.run(&["hold", "add", &all[1], "--name", "x", "--reason", "y", "--until", "2020-01-01"]).expect(2);
    assert!(late.err.contains("would end before it begins"), "{}", late.err);
    world.run(&["hold", "release", &all[0], "--name", "case-18", "--reason", "closed"]).expect(7);
    world.run(&["hold", "release", &all[0], "--name", "case-17", "--reason", "closed"]).expect(0);
    world.run(&["forget", &all[0]]).expect(0);
    assert_eq!(ids(&world), all[1..]);
    world.run(&["forget"]).expect(2);
}

/// More than ten and more than a quarter: a wrong rule is likelier than age.
#[test]
fn many_at_once_are_not_forgotten_by_the_way() {
    let world = World::with_repository();
    let all = backups(&world, 24);
    let refused = world.run(&["forget", "--keep", "last=1"]).expect(4);
    assert!(refused.text().contains("REFUSED: 11 of 12 snapshots"), "{}", refused.text());
    assert_eq!(ids(&world).len(), all.len());
    world.run(&["forget", "--keep", "last=1", "--allow-many"]).expect(0);
    assert_eq!(ids(&world).len(), 2);
}

/// The newest one that a restore has proven stays although the rules would drop it; nor is it forgotten by name.
#[test]
fn the_last_proven_one_stays() {
    let world = World::with_repository();
    world.write("source/ledger", "42\n");
    let source = world.text("source");
    let text = format!(
        "kind: backup\nname: test\nsources:\n  - files: [{source}]\nrepository: ./repo\nretain: {{ last: 1 }}\nprove: {{ level: restored }}\n"
    );
    world.write("plan.yaml", text);
    let answer = world.json(&["run", "plan.yaml"]);
    let proven = answer["record"]["steps"][0]["outcome"]["snapshot"].as_str().unwrap().to_owned();
    assert_eq!(answer["record"]["proof"], "L3", "{answer}");
    let host = answer["record"]["host"].as_str().unwrap();
    for version in 0..2 {
        world.write("source/ledger", format!("{version}\n"));
        world.run(&["backup", "source", "--tag", "plan=test", "--host", host]).expect(0);
    }
    let told = world.run(&["forget", "--plan", "plan.yaml"]).expect(0);
    assert!(
        told.text().contains("keep: last proven") && told.text().contains("forgotten: 1; kept: 2"),
        "{}",
        told.text()
    );
    let refused = world.run(&["forget", &proven]).expect(2);
    assert!(refused.err.contains("proven by a restore"), "{}", refused.err);
    world.run(&["forget", "--allow-many", &proven]).expect(0);
}
