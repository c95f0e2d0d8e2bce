//! Variables and parts of a site: what they come to, and each fault at its place.

use strongroom_plans::{Code, Faults, FleetPlan, Input, Site, SiteFiles, Source, parse};

const SITE: &str = "\
name: example
zone: UTC
variables: { days: 14, dumps: /srv/dumps, night: daily 01:30 }
repositories: { main: { at: \"${dumps}-of-all\" } }
presets:
  nightly:
    schedule: { full: \"${night}\" }
    retain: { daily: \"${days}\" }
";
const HOSTS: &str = "hosts:\n  web1: { address: 10.0.0.1 }\n";
const WEB: &str = "\
kind: backup
name: web
hosts: \"*\"
sources:
  - files: [\"${dumps}/web\"]
    exclude: [\"$${dumps}\"]
repository: main
preset: nightly
";
const ETC: &str = "\
kind: backup
name: etc
hosts: name=web1
sources: [{ files: [/etc] }]
repository: main
include: [parts/rules.yaml]
";
const RULES: &str = "\
# What plans share.
schedule:
  full: ${night}
retain: { daily: 7 }
tags: { system: shared }
";

const FILES: [(&str, &str); 5] = [
    ("site.yaml", SITE),
    ("hosts.yaml", HOSTS),
    ("plans/web.yaml", WEB),
    ("plans/etc.yaml", ETC),
    ("parts/rules.yaml", RULES),
];

fn changed(changes: &[(&str, &str, &str)]) -> SiteFiles {
    let mut files = SiteFiles::new("");
    for (path, text) in FILES {
        let mut text = text.to_owned();
        for (_, from, to) in changes.iter().filter(|(changed, ..)| *changed == path) {
            assert_eq!(text.matches(from).count(), 1, "{from:?} names one place in {path}");
            text = text.replace(from, to);
        }
        if !text.is_empty() {
            files.insert(path, text);
        }
    }
    files
}

fn site(changes: &[(&str, &str, &str)]) -> Site {
    Site::read(&changed(changes)).unwrap_or_else(|faults| panic!("{faults}"))
}

fn plan<'s>(site: &'s Site, name: &str) -> &'s FleetPlan {
    &site.plans()[&name.parse().unwrap()]
}

fn faults(changes: &[(&str, &str, &str)]) -> Faults {
    Site::read(&changed(changes)).expect_err("the site is faulty")
}

/// Expects exactly these faults: code, place and offending text.
#[track_caller]
fn check(changes: &[(&str, &str, &str)], expected: &[(Code, &str, &str)]) -> Faults {
    let faults = faults(changes);
    let place = |fault: &strongroom_plans::Fault| {
        let place = fault.place();
        (fault.code(), format!("{}:{}:{}", place.file(), place.line(), place.column()), place.text().to_owned())
    };
    let found: Vec<_> = faults.iter().map(place).collect();
    let found: Vec<_> = found.iter().map(|(code, place, text)| (*code, place.as_str(), text.as_str())).collect();
    assert_eq!(found, expected, "{faults}");
    faults
}

fn first(faults: &Faults) -> (&str, &str) {
    let fault = faults.iter().next().unwrap();
    (fault.reason(), fault.remedy())
}

fn excluded(source: &Source) -> Vec<&str> {
    let Input::Files(files) = source.input() else { panic!("{source} has no files") };
    files.exclude().iter().map(|pattern| pattern.as_str()).collect()
}

#[test]
fn variables_stand_for_what_is_behind_their_names() {
    let site = site(&[]);
    let web = plan(&site, "web");
    let source = &web.plan().sources()[0];
    assert_eq!(source.files()[0].to_string(), "/srv/dumps/web");
    assert_eq!(excluded(source), ["${dumps}"]);
    assert_eq!(web.plan().retain().to_string(), "14 daily, never fewer than 1");
    assert_eq!(web.plan().schedule().unwrap().full().unwrap().to_string(), "daily 01:30");
    assert_eq!(site.repository_of(web).location(), "/srv/dumps-of-all");
}

#[test]
fn a_part_is_read_as_if_it_stood_in_the_plan() {
    let site = site(&[]);
    let etc = plan(&site, "etc");
    assert_eq!(etc.plan().retain().to_string(), "7 daily, never fewer than 1");
    assert_eq!(etc.plan().tags().len(), 1);
    let place = etc.place_of("schedule.full").unwrap();
    assert_eq!((place.file(), place.line()), ("parts/rules.yaml", 3));
    // The version of the site covers it.
    let other = changed(&[("parts/rules.yaml", "daily: 7", "daily: 8")]);
    assert_ne!(Site::read(&other).unwrap().version(), site.version());
}

/// The site's own file can be in parts too; variables among them.
#[test]
fn a_site_includes_parts() {
    let mut files = changed(&[(
        "site.yaml",
        "variables: { days: 14, dumps: /srv/dumps, night: daily 01:30 }\n",
        "include: [parts/variables.yaml]\n",
    )]);
    files.insert("parts/variables.yaml", "variables: { days: 14, dumps: /srv/dumps, night: daily 01:30 }\n");
    let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(plan(&site, "web").plan().retain().to_string(), "14 daily, never fewer than 1");
}

#[test]
fn variables_that_are_none() {
    let unknown = check(
        &[("plans/web.yaml", "\"${dumps}/web\"", "\"${dump}/web\"")],
        &[(Code::UnknownName, "plans/web.yaml:5:14", "${dump}")],
    );
    assert_eq!(first(&unknown), ("the site has no variable `dump`", "did you mean `dumps`?"));
    check(
        &[("site.yaml", "\"${night}\"", "\"${x}${y}\"")],
        &[(Code::UnknownName, "site.yaml:7:24", "${x}"), (Code::UnknownName, "site.yaml:7:28", "${y}")],
    );
    let unused = check(
        &[("site.yaml", "days: 14,", "days: 14, weeks: 8,")],
        &[(Code::UnusedVariable, "site.yaml:3:24", "weeks")],
    );
    assert_eq!(first(&unused).0, "nothing uses the variable `weeks`");
    for text in ["${dumps", "${}", "${du mps}", "${${dumps}}"] {
        let expected = if text == "${dumps" {
            "\"${dumps\""
        } else if text == "${${dumps}}" {
            "${${dumps}"
        } else {
            text
        };
        let column = if text == "${dumps" { 13 } else { 14 };
        let place = format!("plans/web.yaml:5:{column}");
        check(&[("plans/web.yaml", "${dumps}/web", text)], &[(Code::BadVariable, &place, expected)]);
    }
    let host = check(
        &[("plans/web.yaml", "${dumps}/web", "/srv/${host.name}")],
        &[(Code::BadVariable, "plans/web.yaml:5:19", "${host.name}")],
    );
    assert!(first(&host).0.contains("another value on each host"), "{host}");
    check(&[("site.yaml", "days: 14,", "days: 14, host.x: 1,")], &[(Code::BadName, "site.yaml:3:24", "host.x")]);
    check(&[("site.yaml", "days: 14", "days: \"${dumps}\"")], &[(Code::BadVariable, "site.yaml:3:20", "\"${dumps}\"")]);
    check(&[("site.yaml", "days: 14", "days: [14]")], &[(Code::WrongType, "site.yaml:3:20", "[14]")]);
    // Nothing is called unknown or unused where it cannot be known.
    check(&[("site.yaml", "variables:", "variable:")], &[(Code::UnknownKey, "site.yaml:3:1", "variable")]);
    check(&[("plans/web.yaml", "kind: backup", "kind: [")], &[(Code::Syntax, "plans/web.yaml:3:6", ":")]);
}

#[test]
fn a_fault_in_a_value_says_what_the_value_became() {
    let expected = [(Code::BadPath, "plans/web.yaml:5:13", "\"${dumps}/web\"")];
    let faults = check(
        &[("site.yaml", "dumps: /srv/dumps", "dumps: srv/dumps"), ("site.yaml", "${dumps}-of-all", "/srv")],
        &expected,
    );
    assert_eq!(first(&faults).0, "the path `srv/dumps/web` is not absolute; `\"${dumps}/web\"` became `srv/dumps/web`");
    // The quotes that count are those behind the name.
    let quoted =
        check(&[("site.yaml", "days: 14", "days: \"14\"")], &[(Code::WrongType, "site.yaml:8:22", "\"${days}\"")]);
    assert_eq!(first(&quoted).0, "expected a whole number, found `14`; `\"${days}\"` became `14`");
    check(
        &[("site.yaml", "night: daily 01:30", "night: dayly 01:30")],
        &[
            (Code::BadSchedule, "site.yaml:7:23", "\"${night}\""),
            (Code::BadSchedule, "parts/rules.yaml:3:9", "${night}"),
        ],
    );
}

/// What YAML makes of `{ daily: ${days} }` is no variable.
#[test]
fn a_variable_in_brackets_needs_quotes() {
    let faults = faults(&[("site.yaml", "\"${days}\"", "${days}")]);
    let told = faults.iter().any(|fault| fault.remedy().contains("\"${name}\""));
    assert!(told, "{faults}");
}

#[test]
fn keys_stand_in_one_place() {
    let twice = check(
        &[("plans/etc.yaml", "repository: main", "repository: main\ntags: { x: y }")],
        &[(Code::DuplicateKey, "parts/rules.yaml:5:1", "tags")],
    );
    assert!(first(&twice).0.contains("plans/etc.yaml:6"), "{twice}");
    // A fault in a part is told once, however many files include it.
    let both = [
        ("plans/web.yaml", "preset: nightly", "include: [parts/rules.yaml]"),
        (
            "site.yaml",
            "presets:\n  nightly:\n    schedule: { full: \"${night}\" }\n    retain: { daily: \"${days}\" }\n",
            "",
        ),
        ("site.yaml", "days: 14, ", ""),
        ("parts/rules.yaml", "daily: 7", "dayly: 7"),
    ];
    check(&both, &[(Code::UnknownKey, "parts/rules.yaml:4:11", "dayly")]);
    check(&[("parts/rules.yaml", "tags:", "tag:")], &[(Code::UnknownKey, "parts/rules.yaml:5:1", "tag")]);
}

#[test]
fn parts_that_are_none() {
    let at = "plans/etc.yaml";
    let near = check(
        &[(at, "parts/rules.yaml", "parts/rule.yaml")],
        &[(Code::BadInclude, "plans/etc.yaml:6:11", "parts/rule.yaml")],
    );
    assert_eq!(first(&near), ("the site has no part `parts/rule.yaml`", "did you mean `parts/rules.yaml`?"));
    for path in ["../rules.yaml", "/etc/passwd", "parts/../site.yaml", "rules.yaml", "plans/web.yaml", "parts/.."] {
        let found = check(&[(at, "parts/rules.yaml", path)], &[(Code::BadInclude, "plans/etc.yaml:6:11", path)]);
        assert!(first(&found).0.contains("is no file of the site's `parts`"), "{found}");
    }
    check(
        &[(at, "[parts/rules.yaml]", "parts/rules.yaml")],
        &[(Code::WrongType, "plans/etc.yaml:6:10", "parts/rules.yaml")],
    );
    check(
        &[(at, "parts/rules.yaml", "parts/rules.yaml, parts/rules.yaml")],
        &[(Code::BadInclude, "plans/etc.yaml:6:29", "parts/rules.yaml")],
    );
    let nested = ("parts/rules.yaml", "tags: { system: shared }", "include: [parts/rules.yaml]");
    check(&[nested], &[(Code::BadInclude, "parts/rules.yaml:5:1", "include")]);
    check(&[("parts/rules.yaml", RULES, "[]")], &[(Code::WrongType, "parts/rules.yaml:1:1", "[]")]);
    let unused = ("plans/etc.yaml", "include: [parts/rules.yaml]", "retain: { last: 1 }");
    let stray = check(&[unused], &[(Code::StrayFile, "parts/rules.yaml:1:1", "")]);
    assert_eq!(first(&stray).0, "nothing includes `parts/rules.yaml`");
}

/// A plan that is run by itself has neither.
#[test]
fn outside_a_site_there_are_none() {
    let text = "kind: backup\nname: a\nsources: [{ files: [/etc, \"/srv/${x}\"], exclude: [\"$${x}\"] }]\nrepository: /r\nretain: { last: 3 }\n";
    let found = parse("a.yaml", text).unwrap_err();
    assert_eq!(found.iter().count(), 1, "{found}");
    assert_eq!(
        (found.iter().next().unwrap().code(), found.iter().next().unwrap().place().column()),
        (Code::OnlyInSite, 33)
    );
    let plan = parse("a.yaml", &text.replace(", \"/srv/${x}\"", "")).unwrap();
    assert_eq!(excluded(&plan.sources()[0]), ["${x}"]);
    let found =
        parse("a.yaml", &format!("{}include: [parts/x.yaml]\n", text.replace("/srv/${x}", "/srv/x"))).unwrap_err();
    assert_eq!(found.iter().next().unwrap().code(), Code::OnlyInSite);
}
