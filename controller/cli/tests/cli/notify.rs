//! `strongroom notify test` against a controller that runs.

use crate::support::World;

#[test]
fn each_way_is_tried_and_says_what_came_of_it() {
    let world = World::new();
    let ways = "notifications:\n\
        \x20 - { name: good, command: [sh, -c, \"cat > told\"], on: [failed] }\n\
        \x20 - { command: [\"false\"], on: [failed] }\n\
        \x20 - { webhook: { url: \"http://127.0.0.1:1/robot?key=geheim\" }, on: [failed] }\n";
    world.write("site/site.yaml", format!("name: test\nzone: UTC\n{ways}"));
    world.write("site/hosts.yaml", "hosts: { web1: { address: 10.0.0.1 } }\n");
    let _controller = world.serve("site");
    let ran = world.run(&["notify", "test", "--dry-run", "--socket", "socket"]).expect(0);
    assert!(ran.text().contains("not tried") && !world.path("told").exists(), "{}", ran.text());
    let ran = world.run(&["notify", "test", "--json", "--socket", "socket"]).expect(1);
    let tested: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
    let brief = |at: usize| (tested[at]["way"].as_str().unwrap(), tested[at]["sent"].as_bool().unwrap());
    assert_eq!([brief(0), brief(1), brief(2)], [("good", true), ("2", false), ("3", false)], "{tested}");
    assert!(tested[1]["fault"].as_str().unwrap().contains("exit status: 1"), "{tested}");
    assert!(!ran.text().contains("geheim"), "{tested}");
    let told = std::fs::read_to_string(world.path("told")).unwrap();
    assert!(told.contains("\"occasion\":\"test\""), "{told}");
    world.run(&["notify", "test", "--way", "good", "--socket", "socket"]).expect(0);
    let ran = world.run(&["notify", "test", "--way", "gud", "--socket", "socket"]).expect(7);
    assert!(ran.err.contains("good, 2, 3"), "{}", ran.err);
}
