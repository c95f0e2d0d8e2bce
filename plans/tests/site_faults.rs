//! Faults of a site: each has its file and place, hides none in the other files, and brings no second one.

use strongroom_plans::{Code, Faults, Site, SiteFiles};

/// A site without a fault; each row of the tables below breaks it at one place.
const SITE: &str = "\
name: example
zone: Asia/Shanghai
repositories:
  main: { at: /srv/strongroom/main, access: gateway }
presets:
  nightly:
    schedule: { full: daily 01:30, calendars: [year-end] }
    retain: { daily: 14 }
calendars:
  year-end: { days: [12-31], blackout: [backup] }
limits: { runs: 8 }
notifications: [{ command: [page], on: [failed] }]
";

const HOSTS: &str = "\
hosts:
  gate: { address: gate.example.org }
  web1: { address: 10.0.0.5, jump: gate, port: 22, user: root, labels: { role: web } }
";

const WEB: &str = "\
kind: backup
name: web
hosts: role=web
sources: [{ files: [/srv] }]
repository: main
preset: nightly
priority: 60
";

const ETC: &str = "\
kind: backup
name: etc
hosts: name=web1
sources: [{ files: [/etc] }]
repository: main
schedule: { full: daily 02:00, after: web, window: { until: \"05:00\", then: cancel }, missed: skip, retries: { times: 3, wait: 5m } }
retain: { last: 3 }
";

const FILES: [(&str, &str); 4] =
    [("site.yaml", SITE), ("hosts.yaml", HOSTS), ("plans/etc.yaml", ETC), ("plans/web.yaml", WEB)];

/// File, line, column, code and offending text of a fault.
type Expected<'e> = (Code, &'e str, usize, usize, &'e str);

fn files(change: impl Fn(&str, &str) -> Option<String>) -> SiteFiles {
    let mut files = SiteFiles::new("");
    for (path, text) in FILES {
        if let Some(text) = change(path, text) {
            files.insert(path, text);
        }
    }
    files
}

fn broken(file: &str, from: &str, to: &str) -> SiteFiles {
    files(|path, text| {
        assert!(path != file || text.matches(from).count() == 1, "{from:?} names one place in {file}");
        Some(if path == file { text.replace(from, to) } else { text.to_owned() })
    })
}

fn found(files: &SiteFiles) -> Faults {
    Site::read(files).expect_err("the site is faulty")
}

fn summary<'f>(faults: &'f Faults) -> Vec<Expected<'f>> {
    let one = |fault: &'f strongroom_plans::Fault| {
        let place = fault.place();
        (fault.code(), place.file(), place.line(), place.column(), place.text())
    };
    faults.iter().map(one).collect()
}

/// Replaces a part of one file and expects exactly one fault.
#[track_caller]
fn check(file: &str, from: &str, to: &str, expected: Expected<'_>) {
    let faults = found(&broken(file, from, to));
    assert_eq!(summary(&faults), [expected], "{faults}");
}

#[track_caller]
fn remedy(file: &str, from: &str, to: &str) -> String {
    let faults = found(&broken(file, from, to));
    assert_eq!(faults.iter().count(), 1, "{faults}");
    faults.iter().next().unwrap().remedy().to_owned()
}

#[test]
fn the_site_that_is_broken_below_is_sound() {
    Site::read(&files(|_, text| Some(text.to_owned()))).unwrap_or_else(|faults| panic!("{faults}"));
}

