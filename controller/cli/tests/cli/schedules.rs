//! `strongroom plan`: what it says of the plans that are shipped, and of faulty ones.

use std::path::PathBuf;

use crate::support::World;

fn example(name: &str) -> String {
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../plans/examples");
    examples.join(format!("{name}.yaml")).display().to_string()
}

const CLASSES: [&str; 5] = ["business-data", "database-files", "system-configuration", "os-image", "other-files"];

#[test]
fn the_plans_that_are_shipped_are_sound() {
    let world = World::new();
    let files: Vec<String> = CLASSES.iter().chain(&["this-host"]).map(|name| example(name)).collect();
    let words: Vec<&str> = ["plan", "check"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let checked = world.run(&words).expect(0);
    for name in CLASSES {
        assert!(checked.text().contains(&format!("plan {name} is sound")), "{}", checked.text());
    }
}

#[test]
fn a_new_plan_is_sound_and_overwrites_nothing() {
    let world = World::new();
    let words = ["plan", "new", "--template", "database-files", "--name", "billing-db", "billing.yaml"];
    let shown = world.run(&[&words[..], &["--dry-run"]].concat()).expect(0);
    assert!(shown.text().contains("\nname: billing-db\n") && !world.path("billing.yaml").exists(), "{}", shown.text());
    world.run(&words).expect(0);
    assert_eq!(std::fs::read_to_string(world.path("billing.yaml")).unwrap(), shown.text());
    world.run(&["plan", "check", "billing.yaml"]).expect(0);
    world.run(&words).expect(1);
    world.run(&["plan", "new", "--template", "x", "--name", "y", "z.yaml"]).expect(2);
    world.run(&["plan", "new", "--template", "os-image", "--name", "two words", "z.yaml"]).expect(2);
}

#[test]
fn all_faults_of_all_files_are_shown_at_once() {
    let world = World::new();
    world.write("a.yaml", "kind: backup\nname: two words\nschedule: { full: dayly 01:30 }\n");
    world.write("b.yaml", "kind: backup\nname: b\nsources: [{ files: [etc] }]\nrepository: /r\nretain: { last: 1 }\n");
    let checked = world.run(&["plan", "check", "a.yaml", &example("os-image"), "b.yaml"]).expect(2);
    for part in ["a.yaml:2:7", "a.yaml:3:19", "b.yaml:3:21", "plan os-image is sound"] {
        assert!(checked.text().contains(part), "{part} is not in\n{}", checked.text());
    }
    let json = world.run(&["plan", "check", "b.yaml", "--json"]).expect(2);
    let json: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    assert_eq!(json[0]["faults"][0]["code"], "P-0019");
    world.run(&["plan", "check", "absent.yaml"]).expect(7);
}

#[test]
fn the_next_runs_stand_in_the_zone_of_the_plan() {
    let world = World::new();
    let next = world.json(&["plan", "next", &example("database-files"), "--count", "8"]);
    assert_eq!(next["zone"], "Asia/Shanghai");
    let runs = next["runs"].as_array().unwrap();
    assert!(runs.iter().all(|run| run["time"].as_str().unwrap().ends_with("T01:30:00+08:00")), "{next}");
    let full = runs.iter().filter(|run| run["kind"] == "full").count();
    assert!(runs.len() == 8 && (1..=2).contains(&full), "{next}");
    world.run(&["plan", "next", &example("this-host")]).expect(2);
    world.run(&["plan", "next", &example("os-image"), "--count", "0"]).expect(2);
    let outside = ["plan", "simulate", &example("os-image"), "--from", "2027-01-01", "--on", "2028-01-01"];
    assert!(world.run(&outside).expect(2).err.contains("is not among the 365 days"));
}

#[test]
fn a_year_is_shown_as_a_picture_and_in_numbers() {
    let world = World::new();
    let expected = [(365, 0), (52, 313), (12, 0), (4, 0), (2, 52)];
    for (name, (full, incremental)) in CLASSES.into_iter().zip(expected) {
        let year = world.json(&["plan", "simulate", &example(name), "--from", "2027-01-01"]);
        assert_eq!((year["full"].as_u64(), year["incremental"].as_u64()), (Some(full), Some(incremental)), "{name}");
        assert_eq!(year["runs"].as_array().unwrap().len() as u64, full + incremental);
    }
    let plan = example("database-files");
    let words = ["plan", "simulate", &plan, "--from", "2028-01-01", "--days", "366", "--on", "2028-12-31"];
    let shown = world.run(&words).expect(0);
    for part in [
        "  2028-01  iFiiiiiiFiiiiiiFiiiiiiFiiiiiiFi",
        "  2028-02  iiiiiFiiiiiiFiiiiiiFiiiiiiFii\n",
        "53 full, 313 incremental",
        "at the end of 2028-12-31, ",
        "2028-12-31T01:30:00+08:00  full, keep: daily 2028-12-31, weekly 2028-W52, monthly 2028-12, quarterly 2028-Q4",
    ] {
        assert!(shown.text().contains(part), "{part} is not in\n{}", shown.text());
    }
}
