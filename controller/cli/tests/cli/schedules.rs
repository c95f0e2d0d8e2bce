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

fn example_site() -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../plans/examples/site").display().to_string()
}

#[test]
fn a_site_is_checked_as_a_whole() {
    let world = World::new();
    let checked = world.run(&["plan", "check", "--site", &example_site()]).expect(0);
    assert!(
        checked.text().contains("site example is sound: 4 hosts, 2 plans, 1 drills, version "),
        "{}",
        checked.text()
    );

    world.write("site/site.yaml", "name: x\nzone: UTC\nrepositories: { main: { at: /srv/main } }\n");
    world.write("site/hosts.yaml", "hosts: { web1: { address: web1, user: -x }, web2: { address: web2 } }\n");
    world.write("site/README.md", "not read");
    let plan =
        "kind: backup\nname: etc\nhosts: \"*\"\nsources: [{ files: [/etc] }]\nrepository: mian\nretain: { last: 1 }\n";
    world.write("site/plans/etc.yaml", plan);
    world.write("site/plans/new.yml", plan);
    let faulty = world.run(&["plan", "check", "--site", "site"]).expect(2);
    for part in
        ["site/hosts.yaml:1:39", "site/plans/etc.yaml:5:13", "did you mean `main`?", "site/plans/new.yml", "3 faults"]
    {
        assert!(faulty.text().contains(part), "{part} is not in {}", faulty.text());
    }
    std::fs::remove_file(world.path("site/plans/new.yml")).unwrap();
    world.write("site/hosts.yaml", "hosts: { web1: { address: web1 }, web2: { address: web2 } }\n");
    world.write("site/plans/etc.yaml", plan.replace("mian", "main").replace("\"*\"", "name=web2"));
    let json = world.json(&["plan", "check", "--site", "site"]);
    assert_eq!(json["hosts-without-plan"], serde_json::json!(["web1"]), "{json}");

    world.run(&["plan", "check", "--site", "nowhere"]).expect(7);
    world.run(&["plan", "check"]).expect(2);
    world.run(&["plan", "check", "--site", "site", "plan.yaml"]).expect(2);
}

#[test]
fn a_restore_plan_is_written_checked_shown_and_compared() {
    let world = World::new();
    let lines = |name: &str, target: &str| {
        format!("kind: restore\nname: {name}\nsystems: [{{ name: db, plan: etc, to: \"{target}\" }}]\n")
    };
    for site in ["site", "new"] {
        world.write(&format!("{site}/site.yaml"), "name: x\nzone: UTC\nrepositories: { main: { at: /srv/main } }\n");
        world.write(&format!("{site}/hosts.yaml"), "hosts: { web1: { address: web1 }, web2: { address: web2 } }\n");
        let plan = "kind: backup\nname: etc\nhosts: name=web1\nsources: [{ files: [/etc] }]\nrepository: main\nretain: { last: 1 }\n";
        world.write(&format!("{site}/plans/etc.yaml"), plan);
        world.write(&format!("{site}/plans/portal.yaml"), lines("portal", "web2:/srv/back"));
    }
    let checked = world.run(&["plan", "check", "--site", "site"]).expect(0);
    assert!(checked.text().contains("2 hosts, 1 plans, 1 restore plans, version "), "{}", checked.text());
    let json = world.json(&["plan", "show", "--site", "site", "portal"]);
    assert_eq!((&json["hosts"], &json["values"][3]["key"]), (&serde_json::json!(["web2"]), &"systems.db.plan".into()));
    let text = world.run(&["plan", "show", "--site", "site", "portal"]).expect(0);
    assert!(text.text().contains("on-failure") && text.text().contains("plans/portal.yaml:3"), "{}", text.text());
    // Nothing of it runs by itself.
    let simulated = world.run(&["plan", "simulate", "--site", "site", "--days", "3"]).expect(0);
    assert!(!simulated.text().contains("portal"), "{}", simulated.text());
    world.write("new/plans/portal.yaml", lines("portal", "in-place"));
    let diff = world.run(&["plan", "diff", "site", "new"]).expect(0);
    for part in ["portal", "systems.db.to", "web2:/srv/back", "in-place", "nothing is protected less"] {
        assert!(diff.text().contains(part), "{part} is not in {}", diff.text());
    }
    // Alone it means nothing, and a new one asks for what it does not know.
    let alone = world.run(&["plan", "check", "site/plans/portal.yaml"]).expect(2);
    assert!(alone.text().contains("P-0028") && alone.text().contains("1 fault"), "{}", alone.text());
    let new = ["plan", "new", "--template", "several-systems", "--name", "lost"];
    world.run(&[&new[..], &["lost.yaml"]].concat()).expect(2);
    world.run(&[&new[..], &["--site", "site"]].concat()).expect(0);
    let asked = world.run(&["plan", "check", "--site", "site"]).expect(2);
    assert!(asked.text().contains("site/plans/lost.yaml") && asked.text().contains("3 faults"), "{}", asked.text());
}