#[test]
fn site_keys_and_values() {
    let at = "site.yaml";
    check(at, "limits:", "limit:", (Code::UnknownKey, at, 11, 1, "limit"));
    check(at, "name: example\n", "", (Code::MissingKey, at, 1, 1, "zone: Asia/Shanghai"));
    check(at, "Asia/Shanghai", "Mars", (Code::BadZone, at, 2, 7, "Mars"));
    check(at, "name: example", "name: an example", (Code::BadName, at, 1, 7, "an example"));
    check(at, "  main:", "  my main:", (Code::BadName, at, 4, 3, "my main"));
    check(at, "/srv/strongroom/main", "~/main", (Code::BadRepository, at, 4, 15, "~/main"));
    check(at, "access: gateway", "access: nfs", (Code::UnknownWord, at, 4, 45, "nfs"));
    check(at, "access: gateway", "access: nfs, on-hosts: /mnt", (Code::UnknownWord, at, 4, 45, "nfs"));
    check(at, "access: gateway", "on-hosts: /mnt", (Code::KeyBeside, at, 4, 47, "/mnt"));
    check(at, "access: gateway", "access: gateway, on-hosts: /mnt", (Code::KeyBeside, at, 4, 64, "/mnt"));
    check(at, "access: gateway", "access: direct, on-hosts: ~/mnt", (Code::BadRepository, at, 4, 63, "~/mnt"));
    check(at, "access: gateway", "access: direct, on-hosts: s3://x/y", (Code::BadRepository, at, 4, 63, "s3://x/y"));
    let mounted = remedy(at, "access: gateway", "access: direct, on-hosts: ./mnt");
    assert!(mounted.contains("as the hosts have it mounted"), "{mounted}");
    assert!(remedy(at, "access: gateway", "on-hosts: /mnt").contains("`access: direct`"));
    check(at, "{ runs: 8 }", "{ runs: 0 }", (Code::BadNumber, at, 11, 17, "0"));
    check(at, "{ runs: 8 }", "{ runs: 99999 }", (Code::BadNumber, at, 11, 17, "99999"));
    check(at, "{ runs: 8 }", "{ per-hosts: 8 }", (Code::UnknownKey, at, 11, 11, "per-hosts"));
    check(at, "retain: { daily: 14 }", "retain: {}", (Code::NoRetentionRule, at, 8, 13, "{}"));
    check(at, "[12-31]", "[12-32]", (Code::BadDays, at, 10, 22, "12-32"));
    check(at, "blackout: [backup]", "freeze: [backup]", (Code::UnknownWord, at, 10, 39, "backup"));
    check(at, ", blackout: [backup]", "", (Code::MissingKey, at, 10, 13, "{ days: [12-31] }"));
    check(at, "command: [page], ", "", (Code::MissingKey, at, 12, 17, "{ on: [failed] }"));
    check(at, "limits: { runs: 8 }", "dead-man: { every: 5m }", (Code::MissingKey, at, 11, 11, "{ every: 5m }"));
    check(
        at,
        "limits: { runs: 8 }",
        "quotas: [{ repository: main }]",
        (Code::MissingKey, at, 11, 10, "{ repository: main }"),
    );
    let crossed = "quotas: [{ repository: main, soft: 2 GiB, hard: 1 GiB }]";
    check(at, "limits: { runs: 8 }", crossed, (Code::BadSize, at, 11, 36, "2 GiB"));
    check(at, "[failed]", "[fail]", (Code::UnknownWord, at, 12, 41, "fail"));
}

#[test]
fn people_and_what_they_are_there_for() {
    let at = "site.yaml";
    let people = |to: &'static str, (code, text): (Code, &str)| {
        let line = format!("people: {to}");
        let column = line.rfind(text).unwrap() + 1;
        check(at, "limits: { runs: 8 }", &line, (code, at, 11, column, text));
    };
    people("{ li: { users: [li] } }", (Code::MissingKey, "{ users: [li] }"));
    people("{ li: { roles: { viewer: \"*\" } } }", (Code::MissingKey, "{ roles: { viewer: \"*\" } }"));
    people("{ li: { users: [], roles: { viewer: \"*\" } } }", (Code::EmptyCollection, "[]"));
    people("{ li: { users: [a b], roles: { viewer: \"*\" } } }", (Code::BadAddress, "a b"));
    people("{ li: { users: [li], roles: {} } }", (Code::EmptyCollection, "{}"));
    people("{ li: { users: [li], roles: { vewer: \"*\" } } }", (Code::UnknownKey, "vewer"));
    people("{ li: { users: [li], roles: { viewer: \"role=\" } } }", (Code::BadSelector, "\"role=\""));
    people("{ li: { users: [li, li], roles: { viewer: \"*\" } } }", (Code::NameTwice, "li"));
    let two =
        "{ wang: { users: [ops], roles: { viewer: \"*\" } }, li: { users: [oops, ops], roles: { viewer: \"*\" } } }";
    people(two, (Code::NameTwice, "ops"));
    people("{ li: { users: [li], roles: { operator: a, auditor: b } } }", (Code::RolesExclude, "b"));
    people("{ li: { users: [li], roles: { security: x, on-call: y } } }", (Code::RolesExclude, "x"));
    people("{ li: { users: [li], roles: { approver: y, operator: x } } }", (Code::RolesExclude, "y"));
}

