//! Commands that ask a controller that runs; its one host is not there.

use serde_json::{Value, json};

use crate::support::World;

const PLAN: &str = "kind: backup\nname: nightly\nhosts: name=web1\nsources: [{ files: [/etc] }]\nrepository: main\nretain: { last: 3 }\n";

fn world() -> World {
    let world = World::with_repository();
    let site = format!("name: test\nzone: UTC\nrepositories: {{ main: {{ at: {} }} }}\n", world.text("repo"));
    world.write("site/site.yaml", site);
    world.write("site/hosts.yaml", "hosts: { web1: { address: 127.0.0.1, port: 1 } }\n");
    world.write("site/plans/nightly.yaml", PLAN);
    world
}

fn ask(world: &World, args: &[&str]) -> Value {
    world.json(&[args, &["--socket", "socket"]].concat())
}

#[test]
fn a_run_that_was_missed_is_shown_and_repeated() {
    let world = world();
    let _controller = world.serve("site");
    world.run(&["run", "nightly", "--host", "web1", "--watch", "--socket", "socket"]).expect(1);
    let runs = ask(&world, &["runs"]);
    let first = runs[0]["id"].as_str().unwrap();
    let shown = ask(&world, &["runs", "show", first]);
    let events: Vec<&str> =
        shown["entries"].as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["run-planned", "run-started", "run-ended"], "{shown}");
    let text = world.run(&["runs", "show", first, "--socket", "socket"]).expect(0);
    assert!(text.text().contains("asked for it") && text.text().contains("ended"), "{}", text.text());

    let dry = ask(&world, &["runs", "retry", first, "--dry-run"]);
    assert!(dry["dry-run"] == true && dry["run"].is_null() && dry["repeats"] == first, "{dry}");
    assert_eq!(ask(&world, &["runs"]).as_array().unwrap().len(), 1);
    let again = ask(&world, &["runs", "retry", first]);
    let second = again["run"].as_str().unwrap();
    world.run(&["runs", "watch", second, "--socket", "socket"]).expect(1);
    let shown = ask(&world, &["runs", "show", second]);
    assert_eq!(shown["run"]["origin"]["retry"]["of"], first, "{shown}");
    let refused = world.run(&["runs", "cancel", first, "--dry-run", "--socket", "socket"]).expect(2);
    assert!(refused.err.contains("has ended"), "{}", refused.err);
    world.run(&["runs", "show", "20261122t013000z-00000000", "--socket", "socket"]).expect(7);
    world.run(&["runs", "retry", "20261122t013000z-00000000", "--socket", "socket"]).expect(7);
}

#[test]
fn a_site_is_tried_before_it_is_loaded() {
    let world = world();
    let _controller = world.serve("site");
    world.write("site/plans/weekly.yaml", PLAN.replace("nightly", "weekly"));
    world.write("site/plans/nightly.yaml", PLAN.replace("last: 3", "last: 4"));
    world.write("site/hosts.yaml", "hosts: { web1: { address: 127.0.0.1, port: 1 }, web2: { address: 10.0.0.2 } }\n");
    for dry_run in [true, false] {
        let args: &[&str] = if dry_run { &["site", "load", "--dry-run"] } else { &["site", "load"] };
        let loaded = ask(&world, args);
        assert_eq!(loaded["dry-run"], dry_run);
        let changes = &loaded["changes"];
        let plans: Vec<_> =
            changes["plans"].as_array().unwrap().iter().map(|change| (&change["plan"], &change["change"])).collect();
        assert_eq!(plans, [(&json!("nightly"), &json!("changed")), (&json!("weekly"), &json!("added"))]);
        let hosts = changes["hosts"].as_array().unwrap();
        assert!(!hosts.is_empty() && hosts.iter().all(|host| host["change"] == "added"), "{changes}");
        assert_eq!(changes["weaker"], json!([]), "{changes}");
        assert_eq!(ask(&world, &["host", "list"]).as_array().unwrap().len(), if dry_run { 1 } else { 2 });
    }
    world.write("site/plans/nightly.yaml", PLAN.replace("last: 3", "last: 2"));
    let text = world.run(&["site", "load", "--dry-run", "--socket", "socket"]).expect(0);
    let text = text.text();
    assert!(text.starts_with("! plan nightly: ") && text.contains("protected LESS"), "{text}");
    world.write("site/plans/weekly.yaml", PLAN.replace("name: nightly", "nam: weekly"));
    let refused = world.run(&["site", "load", "--dry-run", "--socket", "socket"]).expect(2);
    assert!(refused.err.contains("P-0008"), "{}", refused.err);
    let journal = world.run(&["journal", "show"]).expect(0);
    assert!(!journal.text().contains("site-refused"), "a dry run writes nothing: {}", journal.text());
}

#[test]
fn a_host_that_was_never_seen_says_so() {
    let world = world();
    let _controller = world.serve("site");
    let text = world.run(&["host", "show", "web1", "--socket", "socket"]).expect(0);
    assert!(text.text().contains("never") && text.text().contains("nightly"), "{}", text.text());
    let list = world.run(&["host", "list", "--socket", "socket"]).expect(0);
    assert!(list.text().contains("LAST SEEN") && list.text().contains("never"), "{}", list.text());
    world.run(&["host", "facts", "web1", "--refresh", "--socket", "socket"]).expect(1);
    world.run(&["host", "show", "web9", "--socket", "socket"]).expect(7);
}

/// Neither host is there; who is beyond the quota is not even asked.
#[test]
fn a_quota_refuses_the_runs_of_its_own_tenant_and_no_others() {
    let world = world();
    // It does not compress.
    let mut noise = vec![0; 200_000];
    blake3::Hasher::new_keyed(&[7; 32]).finalize_xof().fill(&mut noise);
    world.write("data/noise", &noise);
    world.run(&["backup", "data", "--host", "north1"]).expect(0);
    let quotas = "quotas:\n  - { repository: main, hosts: tenant=north, soft: 50 KiB, hard: 100 KiB }\n  - { repository: main, hosts: tenant=south, hard: 100 KiB }\n  - { repository: main, hard: 1 GiB }\n";
    let site = std::fs::read_to_string(world.path("site/site.yaml")).unwrap();
    world.write("site/site.yaml", site + quotas);
    let host = |name: &str, tenant: &str| {
        format!("  {name}: {{ address: 127.0.0.1, port: 1, labels: {{ tenant: {tenant} }} }}\n")
    };
    world.write("site/hosts.yaml", format!("hosts:\n{}{}", host("north1", "north"), host("south1", "south")));
    world.write("site/plans/nightly.yaml", PLAN.replace("name=web1", "\"*\""));
    let _controller = world.serve("site");
    let told = |host: &str| {
        let ran = world.run(&["run", "nightly", "--host", host, "--watch", "--socket", "socket"]).expect(1);
        format!("{}{}", ran.text(), ran.err)
    };
    let north = told("north1");
    assert!(north.contains("of the quota of 100 KiB") && north.contains("tenant=north"), "{north}");
    let south = told("south1");
    assert!(!south.contains("quota") && south.contains("cannot be reached"), "{south}");
}