#[test]
fn a_site_says_what_runs_next() {
    let world = World::new();
    let json = world.json(&["plan", "next", "--site", &example_site(), "--count", "20"]);
    let runs = json["runs"].as_array().unwrap();
    let times: Vec<&str> = runs.iter().map(|run| run["time"].as_str().unwrap()).collect();
    assert!(times.len() == 20 && times.is_sorted() && times.iter().all(|time| time.ends_with("+08:00")), "{times:?}");
    let databases: Vec<_> = runs.iter().filter(|run| run["plan"] == "databases").collect();
    assert!(databases.len() >= 16 && databases.iter().all(|run| run["hosts"] == serde_json::json!(["db1", "db2"])));
    let text = world.run(&["plan", "next", "--site", &example_site()]).expect(0);
    assert!(text.text().contains("databases, incremental, on db1, db2"), "{}", text.text());
}

#[test]
fn a_plan_is_shown_with_where_each_part_is_said() {
    let world = World::new();
    let site = example_site();
    let json = world.json(&["plan", "show", "--site", &site, "databases"]);
    let value = |key: &str| {
        let values = json["values"].as_array().unwrap();
        let found = values.iter().find(|value| value["key"] == key).unwrap();
        (found["value"].as_str().unwrap().to_owned(), found["from"].as_str().map(|from| from.replace(&site, "")))
    };
    assert_eq!(json["hosts"], serde_json::json!(["db1", "db2"]));
    assert_eq!(value("hosts"), ("role=db & env=prod".into(), Some("/plans/databases.yaml:6".into())));
    assert_eq!(value("schedule.full"), ("weekly sun 01:30".into(), Some("/site.yaml:19".into())));
    assert_eq!(value("schedule.window.until"), ("05:00".into(), Some("/site.yaml:21".into())));
    assert_eq!(value("schedule.after"), ("none".into(), None));
    assert_eq!(value("repository").0, "main, at /srv/strongroom/main");
    let text = world.run(&["plan", "show", "--site", &site, "system-configuration"]).expect(0);
    let missed = text.text().lines().find(|line| line.starts_with("  schedule.missed ")).unwrap();
    assert!(missed.ends_with("  run once within 7d"), "{missed}");
    // What a drill says of it stands there, and in the drill.
    let configuration = world.json(&["plan", "show", "--site", &site, "system-configuration"]);
    let values = configuration["values"].as_array().unwrap();
    let every = values.iter().find(|value| value["key"] == "prove.every").unwrap();
    assert_eq!((&every["value"], &every["said-by"]), (&"monthly".into(), &"drill".into()), "{every}");
    assert!(every["from"].as_str().unwrap().ends_with("/plans/configuration-drill.yaml:7"), "{every}");
    let drill = world.run(&["plan", "show", "--site", &site, "configuration-drill"]).expect(0);
    for part in ["on db-test, db1, db2, gate", "[system-configuration]", "prove.sample   none"] {
        assert!(drill.text().contains(part), "{part} is not in {}", drill.text());
    }
    world.run(&["plan", "show", "--site", &site, "nothing"]).expect(7);
}