#[test]
fn stores_of_repositories() {
    let at = "site.yaml";
    let main = "{ at: /srv/strongroom/main, access: gateway }";
    let store = |to: &'static str, code, text: &str| {
        let line = format!("  main: {to}");
        let column = line.rfind(text).unwrap() + 1;
        check(at, main, to, (code, at, 4, column, text));
    };
    store("{ at: s3://x/y }", Code::BadRepository, "s3://x/y");
    store("{ at: s3://id:geheim@backups/main }", Code::BadRepository, "s3://id:geheim@backups/main");
    store("{ at: gs://backups/main }", Code::BadRepository, "gs://backups/main");
    store("{ at: sftp://nas }", Code::BadRepository, "sftp://nas");
    store("{ at: /srv/main, endpoint: \"https://s3\" }", Code::KeyBeside, "\"https://s3\"");
    store("{ at: /srv/main, ssh-key: /key }", Code::KeyBeside, "/key");
    store("{ at: s3://backups, known-hosts: /hosts }", Code::KeyBeside, "/hosts");
    store("{ at: sftp://nas/srv, region: cn-north-1 }", Code::KeyBeside, "cn-north-1");
    store("{ at: s3://backups, access: direct }", Code::NotYet, "direct");
    store("{ at: s3://backups, endpoint: s3.example.org }", Code::BadUrl, "s3.example.org");
    store("{ at: s3://backups, endpoint: \"https://a:b@s3\" }", Code::BadUrl, "\"https://a:b@s3\"");
    store("{ at: s3://backups, addressing: up }", Code::UnknownWord, "up");
    store("{ at: s3://backups, ca: ca.pem }", Code::BadPath, "ca.pem");
    store("{ at: s3://backups, profile: own }", Code::KeyBeside, "own");
    store("{ at: s3://backups, credentials-file: /k, credentials-command: [p] }", Code::TwoWays, "[p]");
    store("{ at: s3://backups, secret: geheim }", Code::UnknownKey, "secret");
    store("{ at: s3://backups, media: paper }", Code::UnknownWord, "paper");
    store("{ at: s3://backups, site: two words }", Code::BadName, "two words");
    store("{ at: /srv, immutable: 30d, maintenance: { at: daily 05:00 } }", Code::KeyBeside, "30d");
    store("{ at: s3://backups, immutable: 30d }", Code::KeyBeside, "30d");
    store("{ at: s3://backups, immutable: long, maintenance: { at: daily 05:00 } }", Code::BadTimeSpan, "long");
    store("{ at: /srv, maintenance: daily }", Code::WrongType, "daily");
    store("{ at: /srv, maintenance: { prune: no } }", Code::MissingKey, "{ prune: no }");
    store("{ at: /srv, maintenance: { at: dayly 05:00 } }", Code::BadSchedule, "dayly 05:00");
    store("{ at: /srv, maintenance: { at: daily 05:00, prune: yes } }", Code::WrongType, "yes");
    store("{ at: /srv, maintenance: { at: daily 05:00, prune: { max-unused: 5 } } }", Code::BadNumber, "5");
    store("{ at: /srv, maintenance: { at: daily 05:00, scrub: { every: 30 } } }", Code::BadTimeSpan, "30");
    store("{ at: /srv, maintenance: { at: daily 05:00, forget: no } }", Code::UnknownKey, "forget");
    let faults = found(&broken(at, main, "{ at: s3://id:geheim@backups/main }"));
    assert!(faults.iter().all(|fault| !fault.reason().contains("geheim")), "{faults}");
    assert!(remedy(at, main, "{ at: /srv/main, region: x }").contains("at: s3://"));
}

/// Only what hosts open themselves lies on them: the controller's directory may be called like one of theirs.
#[test]
fn hosts_do_not_store_a_repository_in_itself() {
    let at = "plans/etc.yaml";
    let direct =
        |on_hosts: &str| broken("site.yaml", "access: gateway", &format!("access: direct, on-hosts: {on_hosts}"));
    for (on_hosts, place) in [("/etc/mnt", (at, 5, 13, "main")), ("/srv", ("plans/web.yaml", 5, 13, "main"))] {
        let faults = found(&direct(on_hosts));
        let (file, line, column, text) = place;
        assert_eq!(summary(&faults), [(Code::RepositoryInSource, file, line, column, text)], "{faults}");
    }
    assert!(Site::read(&direct("/mnt/main")).is_ok());
    assert!(Site::read(&broken("site.yaml", "/srv/strongroom/main", "/etc/main")).is_ok());
}

