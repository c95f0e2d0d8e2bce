//! The language of plans and sites, as a person meets it.

use std::path::Path;
use std::process::Command;

use crate::support::World;

const SITE: &str = "\
name: example
zone: UTC
repositories: { main: { at: /srv/main } }
presets:
  nightly:
    schedule: { full: daily 01:30 }
    retain: { daily: 14 }
";
const HOSTS: &str = "hosts:\n  web1: { address: 10.0.0.1, labels: { role: web } }\n";
const WEB: &str = "\
kind: backup
name: web
hosts: role=web
sources: [{ files: [/etc] }]
repository: main
preset: nightly
";

/// Writes a sound site.
fn write_site(world: &World, directory: &str) {
    for (file, text) in [("site.yaml", SITE), ("hosts.yaml", HOSTS), ("plans/web.yaml", WEB)] {
        world.write(&format!("{directory}/{file}"), text);
    }
}

fn git(directory: &Path, arguments: &[&str]) {
    let me = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").arg("-C").arg(directory).args(me).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn two_sites_and_two_plans_are_compared() {
    let world = World::new();
    write_site(&world, "old");
    write_site(&world, "new");
    let diff = ["plan", "diff", "old", "new", "--from", "2026-11-22"];
    assert_eq!(world.run(&diff).expect(0).text(), "nothing differs\n");
    world.write("new/site.yaml", SITE.replace("daily: 14", "daily: 7").replace("01:30", "03:30"));
    let shown = world.run(&diff).expect(4);
    for part in [
        "! plan web: fewer restore points are kept: daily 14, now 7\n",
        "  ~ retain.daily: 14 -> 7   (new/site.yaml:7)\n",
        "  - 365 full, 0 incremental\n      2026-11-22T01:30:00+00:00  full\n",
        "  + 365 full, 0 incremental\n      2026-11-22T03:30:00+00:00  full\n",
        "one thing is protected LESS",
    ] {
        assert!(shown.text().contains(part), "{part} is not in\n{}", shown.text());
    }
    let more = world.run(&["plan", "diff", "new", "old", "--json"]).expect(0);
    let more: serde_json::Value = serde_json::from_str(more.text()).unwrap();
    assert_eq!((&more["differs"], &more["weaker"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(more["plans"][0]["values"][0]["key"], "retain.daily");

    let plan = "kind: backup\nname: a\nsources: [{ files: [/etc] }]\nrepository: /r\nretain: { last: 3 }\n";
    world.write("a.yaml", plan);
    world.write("b.yaml", plan.replace("last: 3", "last: 2"));
    let shown = world.run(&["plan", "diff", "a.yaml", "b.yaml"]).expect(4);
    assert!(shown.text().contains("~ retain.last: 3 -> 2   (b.yaml:5)"), "{}", shown.text());
    world.write("b.yaml", "kind: backup\n");
    assert!(world.run(&["plan", "diff", "a.yaml", "b.yaml"]).expect(2).err.contains("b.yaml:1:1"));
    world.run(&["plan", "diff", "a.yaml", "absent.yaml"]).expect(7);
    world.run(&["plan", "diff", "a.yaml"]).expect(2);
    world.run(&["plan", "diff", "--site", "old"]).expect(2);
    world.run(&["plan", "diff", "old", "new", "--since", "HEAD"]).expect(2);
}

/// The site need not be the top of its work tree, nor be committed.
#[test]
fn a_site_is_compared_with_a_commit() {
    let world = World::new();
    write_site(&world, "tree/site");
    let tree = world.path("tree");
    git(&tree, &["init", "--quiet"]);
    git(&tree, &["add", "."]);
    git(&tree, &["commit", "--quiet", "-m", "first"]);
    let since = |revision: &'static str| ["plan", "diff", "--site", "tree/site", "--since", revision];
    assert_eq!(world.run(&since("HEAD")).expect(0).text(), "nothing differs\n");
    world.write("tree/site/plans/web.yaml", WEB.replace("[/etc]", "[/srv]"));
    let shown = world.run(&since("HEAD")).expect(4);
    assert!(shown.text().starts_with("! plan web: no plan backs up /etc on web1 any more\n"), "{}", shown.text());
    git(&tree, &["commit", "--quiet", "-a", "-m", "second"]);
    assert_eq!(world.run(&since("HEAD")).expect(0).text(), "nothing differs\n");
    world.run(&since("HEAD~1")).expect(4);
    for absent in ["no-such-branch", "--help", "HEAD:site"] {
        let ran = world.run(&["plan", "diff", "--site", "tree/site", &format!("--since={absent}")]).expect(7);
        assert!(ran.err.contains(&format!("find the commit {absent}")), "{}", ran.err);
    }
    world.write("tree/site/site.yaml", SITE.replace("zone: UTC\n", ""));
    git(&tree, &["commit", "--quiet", "-a", "-m", "broken"]);
    let ran = world.run(&since("HEAD")).expect(2);
    assert!(ran.err.contains("tree/site@") && ran.err.contains("/site.yaml:1:1"), "{}", ran.err);
    write_site(&world, "alone");
    world.run(&["plan", "diff", "--site", "alone", "--since", "HEAD"]).expect(7);
}

#[test]
fn variables_and_parts_are_shown_with_the_line_that_says_them() {
    let world = World::new();
    write_site(&world, "site");
    world.write(
        "site/site.yaml",
        SITE.replace("presets:", "variables: { days: 14 }\npresets:").replace("daily: 14", "daily: \"${days}\""),
    );
    world.write("site/plans/web.yaml", WEB.replace("preset:", "include: [parts/proof.yaml]\npreset:"));
    world.write("shared/proof.yaml", "prove: { level: restored }\n");
    std::fs::create_dir(world.path("site/parts")).unwrap();
    std::os::unix::fs::symlink(world.path("shared/proof.yaml"), world.path("site/parts/proof.yaml")).unwrap();
    let outside = world.run(&["plan", "check", "--site", "site"]).expect(2);
    assert!(
        outside.err.contains("site/parts/proof.yaml is a link that leads out of the site's directory"),
        "{}",
        outside.err
    );

    std::fs::remove_file(world.path("site/parts/proof.yaml")).unwrap();
    world.write("site/parts/proof.yaml", "prove: { level: restored }\n");
    let shown = world.json(&["plan", "show", "--site", "site", "web"]);
    let values = shown["values"].as_array().unwrap();
    let value = |key: &str| values.iter().find(|value| value["key"] == key).unwrap();
    let expect = |key, text: &str, by: &str, from: &str| {
        let expected = serde_json::json!({ "key": key, "value": text, "said-by": by, "from": from });
        assert_eq!(value(key), &expected);
    };
    expect("retain.daily", "14", "preset", "site/site.yaml:8");
    expect("prove.level", "restored", "include", "site/parts/proof.yaml:1");
    expect("hosts", "role=web", "plan", "site/plans/web.yaml:3");
    assert_eq!((&value("tags")["said-by"], &value("tags")["from"]), (&"default".into(), &serde_json::Value::Null));

    world.write("site/parts/proof.yaml", "prove: { level: restord }\n");
    let faulty = world.run(&["plan", "check", "--site", "site"]).expect(2);
    assert!(faulty.text().contains("--> site/parts/proof.yaml:1:17\n"), "{}", faulty.text());
}

#[test]
fn each_kind_of_file_has_a_schema() {
    let world = World::new();
    for kind in ["plan", "site-plan", "site", "hosts"] {
        let schema = world.json(&["plan", "schema", kind]);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let text = world.run(&["plan", "schema", kind]).expect(0);
        assert_eq!(serde_json::from_str::<serde_json::Value>(text.text()).unwrap(), schema, "{kind}");
    }
    world.run(&["plan", "schema", "rollout"]).expect(2);
}

/// One calendar for all plans, with what does not begin, and what each keeps.
#[test]
fn a_site_is_simulated() {
    let world = World::new();
    write_site(&world, "site");
    let site = SITE.replace("full: daily 01:30", "full: daily 01:30, calendars: [test]")
        + "calendars: { test: { days: [2026-12-12], blackout: [backup] } }\n";
    world.write("site/site.yaml", site.replace("daily: 14", "last: 2"));
    let tokyo = "  web2: { address: 10.0.0.2, zone: Asia/Tokyo }\n";
    world.write("site/hosts.yaml", format!("{HOSTS}{tokyo}"));
    let etc = "kind: backup\nname: etc\nhosts: \"*\"\nsources: [{ files: [/etc] }]\nrepository: main\nschedule: { full: weekly sat 02:00 }\nretain: { last: 9 }\n";
    world.write("site/plans/etc.yaml", etc);
    let words = ["plan", "simulate", "--site", "site", "--from", "2026-12-10", "--days", "4", "--on", "2026-12-13"];
    let text = world.run(&words).expect(0);
    let expected = "\
site example, 4 days from 2026-12-10, in UTC
  2026-12-10T01:30:00+00:00  web, full, on web1
  2026-12-11T01:30:00+00:00  web, full, on web1
  2026-12-11T17:00:00+00:00  etc, full, on web2
  2026-12-12T01:30:00+00:00  web, full, on web1: does NOT begin, test blacks it out
  2026-12-12T02:00:00+00:00  etc, full, on web1
  2026-12-13T01:30:00+00:00  web, full, on web1
5 full, 0 incremental, 1 stopped by a calendar

plan etc on web2, at the end of 2026-12-13, 1 of 1 restore points are kept:
  2026-12-12T02:00:00+09:00  full, keep: last #1

plan etc on web1, at the end of 2026-12-13, 1 of 1 restore points are kept:
  2026-12-12T02:00:00+00:00  full, keep: last #1

plan web on web1, at the end of 2026-12-13, 2 of 3 restore points are kept:
  2026-12-13T01:30:00+00:00  full, keep: last #1
  2026-12-11T01:30:00+00:00  full, keep: last #2
  deleted by then: 1, made from 2026-12-10T01:30:00+00:00 to 2026-12-10T01:30:00+00:00
";
    assert_eq!(text.text(), expected);
    let json = world.json(&words);
    assert_eq!(json["runs"][3]["stopped"], serde_json::json!({ "calendar": "test", "standstill": "blackout" }));
    assert_eq!((&json["stopped"], &json["kept"][2]["deleted"][0]["kind"]), (&1.into(), &"full".into()));
    world.run(&["plan", "simulate"]).expect(2);
    world.run(&["plan", "simulate", "--site", "site", "--on", "2020-01-01"]).expect(2);
}

/// Every shipped class of data, into a site; and what was not said is asked for by the check.
#[test]
fn a_new_plan_of_a_site_is_sound_or_says_what_it_lacks() {
    let world = World::new();
    write_site(&world, "site");
    for template in ["business-data", "database-files", "system-configuration", "os-image", "other-files"] {
        let new = ["plan", "new", "--template", template, "--name", template, "--site", "site"];
        let said = [&new[..], &["--hosts", "role=web", "--repository", "main"]].concat();
        let shown = world.run(&[&said[..], &["--dry-run"]].concat()).expect(0);
        assert!(!world.path(&format!("site/plans/{template}.yaml")).exists(), "a dry run wrote");
        let wrote = world.run(&said).expect(0);
        assert!(wrote.text().contains("then `strongroom plan check --site site`"), "{}", wrote.text());
        assert_eq!(std::fs::read_to_string(world.path(&format!("site/plans/{template}.yaml"))).unwrap(), shown.text());
        world.run(&said).expect(1);
    }
    world.run(&["plan", "check", "--site", "site"]).expect(0);
    world.run(&["plan", "new", "--template", "os-image", "--name", "lacking", "--site", "site"]).expect(0);
    let lacking = world.run(&["plan", "check", "--site", "site"]).expect(2);
    for part in ["lacking.yaml:5:8", "lacking.yaml:11:13", "`name=CHANGE-ME`", "such as `main`"] {
        assert!(lacking.text().contains(part), "{part} is not in\n{}", lacking.text());
    }
    world.run(&["plan", "new", "--template", "os-image", "--name", "x", "--site", "nowhere"]).expect(7);
    world.run(&["plan", "new", "--template", "os-image", "--name", "x", "--hosts", "a", "x.yaml"]).expect(2);
    world.run(&["plan", "new", "--template", "os-image", "--name", "x", "--site", "site", "--hosts", "a="]).expect(2);
}

/// What a person gets wrong in one plan is told in one go.
#[test]
fn five_mistakes_are_five_faults() {
    let world = World::new();
    write_site(&world, "site");
    let plan = "\
kind: backup
name: billing
ownr: team-billing
hosts: rolle=web
sources: [{ files: [/srv/billing], one-file-system: sometimes }]
repository: main
schedule: { full: daily 01:30, window: { until: \"25:00\", then: cancel } }
";
    world.write("site/plans/billing.yaml", plan);
    let checked = world.run(&["plan", "check", "--site", "site"]).expect(2);
    let at = |fault: &str| format!("--> site/plans/billing.yaml:{fault}\n");
    for (place, text, remedy) in [
        ("3:1", "a plan of a site has no key `ownr`", "did you mean `owner`?"),
        ("4:8", "no host of the site matches `rolle=web`", "no host has the label `rolle`; did you mean `role`?"),
        ("5:53", "expected true or false, found `sometimes`", "write `true` or `false`, without quotes"),
        ("7:49", "`25:00` is no time of day", "write hours and minutes with two digits each"),
        ("1:1", "a plan of a site has no `retain`, and it must", "add it, for example `retain: { daily: 14"),
    ] {
        for part in [at(place), text.to_owned(), format!("= help: {remedy}")] {
            assert!(checked.text().contains(&part), "{part} is not in\n{}", checked.text());
        }
    }
    assert!(checked.text().contains("\n5 faults"), "{}", checked.text());
    let json = world.run(&["plan", "check", "--site", "site", "--json"]).expect(2);
    let json: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    let codes: Vec<&str> =
        json["faults"].as_array().unwrap().iter().map(|fault| fault["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["P-0009", "P-0008", "P-0032", "P-0010", "P-0036"]);
    // No site that has them comes into force, and none is compared.
    world.run(&["plan", "next", "--site", "site"]).expect(2);
    world.run(&["plan", "diff", "site", "site"]).expect(2);
}
