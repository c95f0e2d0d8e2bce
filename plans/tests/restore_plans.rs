//! Plans of the kind `restore`: what they come to, what is wrong with them, and what a change of one means.

use jiff::Timestamp;
use strongroom_plans::{
    Change, Code, Difference, Faults, OnFailure, RestorePlan, RestoreTarget, Site, SiteFiles, TimeSpan,
};

const SITE: &str = "name: x\nzone: UTC\nrepositories: { main: { at: /srv/main } }\nvariables: { lines: /srv }\n";
const HOSTS: &str = "\
hosts:
  db1: { address: 10.0.0.1, labels: { role: db } }
  db2: { address: 10.0.0.2, labels: { role: spare } }
  web1: { address: 10.0.0.3, labels: { role: web } }
  web2: { address: 10.0.0.4, labels: { role: web } }
";
const BILLING: &str = "\
kind: backup
name: billing
hosts: role=db
sources: [{ files: [\"${lines}/billing\", /etc/billing] }]
repository: main
retain: { daily: 14 }
";
const WEB: &str = "\
kind: backup
name: web
hosts: role=web
sources: [{ files: [/srv/www] }, { command: [dump], name: /dumps/sessions }]
repository: main
retain: { daily: 14 }
";
const PORTAL: &str = "\
kind: restore
name: portal
owner: team-portal
on-failure: continue
addresses: { db1.internal: db2.internal }
systems:
  - name: db
    plan: billing
    to: db2:/srv/restored
    promote-to: /srv/billing
    paths: [/srv/billing]
    before: [{ run: [systemctl, stop, postgresql], time-out: 2m }]
    after: [{ run: [systemctl, start, postgresql] }]
    probes: [{ run: [pg_isready], prints: ready, time-out: 1m }]
  - name: app
    needs: [db]
    plan: web
    host: web1
    to: in-place
    paths: [/srv/www]
  - name: sessions
    needs: [db, app]
    plan: web
    host: web1
    to: web2:/srv
    paths: [/dumps/sessions]
";
const AT: &str = "plans/portal.yaml";

fn files(change: impl Fn(&str) -> String) -> SiteFiles {
    let mut files = SiteFiles::new("");
    let all = [("site.yaml", SITE), ("hosts.yaml", HOSTS), ("plans/billing.yaml", BILLING), ("plans/web.yaml", WEB)];
    all.into_iter().for_each(|(path, text)| files.insert(path, text));
    files.insert(AT, change(PORTAL));
    files
}

fn broken(from: &str, to: &str) -> Faults {
    assert_eq!(PORTAL.matches(from).count(), 1, "{from:?} names one place");
    Site::read(&files(|text| text.replace(from, to))).expect_err("the plan is faulty")
}

/// Replaces a part of the plan and expects exactly one fault: its code and its text, which `to` holds at the end.
#[track_caller]
fn check(from: &str, to: &str, (code, text): (Code, &str)) {
    let faults = broken(from, to);
    let found: Vec<_> = faults.iter().map(|fault| (fault.code(), fault.place().file(), fault.place().text())).collect();
    assert_eq!(found, [(code, AT, text)], "{faults}");
}

fn plan(site: &Site) -> &RestorePlan {
    &site.restore_plans()[&"portal".parse().unwrap()]
}

#[test]
fn a_sound_plan_says_what_comes_back_where() {
    let site = Site::read(&files(str::to_owned)).unwrap_or_else(|faults| panic!("{faults}"));
    let plan = plan(&site);
    assert_eq!((plan.on_failure(), plan.systems().len(), site.plans().len()), (OnFailure::Continue, 3, 2));
    let [db, app, sessions] = plan.systems() else { panic!("three systems") };
    let places = |system: &strongroom_plans::RestoreSystem| {
        (system.host().to_string(), system.target_host().to_string(), system.directory().display().to_string())
    };
    // The host is the only one of the plan.
    assert_eq!(places(db), ("db1".into(), "db2".into(), "/srv/restored".into()));
    assert_eq!(places(app), ("web1".into(), "web1".into(), "/".into()));
    assert_eq!((app.to(), sessions.needs().len()), (&RestoreTarget::InPlace, 2));
    assert_eq!(sessions.source_path().to_string(), "/dumps/sessions");
    assert_eq!(db.probes()[0].prints().unwrap().as_str(), "ready");
    assert_eq!(plan.addresses()[&"db1.internal".parse().unwrap()].to_string(), "db2.internal");
    assert_eq!((db.promote_to().unwrap().to_string(), app.promote_to()), ("/srv/billing".into(), None));
    // Without paths, those of the plan's only source.
    let whole = |text: &str| text.replace("    promote-to: /srv/billing\n    paths: [/srv/billing]\n", "");
    let whole = Site::read(&files(whole)).unwrap();
    let db = &self::plan(&whole).systems()[0];
    assert_eq!((db.paths().len(), db.source_path().to_string()), (0, "/srv/billing".into()));
}

#[test]
fn typed_probes_become_commands_of_our_own() {
    for (probe, typed) in [
        ("{ unit: billing.service, time-out: 1m }", "strongroom check unit billing.service"),
        ("{ port: 5432, wait: 2m }", "strongroom check port 5432"),
        ("{ port: \"[::1]:5432\" }", "strongroom check port \"[::1]:5432\""),
        (
            "{ http: \"http://db1:8080/health?a=b\", status: 204, contains: ok }",
            "strongroom check http \"http://db1:8080/health?a=b\" --status 204 --contains ok",
        ),
        (
            "{ postgresql: billing, as: postgres, query: select max(day) from t, within: 2d }",
            "strongroom check postgresql billing --as postgres --query \"select max(day) from t\" --within 2d",
        ),
        (
            "{ postgresql: billing, query: show x, prints: \"on\" }",
            "strongroom check postgresql billing --query \"show x\" --prints on",
        ),
    ] {
        let written = "{ run: [pg_isready], prints: ready, time-out: 1m }";
        let site = Site::read(&files(|text| text.replace(written, probe))).unwrap_or_else(|faults| panic!("{faults}"));
        let probes = plan(&site).systems()[0].probes();
        assert_eq!((probes[0].run().to_string(), probes[0].prints()), (typed.to_owned(), None));
        assert_eq!(probes[0].time_out().is_some(), probe.contains("time-out"));
        assert_eq!(probes[0].wait().map(TimeSpan::seconds), probe.contains("wait").then_some(120));
    }
}

#[test]
fn names_that_stand_for_nothing() {
    check("plan: billing", "plan: biling", (Code::UnknownName, "biling"));
    check("to: db2:/srv/restored", "to: db3:/srv/restored", (Code::UnknownName, "db3:/srv/restored"));
    check("needs: [db]", "needs: [dbb]", (Code::UnknownName, "dbb"));
    check("name: portal", "name: billing", (Code::NameTwice, "billing"));
    check("name: sessions", "name: app", (Code::NameTwice, "app"));
    let host = "host: web1\n    paths: [/srv/billing]";
    check("paths: [/srv/billing]", host, (Code::NotOfPlan, "web1"));
    check("[/srv/billing]", "[/srv/bill]", (Code::NotOfPlan, "/srv/bill"));
    check("[/srv/www]", "[/srv/www/a, /dumps/sessions]", (Code::NotOfPlan, "/dumps/sessions"));
    let several = broken("    host: web1\n    to: in-place", "    to: in-place");
    assert!(several.to_string().contains("backs up several hosts") && several.to_string().contains("web1, web2"));
    let sources = broken("    paths: [/dumps/sessions]\n", "");
    assert!(sources.to_string().contains("has several sources"), "{sources}");
}

#[test]
fn keys_and_values() {
    check("on-failure: continue", "on-failure: wait", (Code::UnknownWord, "wait"));
    check("owner:", "ownr:", (Code::UnknownKey, "ownr"));
    check("to: in-place", "to: here", (Code::BadTarget, "here"));
    check("to: in-place", "to: web2:srv", (Code::BadTarget, "web2:srv"));
    check("{ run: [pg_isready], prints: ready, time-out: 1m }", "{ prints: x }", (Code::MissingKey, "{ prints: x }"));
    check("[pg_isready]", "[]", (Code::EmptyCollection, "[]"));
    for (probe, code, text) in [
        ("{ unit: billing, port: 80 }", Code::TwoWays, "80"),
        ("{ run: [pg_isready], port: 80 }", Code::TwoWays, "80"),
        ("{ unit: bill ing }", Code::BadName, "bill ing"),
        ("{ unit: billing, prints: active }", Code::KeyBeside, "active"),
        ("{ run: [pg_isready], status: 200 }", Code::KeyBeside, "200"),
        ("{ port: 65536 }", Code::BadAddress, "65536"),
        ("{ port: db 1:5432 }", Code::BadAddress, "db 1:5432"),
        ("{ http: ftp://db1/ }", Code::BadUrl, "ftp://db1/"),
        ("{ http: \"http://me:secret@db1/\" }", Code::BadUrl, "\"http://me:secret@db1/\""),
        ("{ http: http://db1/, status: 600 }", Code::BadNumber, "600"),
        ("{ postgresql: billing, prints: 1 }", Code::MissingKey, "{ postgresql: billing, prints: 1 }"),
        ("{ postgresql: billing, query: q, within: 2 }", Code::BadTimeSpan, "2"),
        ("{ postgresql: billing, query: q, prints: 1, as: the one }", Code::BadAddress, "the one"),
        ("{ files: srv, at-least: 1 }", Code::UnknownKey, "files"),
    ] {
        let written = "{ run: [pg_isready], prints: ready, time-out: 1m }";
        if code == Code::UnknownKey {
            // And then there is nothing to look at.
            assert_eq!(broken(written, probe).iter().next().unwrap().place().text(), probe);
            continue;
        }
        check(written, probe, (code, text));
    }
    check("time-out: 2m", "time-out: 2", (Code::BadTimeSpan, "2"));
    check("db2.internal }", "'db 2' }", (Code::BadAddress, "'db 2'"));
}

#[test]
fn systems_that_wait_for_each_other_or_write_one_place() {
    let circle = broken("    plan: billing\n", "    plan: billing\n    needs: [sessions]\n");
    let text = circle.to_string();
    // The shortest of the two that there are is not looked for: one that is named can be broken.
    assert!(text.contains("these systems wait for each other: "), "{text}");
    check("needs: [db]", "needs: [app]", (Code::Circle, "app"));
    assert!(broken("needs: [db]", "needs: [app]").to_string().contains("each other: app needs app"));
    check("to: web2:/srv\n", "to: db2:/srv/restored\n", (Code::TargetTwice, "db2:/srv/restored"));
    let twice = ("to: web2:/srv\n    paths: [/dumps/sessions]", "to: in-place\n    paths: [/srv/www/sessions]");
    check(twice.0, twice.1, (Code::TargetTwice, "in-place"));
}

#[test]
fn places_where_systems_are_put_to_be_used() {
    let promote = "promote-to: /srv/billing";
    check(promote, "promote-to: srv/billing", (Code::BadPath, "srv/billing"));
    let text = broken("to: in-place\n", "to: in-place\n    promote-to: /srv/www\n").to_string();
    assert!(text.contains("is where it is used") && text.contains("1 fault"), "{text}");
    let text = broken("    paths: [/srv/billing]\n", "    paths: [/srv/billing, /etc/billing]\n").to_string();
    assert!(text.contains("one directory is put there") && text.contains("`paths: [/srv/billing]`"), "{text}");
    // Onto what another system restores in place, or has put there; not onto what is staged elsewhere.
    let onto = "to: web1:/srv/x\n    promote-to: /srv/www/a\n    paths: [/dumps/sessions]";
    check("to: web2:/srv\n    paths: [/dumps/sessions]", onto, (Code::TargetTwice, "/srv/www/a"));
    let onto = "to: db2:/srv/x\n    promote-to: /srv\n    paths: [/dumps/sessions]";
    check("to: web2:/srv\n    paths: [/dumps/sessions]", onto, (Code::TargetTwice, "/srv"));
}

#[test]
fn many_faults_are_told_at_once() {
    let text = PORTAL.replace("plan: billing", "plan: biling").replace("needs: [db]", "needs: [dbb]");
    let faults = Site::read(&files(|_| text.replace("[pg_isready]", "[]").replace("owner:", "ownr:"))).unwrap_err();
    let found: Vec<_> = faults.iter().map(strongroom_plans::Fault::code).collect();
    let expected = [Code::UnknownKey, Code::UnknownName, Code::EmptyCollection, Code::UnknownName];
    assert_eq!(found, expected, "{faults}");
}

#[test]
fn a_plan_is_compared_value_by_value() {
    let site = |text: String| Site::read(&files(|_| text.clone())).unwrap_or_else(|faults| panic!("{faults}"));
    let between = |change: String| {
        let from: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        Difference::of_sites(&site(PORTAL.into()), &site(change), from)
    };
    assert!(between(PORTAL.into()).is_none());
    let changed = between(PORTAL.replace("on-failure: continue", "on-failure: stop"));
    let [plan] = &changed.plans[..] else { panic!("{changed:?}") };
    let [value] = &plan.values[..] else { panic!("{changed:?}") };
    assert_eq!((plan.plan.as_str(), plan.change, value.key.as_str()), ("portal", Change::Changed, "on-failure"));
    let renamed = between(PORTAL.replace("name: portal", "name: portal-2"));
    let changes: Vec<_> = renamed.plans.iter().map(|plan| (plan.plan.as_str(), plan.change)).collect();
    assert_eq!(changes, [("portal", Change::Removed), ("portal-2", Change::Added)]);
    assert!(renamed.weaker.is_empty(), "{renamed:?}");
}