#[test]
fn ways_to_tell() {
    let at = "site.yaml";
    let way = |way: &'static str, expected| check(at, "command: [page]", way, expected);
    way("smtp: x", (Code::WrongType, at, 12, 25, "x"));
    way("webhok: {}", (Code::UnknownKey, at, 12, 19, "webhok"));
    way("webhook: { format: json }", (Code::MissingKey, at, 12, 28, "{ format: json }"));
    way("webhook: { url: https://x/y, format: xml }", (Code::UnknownWord, at, 12, 56, "xml"));
    way("webhook: { url: https://x/y, secret-file: s }", (Code::BadPath, at, 12, 61, "s"));
    way("webhook: { url: https://x/y, url-file: /s }", (Code::TwoWays, at, 12, 58, "/s"));
    way("command: [page], webhook: { url: https://x/y }", (Code::TwoWays, at, 12, 45, "{ url: https://x/y }"));
    way("command: [page], name: x y", (Code::BadName, at, 12, 42, "x y"));
    for url in [
        "chat",
        "ftp://x/y",
        "http://x/y",
        "https://",
        "https:///y",
        "https://x:0/",
        "https://u:p@x/",
        "https://x/y#z",
        "https://x:http/",
        "https://[::1/",
        "https://x y/",
    ] {
        let hook = format!("webhook: {{ url: \"{url}\" }}");
        check(at, "command: [page]", &hook, (Code::BadUrl, at, 12, 35, &format!("\"{url}\"")));
    }
    let smtp = "smtp: { server: mail.example.org:587, from: a@example.org, to: [b@example.org] }";
    let half_login = smtp[6..].replace("587,", "587, password-file: /p,");
    let mail = |from: &str, to: &str, expected| check(at, "command: [page]", &smtp.replace(from, to), expected);
    mail(
        ", to: [b@example.org]",
        "",
        (Code::MissingKey, at, 12, 25, "{ server: mail.example.org:587, from: a@example.org }"),
    );
    for address in ["a", "a@", "'@example.org'", "a b@example.org", "A <a@example.org>", "a..b@example.org", "a@10.0.0"]
    {
        mail("from: a@example.org", &format!("from: {address}"), (Code::BadAddress, at, 12, 63, address));
    }
    mail(":587", ":0", (Code::BadAddress, at, 12, 35, "mail.example.org:0"));
    mail("[b@example.org]", "[]", (Code::EmptyCollection, at, 12, 82, "[]"));
    mail("587,", "587, tls: ssl,", (Code::UnknownWord, at, 12, 62, "ssl"));
    mail("587,", "587, password-file: /p,", (Code::MissingKey, at, 12, 25, &half_login));
    mail("587,", "587, tls: none, user: u, password-file: /p,", (Code::OpenPassword, at, 12, 92, "/p"));
}

/// What stands behind the host of a URL may be a secret: the reason does not repeat it.
#[test]
fn a_secret_in_a_url_is_not_repeated_in_the_reason() {
    let faults = found(&broken(
        "site.yaml",
        "command: [page]",
        "webhook: { url: \"http://chat.example.org/robot?key=geheim\" }",
    ));
    let fault = faults.iter().next().unwrap();
    assert_eq!((fault.code(), faults.iter().count()), (Code::BadUrl, 1));
    assert!(!fault.reason().contains("geheim") && fault.reason().contains("chat.example.org"), "{}", fault.reason());
}

