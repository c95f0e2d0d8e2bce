//! Files of the kind `drill`: what their plans come to, what is wrong with them, and what a change of one means.

use jiff::Timestamp;
use strongroom_plans::{Change, Code, Difference, Faults, Loss, ProofRhythm, Site, SiteFiles, drill_steps, steps};

const SITE: &str = "\
name: x
zone: UTC
repositories: { main: { at: /srv/main } }
variables: { often: quarterly }
presets: { proven: { prove: { level: restored } } }
";
const HOSTS: &str = "hosts:\n  db1: { address: 10.0.0.1 }\n  web1: { address: 10.0.0.3 }\n";
const QUARTER: &str = "\
kind: drill
name: quarter
include: [parts/owner.yaml]
plans: [web, mail]
prove: { level: restored, every: \"${often}\", checks: [[test, -s, srv/index]], sample: 2 GiB, promise: 400d }
";
const OWNER: &str = "owner: team-web\n";
const AT: &str = "plans/quarter.yaml";

fn plan(name: &str, more: &str) -> String {
    let host = if name == "web" { "web1" } else { "db1" };
    format!(
        "kind: backup\nname: {name}\nhosts: name={host}\nsources: [{{ files: [/srv/{name}] }}]\nrepository: main\n\
         retain: {{ daily: 14 }}\n{more}"
    )
}

/// With a further plan that is proven by its runs, and one that is proven by nothing.
fn files(drill: &str) -> SiteFiles {
    let mut files = SiteFiles::new("");
    let run = "prove: { level: restored }\n";
    let (preset, tags) = ("preset: proven\n", "tags: { often: \"${often}\" }\n");
    for (name, more) in [("web", ""), ("mail", ""), ("ledger", run), ("preset", preset), ("bare", tags)] {
        files.insert(format!("plans/{name}.yaml"), plan(name, more));
    }
    [("site.yaml", SITE), ("hosts.yaml", HOSTS), ("parts/owner.yaml", OWNER), (AT, drill)]
        .into_iter()
        .for_each(|(path, text)| files.insert(path, text));
    files
}

fn site(drill: &str) -> Site {
    Site::read(&files(drill)).unwrap_or_else(|faults| panic!("{faults}"))
}

fn broken(from: &str, to: &str) -> Faults {
    assert_eq!(QUARTER.matches(from).count(), 1, "{from:?} names one place");
    Site::read(&files(&QUARTER.replace(from, to))).expect_err("the file is faulty")
}

/// Replaces a part of the file and expects exactly one fault: its code and its text, which `to` holds.
#[track_caller]
fn check(from: &str, to: &str, (code, text): (Code, &str)) -> String {
    let faults = broken(from, to);
    let found: Vec<_> = faults.iter().map(|fault| (fault.code(), fault.place().file(), fault.place().text())).collect();
    assert_eq!(found, [(code, AT, text)], "{faults}");
    faults.to_string()
}

#[test]
fn each_plan_is_proven_as_if_the_block_stood_in_it() {
    let site = site(QUARTER);
    let drill = &site.drill_plans()[&"quarter".parse().unwrap()];
    assert_eq!((drill.plans().len(), drill.file(), site.plans().len()), (2, AT, 5));
    assert_eq!(drill.owner().unwrap().as_str(), "team-web");
    assert_eq!(site.hosts_of_drill(drill).len(), 2);
    let block = QUARTER.lines().last().unwrap().replace("${often}", "quarterly");
    for name in ["web", "mail"] {
        let mut alone = files("");
        alone.insert(format!("plans/{name}.yaml"), plan(name, &block));
        alone.insert(AT, QUARTER.replace("web, mail", if name == "web" { "mail" } else { "web" }));
        let alone = Site::read(&alone).unwrap_or_else(|faults| panic!("{faults}"));
        let name = &name.parse().unwrap();
        let (plan, own) = (&site.plans()[name], &alone.plans()[name]);
        assert_eq!(plan.plan().prove(), own.plan().prove());
        assert_eq!(plan.plan().prove().unwrap().every(), ProofRhythm::Quarterly);
        assert_eq!(drill_steps(plan.plan()), drill_steps(own.plan()));
        assert_eq!(steps(plan.plan()), steps(own.plan()));
        let place = plan.place_of("prove").unwrap();
        assert_eq!((place.file(), place.line(), plan.drill()), (AT, 5, Some(drill.name())));
        assert_eq!(own.drill(), None);
    }
    let [ledger, bare] = ["ledger", "bare"].map(|name| &site.plans()[&name.parse().unwrap()]);
    assert_eq!((ledger.plan().prove().unwrap().every(), ledger.drill()), (ProofRhythm::Run, None));
    assert_eq!((bare.plan().prove(), bare.drill()), (None, None));
}

#[test]
fn names_that_stand_for_nothing() {
    let text = check("web, mail", "web, mial", (Code::UnknownName, "mial"));
    assert!(text.contains("the site has no plan `mial`") && text.contains("did you mean `mail`?"), "{text}");
    check("web, mail", "quarter, web", (Code::UnknownName, "quarter"));
    check("name: quarter", "name: web", (Code::NameTwice, "web"));
}

#[test]
fn a_plan_is_proven_by_one() {
    // Both places are named: where it stands, and where it is said already.
    let text = check("web, mail", "web, ledger", (Code::ProvenTwice, "ledger"));
    assert!(text.contains("plans/quarter.yaml:4:14") && text.contains("plans/ledger.yaml:7 says already"), "{text}");
    let text = check("web, mail", "web, preset", (Code::ProvenTwice, "preset"));
    assert!(text.contains("site.yaml:5 says already how `preset` is proven"), "{text}");
    let text = check("web, mail", "web, web", (Code::ProvenTwice, "web"));
    assert!(text.contains("plans/quarter.yaml:5 says already"), "{text}");
    let mut two = files(QUARTER);
    two.insert("plans/year.yaml", QUARTER.replace("name: quarter", "name: year").replace("web, mail", "bare, mail"));
    let faults = Site::read(&two).unwrap_err();
    let found: Vec<_> = faults.iter().map(|fault| (fault.code(), fault.place().file(), fault.place().text())).collect();
    assert_eq!(found, [(Code::ProvenTwice, "plans/year.yaml", "mail")], "{faults}");
    assert!(faults.to_string().contains("plans/quarter.yaml:5 says already how `mail` is proven"), "{faults}");
}

#[test]
fn keys_and_values() {
    let text = check("\"${often}\"", "run", (Code::UnknownWord, "run"));
    assert!(text.contains("a `prove:` of its own") && text.contains("`quarterly`"), "{text}");
    check("\"${often}\"", "fortnightly", (Code::UnknownWord, "fortnightly"));
    let block = QUARTER.lines().last().unwrap().strip_prefix("prove: ").unwrap();
    let silent = block.replace("every: \"${often}\", ", "");
    let text = check(block, &silent, (Code::MissingKey, &silent));
    assert!(text.contains("`every: quarterly`"), "{text}");
    check("plans: [web, mail]", "plans: []", (Code::EmptyCollection, "[]"));
    check("kind: drill", "kind: drill\nhosts: \"*\"", (Code::UnknownKey, "hosts"));
    check("promise: 400d", "promise: 80d", (Code::BadTimeSpan, "80d"));
    check("kind: drill", "kind: drill\nlevel: restored", (Code::UnknownKey, "level"));
    assert!(broken("kind: drill", "kind: dril").to_string().contains("did you mean `drill`?"));
    let alone = strongroom_plans::parse("quarter.yaml", &QUARTER.replace("${often}", "weekly")).unwrap_err();
    let found: Vec<_> = alone.iter().map(|fault| (fault.code(), fault.place().text())).collect();
    assert_eq!(found, [(Code::OnlyInSite, "drill")], "{alone}");
}

fn between(old: &Site, new: &Site) -> Difference {
    let from: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
    Difference::of_sites(old, new, from)
}

/// What a plan loses, by its name.
fn weaker(difference: &Difference) -> Vec<(&str, &str)> {
    assert!(difference.weaker.iter().all(|weaker| weaker.loss == Loss::Proof), "{difference:?}");
    difference.weaker.iter().map(|weaker| (weaker.plan.as_ref().unwrap().as_str(), weaker.what.as_str())).collect()
}

#[test]
fn what_a_change_of_one_proves_less_is_told_of_each_plan() {
    let old = site(QUARTER);
    assert!(between(&old, &old).is_none());
    let rarer = between(&old, &site(&QUARTER.replace("${often}", "yearly")));
    assert_eq!(weaker(&rarer).len(), 4, "{rarer:?}");
    assert_eq!(weaker(&rarer)[0], ("mail", "proven yearly, was quarterly"));
    let changed: Vec<_> = rarer.plans.iter().map(|plan| (plan.plan.as_str(), plan.change)).collect();
    assert_eq!(changed, [("mail", Change::Changed), ("web", Change::Changed), ("quarter", Change::Changed)]);

    let less = between(&old, &site(&QUARTER.replace("[web, mail]", "[web]")));
    assert_eq!(weaker(&less), [("mail", "nothing is proven any more")]);
    let quarter = less.plans.iter().find(|plan| plan.plan.as_str() == "quarter").unwrap();
    assert_eq!((quarter.values[0].key.as_str(), quarter.hosts_lost[0].as_str()), ("plans", "db1"));

    let mut gone = files("");
    gone.insert(AT, plan("quarter", "include: [parts/owner.yaml]\n"));
    let gone = between(&old, &Site::read(&gone).unwrap_or_else(|faults| panic!("{faults}")));
    let less = [("mail", "nothing is proven any more"), ("web", "nothing is proven any more")];
    assert_eq!(weaker(&gone), less);
}

#[test]
fn moving_a_demand_from_a_plan_into_a_drill_changes_nothing_for_the_plan() {
    let drill = QUARTER.replace("[web, mail]", "[web]");
    let mut before = files(&drill);
    let block = QUARTER.lines().last().unwrap();
    before.insert("plans/mail.yaml", plan("mail", block));
    let before = Site::read(&before).unwrap_or_else(|faults| panic!("{faults}"));
    let moved = between(&before, &site(QUARTER));
    let changed: Vec<_> = moved.plans.iter().map(|plan| plan.plan.as_str()).collect();
    assert_eq!((changed, weaker(&moved).len()), (vec!["quarter"], 0));
}
