//! What changes of sites and plans mean.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_plans::{Change, Difference, Loss, Site, SiteFiles, parse};

const SITE: &str = "\
name: example
zone: Asia/Shanghai
repositories: { main: { at: /srv/main }, other: { at: /srv/other } }
presets:
  nightly:
    schedule: { full: weekly sun 01:30, incremental: daily 01:30, missed: run once within 18h }
    retain: { daily: 14, weekly: 8, at-least: 3 }
    prove: { level: restored, checks: [[test, -s, etc/hostname]], max-age: 8d }
calendars: { holidays: { days: [12-20..12-31], blackout: [backup] } }
notifications: [{ command: [page], on: [failed, missed] }]
";
const HOSTS: &str = "\
hosts:
  web1: { address: 10.0.0.1, labels: { role: web } }
  web2: { address: 10.0.0.2, labels: { role: web } }
  db1: { address: 10.0.0.3, labels: { role: db } }
";
const WEB: &str = "\
kind: backup
name: web
hosts: role=web
sources: [{ files: [/etc, /srv], exclude: [\"*.tmp\"], exclude-larger-than: 1 GiB }]
repository: main
preset: nightly
";
const DB: &str = "\
kind: backup
name: db
hosts: role=db
sources: [{ files: [/var/dumps] }]
repository: main
schedule: { full: daily 02:00 }
retain: { daily: 7 }
";

fn site(changes: &[(&str, &str, &str)]) -> Site {
    let mut files = SiteFiles::new("");
    for (path, text) in [("site.yaml", SITE), ("hosts.yaml", HOSTS), ("plans/web.yaml", WEB), ("plans/db.yaml", DB)] {
        let mut text = text.to_owned();
        for (_, from, to) in changes.iter().filter(|(changed, ..)| *changed == path) {
            assert_eq!(text.matches(from).count(), 1, "{from:?} names one place in {path}");
            text = text.replace(from, to);
        }
        if !text.is_empty() {
            files.insert(path, text);
        }
    }
    Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"))
}

fn from() -> Timestamp {
    "2026-11-22T00:00:00+08:00".parse().unwrap()
}

fn difference(changes: &[(&str, &str, &str)]) -> Difference {
    Difference::of_sites(&site(&[]), &site(changes), from())
}

/// What is protected less after a change.
#[track_caller]
fn check(changes: &[(&str, &str, &str)], expected: &[(Loss, &str)]) {
    let difference = difference(changes);
    let found: Vec<_> = difference.weaker.iter().map(|weaker| (weaker.loss, weaker.what.as_str())).collect();
    assert_eq!(found, expected, "{changes:?}");
    assert!(!difference.is_none() || changes.is_empty(), "{changes:?} makes a difference");
}

#[test]
fn a_site_does_not_differ_from_itself() {
    assert!(difference(&[]).is_none());
    check(&[], &[]);
    // Comments, order, and where something is said.
    let moved = [
        ("site.yaml", "    retain: { daily: 14, weekly: 8, at-least: 3 }\n", ""),
        ("plans/web.yaml", "preset: nightly", "preset: nightly\nretain: { at-least: 3, weekly: 8, daily: 14 } # x"),
    ];
    assert!(difference(&moved).is_none());
}

#[test]
fn paths_and_hosts_that_nobody_backs_up_any_more() {
    let etc = "no plan backs up /etc on web1, web2 any more";
    check(&[("plans/web.yaml", "/etc, /srv", "/srv")], &[(Loss::Coverage, etc)]);
    check(&[("plans/web.yaml", "/etc, /srv", "/")], &[]);
    // Another plan takes it over.
    let taken = (
        "plans/db.yaml",
        "hosts: role=db\nsources: [{ files: [/var/dumps] }]",
        "hosts: \"*\"\nsources: [{ files: [/var/dumps, /etc] }]",
    );
    check(&[("plans/web.yaml", "/etc, /srv", "/srv"), taken], &[]);
    let both = [
        (Loss::Coverage, "no plan backs up /etc on web2 any more"),
        (Loss::Coverage, "no plan backs up /srv on web2 any more"),
    ];
    check(&[("plans/web.yaml", "hosts: role=web", "hosts: name=web1")], &both);
    check(&[("hosts.yaml", "address: 10.0.0.2, labels: { role: web }", "address: 10.0.0.2")], &both);
    let gone = "host web2 is not of the site any more, and was backed up";
    check(&[("hosts.yaml", "  web2: { address: 10.0.0.2, labels: { role: web } }\n", "")], &[(Loss::Coverage, gone)]);
    let gone = "the plan is gone: it makes no more restore points, and its rules keep none";
    check(
        &[("plans/db.yaml", DB, "")],
        &[(Loss::Coverage, "no plan backs up /var/dumps on db1 any more"), (Loss::Coverage, gone)],
    );
}

#[test]
fn what_is_newly_left_out() {
    let log = "*.log is left out of /etc, /srv now";
    check(&[("plans/web.yaml", "[\"*.tmp\"]", "[\"*.log\", \"*.tmp\"]")], &[(Loss::Excluded, log)]);
    check(&[("plans/web.yaml", ", exclude: [\"*.tmp\"]", "")], &[]);
    let larger = "files larger than 1 MiB are left out of /etc, /srv now";
    check(&[("plans/web.yaml", "1 GiB", "1 MiB")], &[(Loss::Excluded, larger)]);
    check(&[("plans/web.yaml", "1 GiB", "2 GiB")], &[]);
    let caches = "cache directories are left out of /var/dumps now";
    check(&[("plans/db.yaml", "[/var/dumps]", "[/var/dumps], exclude-caches: true")], &[(Loss::Excluded, caches)]);
}

#[test]
fn shorter_retention_less_proof_and_fewer_runs() {
    let rarely = ("site.yaml", "prove: { level: restored,", "prove: { level: restored, every: weekly,");
    check(&[rarely], &[(Loss::Proof, "proven weekly, was after each run")]);
    let sampled = ("site.yaml", rarely.1, "prove: { level: restored, every: weekly, sample: 1 GiB, promise: 90d,");
    let less = (Loss::Proof, "a drill restores a sample of 1 GiB, was everything");
    check(&[sampled], &[(Loss::Proof, "proven weekly, was after each run"), less]);
    let fewer = |what| format!("fewer restore points are kept: {what}");
    check(&[("site.yaml", "daily: 14", "daily: 7")], &[(Loss::Retention, &fewer("daily 14, now 7"))]);
    check(&[("site.yaml", "weekly: 8, ", "monthly: 8, ")], &[(Loss::Retention, &fewer("weekly 8, now 0"))]);
    check(&[("site.yaml", "at-least: 3", "at-least: 2")], &[(Loss::Retention, &fewer("at-least 3, now 2"))]);
    check(&[("site.yaml", "daily: 14", "daily: 21")], &[]);

    let prove = "    prove: { level: restored, checks: [[test, -s, etc/hostname]], max-age: 8d }\n";
    check(&[("site.yaml", prove, "")], &[(Loss::Proof, "nothing is proven any more")]);
    let check_gone = "the check `test -s etc/hostname` is gone";
    check(&[("site.yaml", ", checks: [[test, -s, etc/hostname]]", "")], &[(Loss::Proof, check_gone)]);
    check(&[("site.yaml", "8d", "9d")], &[(Loss::Proof, "a proof counts for 9d, was 8d")]);
    check(&[("site.yaml", ", max-age: 8d", "")], &[(Loss::Proof, "a proof counts without end, was 8d")]);
    check(&[("site.yaml", "8d", "7d")], &[]);

    let runs = "fewer runs begin in 365 days: 12 full and 0 incremental, was 365 full and 0 incremental";
    check(&[("plans/db.yaml", "daily 02:00", "monthly 1 02:00")], &[(Loss::Runs, runs)]);
    check(&[("site.yaml", "weekly sun 01:30", "weekly sat 01:30")], &[]);
    let stopped = "a calendar keeps 12 runs from beginning in 365 days that would have begun";
    check(&[("plans/db.yaml", "02:00", "02:00, calendars: [holidays]")], &[(Loss::Runs, stopped)]);
    let never = "fewer runs begin in 365 days: 0 full and 0 incremental, was 365 full and 0 incremental";
    check(&[("plans/db.yaml", "schedule: { full: daily 02:00 }\n", "")], &[(Loss::Runs, never)]);
    check(&[("plans/db.yaml", "daily 02:00", "'daily 02:00,14:00'")], &[]);
    let missed = "missed runs are made up for within 2h, was 18h";
    check(&[("site.yaml", "18h", "2h")], &[(Loss::Runs, missed)]);
    check(
        &[("site.yaml", "run once within 18h", "skip")],
        &[(Loss::Runs, "missed runs are not made up for, were within 18h")],
    );
    let cancelled = "a run that is still going when its window closes is cancelled";
    let window = "daily 02:00, window: { until: \"05:00\", then: cancel }";
    check(&[("plans/db.yaml", "daily 02:00", window)], &[(Loss::Runs, cancelled)]);
}

#[test]
fn hosts_that_write_to_a_repository_themselves() {
    let direct = |more: &'static str| [("site.yaml", "main: { at: /srv/main }", more)];
    let by_itself = "main: { at: /srv/main, access: direct, on-hosts: /mnt/main }";
    let lost = [
        (Loss::Access, "what is stored in main can be removed from db1"),
        (Loss::Access, "what is stored in main can be removed from web1, web2"),
    ];
    check(&direct(by_itself), &lost);
    let difference = difference(&direct(by_itself));
    let said: Vec<_> = difference.site.iter().map(|value| (value.key.as_str(), value.new.as_deref())).collect();
    let expected = [("repositories.main.access", Some("direct")), ("repositories.main.on-hosts", Some("/mnt/main"))];
    assert_eq!(said, expected);
    let (old, new) = (site(&direct(by_itself)), site(&[]));
    assert!(Difference::of_sites(&old, &new, from()).weaker.is_empty(), "back to the gateway loses nothing");
}

#[test]
fn people_who_may_do_more() {
    let people = |text: &str| Box::leak(format!("{text}\ncalendars:").into_boxed_str());
    let of = |text: &str| site(&[("site.yaml", "calendars:", people(text))]);
    let one = of("people: { li: { users: [li], roles: { viewer: role=web } } }");
    let weaker = |old: &Site, new: &Site| -> Vec<String> {
        Difference::of_sites(old, new, from()).weaker.into_iter().map(|weaker| weaker.what).collect()
    };
    let more = of("people: { li: { users: [li, root], roles: { viewer: \"*\", owner: role=web } } }");
    let granted = ["li is viewer on * now", "li is owner on role=web now", "the account root is li now"];
    assert_eq!(weaker(&one, &more), granted);
    assert_eq!(weaker(&site(&[]), &one), ["li is viewer on role=web now"]);
    let open = "the site names nobody any more: whoever may open the socket may do everything";
    assert_eq!(weaker(&one, &site(&[])), [open]);
}

#[test]
fn restores_to_which_fewer_must_agree() {
    let of = |restores: &str| {
        let text = format!("people: {{ li: {{ users: [li], roles: {{ viewer: \"*\" }} }} }}\n{restores}\ncalendars:");
        site(&[("site.yaml", "calendars:", Box::leak(text.into_boxed_str()))])
    };
    let weaker = |old: &Site, new: &Site| -> Vec<(Loss, String)> {
        Difference::of_sites(old, new, from()).weaker.into_iter().map(|weaker| (weaker.loss, weaker.what)).collect()
    };
    let usual = of("");
    let freer = of("restores: { test: { hosts: name=web1 }, valid: 8h, expires: 2d }");
    let expected = [
        "1 must agree to a restore on web1 now, was 2",
        "an approval of a restore counts for 8h, was 4h",
        "a request for a restore stays open for 2d, was 1d",
    ];
    assert_eq!(weaker(&usual, &freer), expected.map(|what| (Loss::Access, what.to_owned())));
    assert_eq!(weaker(&freer, &usual), []);
    let strict = of("restores: { test: { hosts: name=web1, approvals: 3 } }");
    assert_eq!(weaker(&usual, &strict), []);
}

#[test]
fn repositories_that_are_looked_after_less() {
    let kept = |more: &'static str| site(&[("site.yaml", "main: { at: /srv/main }", more)]);
    let scrubbed = kept("main: { at: /srv/main, maintenance: { at: daily 05:00, scrub: { every: 30d } } }");
    let pruned = kept("main: { at: /srv/main, maintenance: { at: daily 05:00 } }");
    let lost = |old: &Site, new: &Site| -> Vec<(Loss, String)> {
        Difference::of_sites(old, new, from()).weaker.into_iter().map(|weaker| (weaker.loss, weaker.what)).collect()
    };
    let gone = "main is not maintained any more: nothing is forgotten, pruned or scrubbed".to_owned();
    assert_eq!(lost(&scrubbed, &site(&[])), [(Loss::Proof, gone)]);
    let unscrubbed = "main is not scrubbed any more: what rots there is found when it is needed".to_owned();
    assert_eq!(lost(&scrubbed, &pruned), [(Loss::Proof, unscrubbed)]);
    assert_eq!(lost(&site(&[]), &scrubbed), []);
}

#[test]
fn locks_that_are_shorter_or_lost() {
    let locked = |more: &'static str| site(&[("site.yaml", "main: { at: /srv/main }", more)]);
    let long = locked("main: { at: s3://main, immutable: 30d, maintenance: { at: daily 05:00 } }");
    let short = locked("main: { at: s3://main, immutable: 7d, maintenance: { at: daily 05:00 } }");
    let none = locked("main: { at: s3://main, maintenance: { at: daily 05:00 } }");
    let lost = |old: &Site, new: &Site| -> Vec<(Loss, String)> {
        Difference::of_sites(old, new, from()).weaker.into_iter().map(|weaker| (weaker.loss, weaker.what)).collect()
    };
    assert_eq!(lost(&long, &short), [(Loss::Access, "main is kept immutable for 1w, was 30d".to_owned())]);
    let gone = "main is not kept immutable any more: what is stored there can be deleted once its locks end".to_owned();
    assert_eq!(lost(&short, &none), [(Loss::Access, gone)]);
    assert_eq!((lost(&short, &long), lost(&none, &long)), (vec![], vec![]));
}

#[test]
fn other_repositories_and_silence() {
    let stays = "what was stored so far stays in /srv/main; /srv/other knows nothing of it";
    check(&[("plans/db.yaml", "repository: main", "repository: other")], &[(Loss::Repository, stays)]);
    let silent = "nobody is told of runs that are missed any more";
    check(&[("site.yaml", "on: [failed, missed]", "on: [failed]")], &[(Loss::Notification, silent)]);
}

#[test]
fn values_hosts_and_runs_are_told_by_plan() {
    let difference = difference(&[
        ("plans/db.yaml", "daily 02:00", "daily 02:00, jitter: 10m"),
        ("plans/web.yaml", "hosts: role=web", "hosts: \"*\""),
        ("plans/web.yaml", ", exclude-larger-than: 1 GiB", ""),
        ("site.yaml", "incremental: daily 01:30, ", "incremental: daily 03:30, "),
        ("site.yaml", "Asia/Shanghai", "Asia/Tokyo"),
        ("hosts.yaml", "10.0.0.3", "10.0.0.4"),
    ]);
    let [db, web] = &difference.plans[..] else { panic!("{difference:?}") };
    let values = |values: &[strongroom_plans::ValueChange]| -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
        let value = |value: &strongroom_plans::ValueChange| {
            let at = value.at.clone().unwrap_or_default();
            format!("{} {} > {} {at}", value.key, text(&value.old), text(&value.new))
        };
        values.iter().map(value).collect()
    };
    assert_eq!(values(&difference.site), ["zone Asia/Shanghai > Asia/Tokyo site.yaml:2"]);
    assert_eq!(values(&difference.hosts), ["db1.address 10.0.0.3 > 10.0.0.4 "]);
    assert_eq!(values(&db.values), ["schedule.jitter none > 10m plans/db.yaml:6"]);
    assert_eq!(
        values(&web.values),
        [
            "hosts role=web > * plans/web.yaml:3",
            "schedule.incremental daily 01:30 > daily 03:30 site.yaml:6",
            "sources./etc.exclude-larger-than 1 GiB > none plans/web.yaml:4",
        ]
    );
    assert_eq!((web.change, web.hosts_gained[0].as_str(), web.hosts_lost.len()), (Change::Changed, "db1", 0));
    let runs = web.runs.as_ref().unwrap();
    assert_eq!((runs.old.full, runs.old.incremental, runs.new.incremental), (53, 312, 365));
    let next: Vec<&str> = runs.new.next.iter().map(|run| run.time.as_str()).collect();
    assert_eq!(next, ["2026-11-22T01:30:00+09:00", "2026-11-22T03:30:00+09:00", "2026-11-23T03:30:00+09:00"]);
}

#[test]
fn plan_files_are_compared_too() {
    let text = "kind: backup\nname: a\nsources: [{ files: [/etc] }]\nrepository: /r\nretain: { last: 3 }\n";
    let plan = |text: &str| parse("a.yaml", text).unwrap();
    let compare = |new: &str| Difference::of_plans(&plan(text), &plan(new), &TimeZone::UTC, from());
    assert!(compare(text).is_none());
    let changed = compare(&text.replace("[/etc]", "[/srv]").replace("last: 3", "last: 2").replace("/r\n", "/s\n"));
    let losses: Vec<Loss> = changed.weaker.iter().map(|weaker| weaker.loss).collect();
    assert_eq!(losses, [Loss::Coverage, Loss::Retention, Loss::Repository], "{changed:?}");
    let keys: Vec<&str> = changed.plans[0].values.iter().map(|value| value.key.as_str()).collect();
    assert_eq!(keys, ["repository", "retain.last", "sources./etc.files", "sources./srv.files"]);
    let named = compare(&text.replace("name: a", "name: b"));
    assert_eq!((named.plans[0].values[0].key.as_str(), named.weaker.len()), ("name", 0));
}