#[test]
fn hosts() {
    let at = "hosts.yaml";
    check(at, "hosts:\n", "host:\n", (Code::UnknownKey, at, 1, 1, "host"));
    check(at, "address: gate.example.org", "adress: x", (Code::UnknownKey, at, 2, 11, "adress"));
    for address in ["10.0.0", "-x", "a b", "root@web1", "web1:22", "'[::1]'", "x..y", "x.-y"] {
        check(at, "10.0.0.5", address, (Code::BadAddress, at, 3, 20, address));
    }
    check(at, "user: root", "user: -x", (Code::BadAddress, at, 3, 58, "-x"));
    check(at, "port: 22", "port: 65536", (Code::BadNumber, at, 3, 48, "65536"));
    check(at, "role: web", "role: web, name: x", (Code::BadName, at, 3, 91, "x"));
    check(at, "role: web", "role: a b", (Code::BadName, at, 3, 80, "a b"));
    check(at, "jump: gate", "jump: gato", (Code::UnknownName, at, 3, 36, "gato"));
    check(at, "jump: gate", "jump: web1", (Code::Circle, at, 3, 36, "web1"));
    check(at, "gate.example.org", "gate.example.org, jump: web1", (Code::Circle, at, 2, 44, "web1"));
}

#[test]
fn what_plans_name_must_be_there() {
    let (etc, web) = ("plans/etc.yaml", "plans/web.yaml");
    check(web, "repository: main", "repository: mian", (Code::UnknownName, web, 5, 13, "mian"));
    check(web, "preset: nightly", "preset: nightli", (Code::UnknownName, web, 6, 9, "nightli"));
    check(etc, "after: web", "after: webb", (Code::UnknownName, etc, 6, 39, "webb"));
    check(etc, "after: web", "calendars: [summer]", (Code::UnknownName, etc, 6, 44, "summer"));
    check("site.yaml", "calendars: [year-end]", "calendars: [x]", (Code::UnknownName, "site.yaml", 7, 48, "x"));
    check("site.yaml", "calendars: [year-end]", "after: x", (Code::UnknownName, "site.yaml", 7, 43, "x"));
    check(etc, "after: web", "after: etc", (Code::Circle, etc, 6, 39, "etc"));
    // Over the preset of the other plan.
    check("site.yaml", "calendars: [year-end]", "after: etc", (Code::Circle, etc, 6, 39, "web"));
    check(web, "hosts: role=web", "hosts: rolle=web", (Code::NoHost, web, 3, 8, "rolle=web"));
    check(web, "hosts: role=web", "hosts: role=db", (Code::NoHost, web, 3, 8, "role=db"));
    let twice = files(|path, text| {
        Some(if path == web { text.replace("name: web", "name: etc") } else { text.replace("after: web, ", "") })
    });
    assert_eq!(summary(&found(&twice)), [(Code::NameTwice, web, 2, 7, "etc")]);
}

#[test]
fn plans_of_a_site() {
    let (etc, web) = ("plans/etc.yaml", "plans/web.yaml");
    check(web, "hosts: role=web\n", "", (Code::MissingKey, web, 1, 1, "kind: backup"));
    check(web, "preset: nightly\n", "", (Code::MissingKey, web, 1, 1, "kind: backup"));
    check(web, "repository: main", "repository: /srv/backup", (Code::BadName, web, 5, 13, "/srv/backup"));
    check(web, "priority: 60", "priority: 101", (Code::BadNumber, web, 7, 11, "101"));
    check(web, "priority: 60", "copies: [x]", (Code::UnknownName, web, 7, 10, "x"));
    check(web, "priority: 60", "copies: [main]", (Code::StoredTwice, web, 7, 10, "main"));
    for selector in ["role=", "role=web &", "(role=web", "role=web)", "role web", "=web", "role==web", "web/1", "'& x'"]
    {
        check(web, "role=web", selector, (Code::BadSelector, web, 3, 8, selector));
    }
    check(etc, "\"05:00\"", "\"5:00\"", (Code::BadTime, etc, 6, 61, "\"5:00\""));
    check(etc, "then: cancel", "then: sleep", (Code::UnknownWord, etc, 6, 76, "sleep"));
    check(etc, "wait: 5m", "wait: 5m, on: [tired]", (Code::UnknownWord, etc, 6, 136, "tired"));
    check(etc, ", then: cancel", "", (Code::MissingKey, etc, 6, 52, "{ until: \"05:00\" }"));
    check(etc, "missed: skip", "missed: run", (Code::BadMissedRule, etc, 6, 94, "run"));
    check(etc, "times: 3", "times: 30", (Code::BadNumber, etc, 6, 118, "30"));
}

