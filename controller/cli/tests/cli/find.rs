//! What can be had back, as of when: over all snapshots of a repository, and of a site.

use serde_json::Value;

use crate::support::World;

const SITE: &str = "\
name: fleet
zone: UTC
repositories:
  main: { at: /MAIN, site: here }
  copy: { at: /COPY, site: there }
";
const PLAN: &str = "\
kind: backup
name: billing
sources: [{ files: [/SOURCE] }]
repository: /MAIN
retain: { last: 3 }
prove: { level: restored }
";

/// Two hosts; on one of them a file that changed between two backups. The last one of it is proven, and in a copy, too.
fn fleet() -> World {
    let world = World::with_repository();
    world.write("web1/ledger.db", "first");
    world.write("web1/政务/台账.txt", "x");
    world.run(&["backup", "web1", "--host", "web1"]).expect(0);
    world.write("web1/ledger.db", "second, and longer");
    world.run(&["backup", "web1", "--host", "web1"]).expect(0);
    world.write("web2/ledger.db", "another host's");
    world.run(&["backup", "web2", "--host", "web2", "--copy", "copy"]).expect(0);
    for (name, text) in [("site/site.yaml", SITE), ("plan.yaml", PLAN)] {
        let text = text.replace("/MAIN", &world.text("repo")).replace("/COPY", &world.text("copy"));
        world.write(name, text.replace("/SOURCE", &world.text("web1")));
    }
    world.write("site/hosts.yaml", "hosts: { web1: { address: 10.0.0.5 } }\n");
    world
}

fn sizes(found: &Value) -> Vec<u64> {
    let points = found["points"].as_array().unwrap();
    points.iter().map(|point| point["entry"]["size"].as_u64().unwrap()).collect()
}

#[test]
fn a_path_has_its_restore_points_the_newest_first() {
    let world = fleet();
    let path = world.text("web1/ledger.db");
    let found = world.json(&["find", "--path", &path]);
    assert_eq!(found["matches"].as_array().unwrap().len(), 1, "{found}");
    let ledger = &found["matches"][0];
    assert_eq!((&ledger["host"], &ledger["path"]), (&Value::from("web1"), &Value::from(path.as_str())));
    assert_eq!(sizes(ledger), [18, 5]);
    assert_eq!(ledger["points"][0]["entry"]["blake3"], blake3::hash(b"second, and longer").to_hex().to_string());
    assert_eq!(ledger["points"][0]["proof"], Value::Null);

    // As of then: the second one did not exist yet.
    let then = ledger["points"][1]["time"].as_str().unwrap();
    let old = world.json(&["find", "--path", &path, "--at", then]);
    assert_eq!(sizes(&old["matches"][0]), [5]);
    world.run(&["find", "--path", &path, "--at", "2001-01-01T00:00"]).expect(7);

    // A run on this machine restores what it stored; that is known here.
    world.run(&["run", "plan.yaml"]).expect(0);
    let proven = world.json(&["find", "--path", &path, "--points", "1"]);
    let newest = &proven["matches"].as_array().unwrap().iter().find(|found| found["host"] != "web1").unwrap()["points"];
    assert_eq!((&newest[0]["proof"]["level"], &newest[0]["plan"]), (&"L3".into(), &"billing".into()), "{proven}");
}

#[test]
fn names_are_found_on_every_host_and_in_every_copy() {
    let world = fleet();
    let found = world.json(&["find", "--site", "site", "--name", "ledger.*"]);
    let matches = found["matches"].as_array().unwrap();
    let hosts: Vec<&str> = matches.iter().map(|found| found["host"].as_str().unwrap()).collect();
    assert_eq!(hosts, ["web1", "web2"], "{found}");
    let [one, two] = [0, 1].map(|number| &matches[number]);
    assert_eq!((&one["points-total"], sizes(one)), (&Value::from(2), vec![18]));
    assert_eq!(one["points"][0]["repositories"], serde_json::json!(["main"]));
    assert_eq!(two["points"][0]["repositories"], serde_json::json!(["copy", "main"]));

    let ran = world.run(&["find", "--site", "site", "--name", "台*", "--host", "web1"]).expect(0);
    assert!(ran.text().contains("政务/台账.txt") && ran.text().contains("NO"), "{}", ran.text());
    world.run(&["find", "--site", "site", "--name", "台*", "--host", "web2"]).expect(7);
    let cut = world.run(&["find", "--name", "*", "--limit", "2"]).expect(0);
    assert!(cut.text().contains("there are more paths than these"), "{}", cut.text());

    // A copy that is out of reach is named, and the others answer.
    world.run(&["find", "--site", "site", "--name", "ledger.db", "--key", "nothing"]).expect(7);
    std::fs::rename(world.path("copy"), world.path("away")).unwrap();
    let ran = world.run(&["find", "--site", "site", "--name", "ledger.db"]).expect(5);
    assert!(ran.err.contains("copy is left out") && ran.text().contains("web2"), "{}", ran.err);
}