#[test]
fn files_that_are_not_there_or_would_not_be_read() {
    let without = |gone: &'static str| files(move |path, text| (path != gone).then(|| text.to_owned()));
    // What they would have declared is not called unknown.
    assert_eq!(summary(&found(&without("site.yaml"))), [(Code::MissingFile, "site.yaml", 1, 1, "")]);
    assert_eq!(summary(&found(&without("hosts.yaml"))), [(Code::MissingFile, "hosts.yaml", 1, 1, "")]);
    let mut stray = files(|_, text| Some(text.to_owned()));
    stray.insert("plans/new.yml", "kind: backup");
    assert_eq!(summary(&found(&stray)), [(Code::StrayFile, "plans/new.yml", 1, 1, "")]);
    let mut bytes = files(|_, text| Some(text.to_owned()));
    bytes.insert("plans/new.yaml", b"kind: backup\nname: \xff\n".to_vec());
    assert_eq!(summary(&found(&bytes)), [(Code::Encoding, "plans/new.yaml", 2, 7, "")]);
}

#[test]
fn the_nearest_name_is_suggested() {
    assert_eq!(remedy("plans/web.yaml", "repository: main", "repository: mian"), "did you mean `main`?");
    assert_eq!(remedy("plans/etc.yaml", "after: web", "after: wep"), "did you mean `web`?");
    assert_eq!(remedy("hosts.yaml", "jump: gate", "jump: Gate"), "did you mean `gate`?");
    let label = remedy("plans/web.yaml", "hosts: role=web", "hosts: rolle=web");
    assert_eq!(label, "no host has the label `rolle`; did you mean `role`?");
    let name = remedy("plans/web.yaml", "hosts: role=web", "hosts: gate");
    assert_eq!(name, "no host has the label `gate`; the host of that name is `name=gate`");
    let elsewhere = remedy("plans/web.yaml", "repository: main", "repository: offsite");
    assert_eq!(elsewhere, "declare it, or name one that there is, such as `main`");
}

/// One fault in each file, and all of them in one report, with the files in their order.
#[test]
fn the_faults_of_all_files_are_in_one_report() {
    let faulty = files(|path, text| {
        Some(match path {
            "site.yaml" => text.replace("Asia/Shanghai", "Asia/Shangai").replace("limits:", "limit:"),
            "hosts.yaml" => text.replace("jump: gate", "jump: gats"),
            "plans/etc.yaml" => text.replace("missed: skip", "missed: skipp"),
            _ => text.replace("repository: main", "repository: man").replace("name: web", "nam: web"),
        })
    });
    let faults = found(&faulty);
    let expected = [
        (Code::BadZone, "site.yaml", 2, 7, "Asia/Shangai"),
        (Code::UnknownKey, "site.yaml", 11, 1, "limit"),
        (Code::UnknownName, "hosts.yaml", 3, 36, "gats"),
        (Code::BadMissedRule, "plans/etc.yaml", 6, 94, "skipp"),
        (Code::UnknownKey, "plans/web.yaml", 2, 1, "nam"),
        (Code::UnknownName, "plans/web.yaml", 5, 13, "man"),
    ];
    assert_eq!(summary(&faults), expected, "{faults}");
    assert!(faults.to_string().ends_with("6 faults"), "{faults}");
}

#[test]
fn a_flood_over_many_files_is_cut_and_counted() {
    let keys: String = (0..80).map(|number| format!("unheard-of-{number}: x\n")).collect();
    let faults = found(&files(|_, text| Some(format!("{text}{keys}"))));
    assert_eq!((faults.iter().count(), faults.omitted()), (100, 220));
}

/// As when a host is added that a plan names already.
#[test]
fn hosts_are_read_whatever_is_wrong_elsewhere() {
    let faulty = files(|path, text| Some(if path == "hosts.yaml" { text.to_owned() } else { text.replace("a", "?") }));
    assert_eq!(Site::read_hosts(&faulty).unwrap()[&"web1".parse().unwrap()].jump().unwrap().as_str(), "gate");
    let circle = files(|_, text| Some(text.replace("gate.example.org", "gate.example.org, jump: web1")));
    assert_eq!(summary(&Site::read_hosts(&circle).unwrap_err()), [(Code::Circle, "hosts.yaml", 2, 44, "web1")]);
    let missing = files(|_, _| None);
    assert_eq!(summary(&Site::read_hosts(&missing).unwrap_err()), [(Code::MissingFile, "hosts.yaml", 1, 1, "")]);
}

#[test]
fn who_must_agree_to_restores() {
    let at = "site.yaml";
    let restores = |to: &'static str, (code, text): (Code, &str)| {
        let line = format!("restores: {to}");
        let column = line.rfind(text).unwrap() + 1;
        check(at, "limits: { runs: 8 }", &line, (code, at, 11, column, text));
    };
    restores("{ production: { approvals: 1 } }", (Code::TooFewApprovals, "1"));
    restores("{ production: { approvals: 0, hosts: role=db } }", (Code::TooFewApprovals, "0"));
    restores("{ test: { approvals: 1 } }", (Code::MissingKey, "{ approvals: 1 }"));
    restores("{ scratch: { hosts: \"role=\" } }", (Code::BadSelector, "\"role=\""));
    restores("{ scratch: { hosts: role=drill, approvals: none } }", (Code::BadNumber, "none"));
    restores("{ test: { hosts: role=drill, approvals: 10 } }", (Code::BadNumber, "10"));
    restores("{ test: { hosts: role=drill, approvers: 1 } }", (Code::UnknownKey, "approvers"));
    restores("{ staging: { hosts: role=drill } }", (Code::UnknownKey, "staging"));
    restores("{ valid: 4 }", (Code::BadTimeSpan, "4"));
    restores("{ expires: never }", (Code::BadTimeSpan, "never"));
    assert!(remedy(at, "limits: { runs: 8 }", "restores: { production: { approvals: 1 } }").contains("`scratch:`"));
}

#[test]
fn objectives_of_a_plan() {
    let at = "plans/web.yaml";
    let objectives = |to: &'static str, (code, text): (Code, &str)| {
        let column = to.rfind(text).unwrap() + 1;
        check(at, "priority: 60", to, (code, at, 7, column, text));
    };
    objectives("objectives: { rto: 4 }", (Code::BadTimeSpan, "4"));
    objectives("objectives: { rpo: one day }", (Code::BadTimeSpan, "one day"));
    objectives("objectives: {}", (Code::EmptyCollection, "{}"));
    objectives("objectives: { mttr: 4h }", (Code::UnknownKey, "mttr"));
}

#[test]
fn the_own_state() {
    let own_state = |to: &str, (code, text): (Code, &str)| {
        let to = format!("limits: {{ runs: 8 }}\nown-state: {to}");
        let column = to.lines().last().unwrap().rfind(text).unwrap() + 1;
        check("site.yaml", "limits: { runs: 8 }", &to, (code, "site.yaml", 12, column, text));
    };
    own_state("{ prove: hourly }", (Code::UnknownWord, "hourly"));
    own_state("{ prove: run }", (Code::NotYet, "run"));
    own_state("{}", (Code::MissingKey, "{}"));
    own_state("{ prove: weekly, sheet: x }", (Code::UnknownKey, "sheet"));
}

#[test]
fn samples_of_drills() {
    let at = "plans/web.yaml";
    let prove = |to: &str, (code, text): (Code, &str)| {
        let to = format!("prove: {{ level: restored, {to} }}");
        let column = to.rfind(text).unwrap() + 1;
        check(at, "priority: 60", &to, (code, at, 7, column, text));
    };
    prove("every: weekly, sample: some", (Code::BadSize, "some"));
    prove("sample: 5 GiB", (Code::KeyBeside, "5 GiB"));
    prove("every: run, sample: 5 GiB", (Code::KeyBeside, "5 GiB"));
    prove("every: wekly, sample: 5 GiB, promise: 1d", (Code::UnknownWord, "wekly"));
    prove("every: weekly, promise: 90d", (Code::KeyBeside, "90d"));
    prove("every: weekly, first: [/srv]", (Code::KeyBeside, "[/srv]"));
    prove("every: weekly, sample: 5 GiB, first: [srv/db]", (Code::BadGlob, "srv/db"));
    prove("every: weekly, sample: 5 GiB, promise: 6d", (Code::BadTimeSpan, "6d"));
    prove("every: monthly, sample: 5 GiB, promise: 30d", (Code::BadTimeSpan, "30d"));
    prove("limits: { cpu: fast }", (Code::BadTimeSpan, "fast"));
    prove("limits: { memory: 2 }", (Code::BadSize, "2"));
    prove("limits: { processes: 64 }", (Code::UnknownKey, "processes"));
    prove("limits: {}", (Code::EmptyCollection, "{}"));
}
