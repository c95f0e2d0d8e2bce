//! Every fault has a code and a place, hides no other fault, and brings no second one of its own.

use std::collections::BTreeSet;

use strongroom_plans::{Code, Faults, decode, parse};

/// A plan without a fault; each row of the tables below breaks it at one place.
const SOUND: &str = "\
kind: backup
name: billing
owner: team-billing
sources:
  - files: [/etc, /srv]
    exclude: [\"*.tmp\"]
    exclude-caches: true
    exclude-larger-than: 1 GiB
repository: /backup/billing
retain: { daily: 14, at-least: 3 }
prove:
  level: restored
  checks: [[test, -s, etc/passwd]]
  max-age: 8d
tags: { system: billing }
";

/// Code, line, column and offending text of a fault.
type Expected<'e> = (Code, usize, usize, &'e str);

fn found(result: Result<impl Sized, Faults>) -> Faults {
    result.err().expect("the plan is faulty")
}

fn summary(faults: &Faults) -> Vec<(Code, usize, usize, &str)> {
    let place = |fault: &strongroom_plans::Fault| (fault.place().line(), fault.place().column());
    faults.iter().map(|fault| (fault.code(), place(fault).0, place(fault).1, fault.place().text())).collect()
}

fn broken(from: &str, to: &str) -> String {
    assert_eq!(SOUND.matches(from).count(), 1, "{from:?} names one place");
    SOUND.replace(from, to)
}

/// Replaces a part of the sound plan and expects exactly one fault.
#[track_caller]
fn check(from: &str, to: &str, expected: Expected<'_>) {
    let text = broken(from, to);
    let faults = found(parse("billing.yaml", &text));
    assert_eq!(summary(&faults), [expected], "{faults}");
    let fault = faults.iter().next().unwrap();
    assert!(!fault.reason().is_empty() && !fault.remedy().is_empty());
    assert_eq!(text.lines().nth(expected.1 - 1), Some(fault.place().source_line()));
}

/// Like [`check`], for a whole text.
#[track_caller]
fn check_text(text: &str, expected: Expected<'_>) {
    let faults = found(parse("billing.yaml", text));
    assert_eq!(summary(&faults), [expected], "{faults}");
}

/// The remedy of the only fault.
fn remedy(from: &str, to: &str) -> String {
    let faults = found(parse("billing.yaml", &broken(from, to)));
    assert_eq!(faults.iter().count(), 1, "{faults}");
    faults.iter().next().unwrap().remedy().to_owned()
}

#[test]
fn the_plan_that_is_broken_below_is_sound() {
    parse("billing.yaml", SOUND).unwrap();
}

#[test]
fn yaml() {
    check("[/etc, /srv]", "[/etc, /srv", (Code::Syntax, 6, 12, ":"));
    check("  - files", "\t- files", (Code::Syntax, 5, 2, "-"));
    check("name: billing", "name: \"billing", (Code::Syntax, 3, 1, "o"));
    check("kind: backup", "%YAML 1.2\n---\nkind: backup", (Code::Syntax, 1, 1, "%"));
    check("name: billing", "name: bill: ing", (Code::Syntax, 2, 11, ":"));
    check_text(&"[".repeat(1000), (Code::Syntax, 1, 33, "["));
    check_text("", (Code::Empty, 1, 1, ""));
    check_text("# only a comment\n", (Code::Empty, 1, 1, ""));
    check_text(&" ".repeat(256 * 1024 + 1), (Code::TooLarge, 1, 1, ""));
    check("tags: {", "---\ntags: {", (Code::SecondDocument, 15, 1, "---"));
    check("name: billing", "name: &n billing", (Code::YamlFeature, 2, 7, "&n"));
    check("name: billing", "name: *n", (Code::YamlFeature, 2, 7, "*n"));
    check("[/etc, /srv]", "[/etc, *n]", (Code::YamlFeature, 5, 19, "*n"));
    check("name: billing", "name: !!str billing", (Code::YamlFeature, 2, 7, "!!str"));
    check("tags: {", "[tags]: 1\ntags: {", (Code::YamlFeature, 15, 1, "[tags]"));
    check("owner:", "name:", (Code::DuplicateKey, 3, 1, "name"));
    check("at-least: 3", "daily: 3", (Code::DuplicateKey, 10, 22, "daily"));
}

/// As some editors save them: with a byte-order mark in front and two signs at the end of each line.
#[test]
fn places_are_those_that_an_editor_shows() {
    let text = format!("\u{feff}{}", SOUND.replace("kind:", "kin:").replace("owner:", "ownr:").replace('\n', "\r\n"));
    let faults = found(parse("billing.yaml", &text));
    assert_eq!(summary(&faults), [(Code::UnknownKey, 1, 1, "kin"), (Code::UnknownKey, 3, 1, "ownr")], "{faults}");
    let lines: Vec<_> = faults.iter().map(|fault| fault.place().source_line()).collect();
    assert_eq!(lines, ["kin: backup", "ownr: team-billing"]);
    parse("billing.yaml", &format!("\u{feff}{}", SOUND.replace('\n', "\r\n"))).unwrap();
}

#[test]
fn keys() {
    check("owner:", "ownr:", (Code::UnknownKey, 3, 1, "ownr"));
    check("owner:", "colour:", (Code::UnknownKey, 3, 1, "colour"));
    check("exclude-caches:", "exclude_caches:", (Code::UnknownKey, 7, 5, "exclude_caches"));
    // A misspelt key that must be given is one fault, not also a missing one.
    check("name:", "nmae:", (Code::UnknownKey, 2, 1, "nmae"));
    check("level:", "levl:", (Code::UnknownKey, 12, 3, "levl"));
    check("retain: { daily: 14, at-least: 3 }", "retain: { dayly: 14 }", (Code::UnknownKey, 10, 11, "dayly"));

    check("kind: backup\n", "", (Code::MissingKey, 1, 1, "name: billing"));
    check("name: billing\n", "", (Code::MissingKey, 1, 1, "kind: backup"));
    check("repository: /backup/billing\n", "", (Code::MissingKey, 1, 1, "kind: backup"));
    check("retain: { daily: 14, at-least: 3 }\n", "", (Code::MissingKey, 1, 1, "kind: backup"));
    check("  level: restored\n", "", (Code::MissingKey, 12, 3, "checks: [[test, -s, etc/passwd]]"));
    check("  - files: [/etc, /srv]\n    exclude:", "  - exclude:", (Code::MissingKey, 5, 5, "exclude: [\"*.tmp\"]"));

    check("owner:", "schedule: { full: weekly }\nowner:", (Code::BadSchedule, 3, 19, "weekly"));
    check("owner:", "schedule: { full: daily 01:30, zone: Mars }\nowner:", (Code::BadZone, 3, 38, "Mars"));
    check("owner:", "schedule: {}\nowner:", (Code::NoDueTime, 3, 11, "{}"));
    check("owner:", "schedule: { full: daily 01:30, jitter: 5 }\nowner:", (Code::BadTimeSpan, 3, 40, "5"));
    check("owner:", "hosts: role=db\nowner:", (Code::OnlyInSite, 3, 1, "hosts"));
    check("owner:", "preset: nightly\nowner:", (Code::OnlyInSite, 3, 1, "preset"));
    check("owner:", "copies: [offsite]\nowner:", (Code::BadRepository, 3, 10, "offsite"));
    check("owner:", "copies: [/mnt/a, /mnt/a]\nowner:", (Code::StoredTwice, 3, 18, "/mnt/a"));
    check("owner:", "copies: [/etc/a]\nowner:", (Code::RepositoryInSource, 3, 10, "/etc/a"));
    check("repository:", "  - command: [dump]\nrepository:", (Code::MissingKey, 9, 5, "command: [dump]"));
    check(
        "repository:",
        "  - { command: [dump], name: /d, exclude: [a] }\nrepository:",
        (Code::KeyBeside, 9, 43, "[a]"),
    );
    check("repository:", "  - { command: [dump], name: /etc/d }\nrepository:", (Code::PathTwice, 9, 30, "/etc/d"));
    check("repository:", "  - { command: [dump], name: d }\nrepository:", (Code::BadPath, 9, 30, "d"));
    check("exclude:", "name: /d\n    exclude:", (Code::KeyBeside, 6, 11, "/d"));
    check("exclude:", "before: [stop]\n    exclude:", (Code::WrongType, 6, 14, "stop"));
    check("exclude:", "after: [{ run: [start], timeout: 2m }]\n    exclude:", (Code::UnknownKey, 6, 29, "timeout"));
    check("owner:", "limits: { upload: 20 }\nowner:", (Code::BadSize, 3, 19, "20"));
    check("owner:", "limits: { threads: 65 }\nowner:", (Code::BadNumber, 3, 20, "65"));
    check("owner:", "limits: {}\nowner:", (Code::EmptyCollection, 3, 9, "{}"));
    check("owner:", "limits: { runs: 8 }\nowner:", (Code::UnknownKey, 3, 11, "runs"));
    check("repository:", "  - postgresql: { cluster: main }\nrepository:", (Code::NotYet, 9, 5, "postgresql"));
}

#[test]
fn the_nearest_key_is_suggested() {
    assert_eq!(remedy("owner:", "ownr:"), "did you mean `owner`?");
    assert_eq!(remedy("max-age:", "maxAge:"), "did you mean `max-age`?");
    assert_eq!(remedy("exclude-larger-than:", "exclude-large-than:"), "did you mean `exclude-larger-than`?");
    assert_eq!(remedy("kind: backup", "kind: Backup"), "did you mean `backup`?");
    assert_eq!(
        remedy("at-least: 3", "decadely: 3"),
        "what can stand here: last, hourly, daily, weekly, monthly, quarterly, yearly, at-least"
    );
}

#[test]
fn types() {
    check("name: billing", "name: [billing]", (Code::WrongType, 2, 7, "[billing]"));
    check("name: billing", "name:", (Code::WrongType, 2, 5, ""));
    check("owner: team-billing", "owner: ~", (Code::WrongType, 3, 8, "~"));
    check("[/etc, /srv]", "/etc", (Code::WrongType, 5, 12, "/etc"));
    check("[/etc, /srv]", "[/etc, [/srv]]", (Code::WrongType, 5, 19, "[/srv]"));
    check("  - files: [/etc, /srv]", "  files: [/etc, /srv]\n  x:", (Code::WrongType, 5, 3, "files: [/etc, /srv]"));
    check("exclude-caches: true", "exclude-caches: yes", (Code::WrongType, 7, 21, "yes"));
    check("exclude-caches: true", "exclude-caches: \"true\"", (Code::WrongType, 7, 21, "\"true\""));
    check("{ daily: 14, at-least: 3 }", "14", (Code::WrongType, 10, 9, "14"));
    check("daily: 14", "daily: many", (Code::WrongType, 10, 18, "many"));
    check("daily: 14", "daily: \"14\"", (Code::WrongType, 10, 18, "\"14\""));
    check("[[test, -s, etc/passwd]]", "[test -s etc/passwd]", (Code::WrongType, 13, 12, "test -s etc/passwd"));
    check("{ system: billing }", "[billing]", (Code::WrongType, 15, 7, "[billing]"));
    check("system: billing", "system: {}", (Code::WrongType, 15, 17, "{}"));
    check_text("- kind: backup\n", (Code::WrongType, 1, 1, "- kind: backup"));
    check_text("backup\n", (Code::WrongType, 1, 1, "backup"));
}

#[test]
fn empty_collections() {
    check("[/etc, /srv]", "[]", (Code::EmptyCollection, 5, 12, "[]"));
    check("[\"*.tmp\"]", "[]", (Code::EmptyCollection, 6, 14, "[]"));
    check("[[test, -s, etc/passwd]]", "[]", (Code::EmptyCollection, 13, 11, "[]"));
    check("[[test, -s, etc/passwd]]", "[[]]", (Code::EmptyCollection, 13, 12, "[]"));
    check("{ system: billing }", "{}", (Code::EmptyCollection, 15, 7, "{}"));
    check("{ daily: 14, at-least: 3 }", "{}", (Code::NoRetentionRule, 10, 9, "{}"));
    check("{ daily: 14, at-least: 3 }", "{ at-least: 3 }", (Code::NoRetentionRule, 10, 9, "{ at-least: 3 }"));
}

#[test]
fn words() {
    check("kind: backup", "kind: bakcup", (Code::UnknownWord, 1, 7, "bakcup"));
    check("level: restored", "level: perfect", (Code::UnknownWord, 12, 10, "perfect"));
    check("level: restored", "level: L2", (Code::NotYet, 12, 10, "L2"));
    check("level: restored", "level: opened", (Code::NotYet, 12, 10, "opened"));
    check("  max-age: 8d", "  every: weekly", (Code::OnlyInSite, 14, 10, "weekly"));
    check("  max-age: 8d", "  every: fortnight", (Code::UnknownWord, 14, 10, "fortnight"));
}

#[test]
fn values() {
    check("name: billing", "name: my plan", (Code::BadName, 2, 7, "my plan"));
    check("name: billing", "name: -x", (Code::BadName, 2, 7, "-x"));
    check("{ system: billing }", "{ the system: billing }", (Code::BadName, 15, 9, "the system"));
    check("owner: team-billing", "owner: \" \"", (Code::BadText, 3, 8, "\" \""));
    check("owner: team-billing", "owner: \"a\\nb\"", (Code::BadText, 3, 8, "\"a\\nb\""));
    check("[test, -s, etc/passwd]", "[\"\", -s]", (Code::BadText, 13, 12, "[\"\", -s]"));
    check("[test, -s, etc/passwd]", "[\"a\\0b\"]", (Code::BadText, 13, 13, "\"a\\0b\""));
    check("daily: 14", "daily: 0", (Code::BadNumber, 10, 18, "0"));
    check("daily: 14", "daily: -1", (Code::BadNumber, 10, 18, "-1"));
    check("at-least: 3", "at-least: 4294967296", (Code::BadNumber, 10, 32, "4294967296"));
    for size in ["1", "GiB", "1.5 GiB", "1 gib", "0 B", "-1 GiB", "99999999 PiB"] {
        check("1 GiB", size, (Code::BadSize, 8, 26, size));
    }
    for span in ["8", "d", "8 months", "0s", "1d12h", "99999999999999999999s", "30500568904944w"] {
        check("8d", span, (Code::BadTimeSpan, 14, 12, span));
    }
}

#[test]
fn paths_and_patterns() {
    for path in ["srv", "~/data", "/srv/../etc", "/srv/.", "./srv", "/a\tb"] {
        check("/srv]", &format!("{path:?}]"), (Code::BadPath, 5, 19, &format!("{path:?}")));
    }
    check("/srv]", "/etc]", (Code::PathTwice, 5, 19, "/etc"));
    check("/srv]", "/etc/ssh]", (Code::PathTwice, 5, 19, "/etc/ssh"));
    check("[/etc, /srv]", "[/etc/ssh, /etc/]", (Code::PathTwice, 5, 13, "/etc/ssh"));
    check("repository:", "  - files: [/srv/www]\nrepository:", (Code::PathTwice, 9, 13, "/srv/www"));
    for pattern in ["[a", "{a", "a/", "!a", "../a", "", "a\\", "a/b", "{/a,/b}", "/a//b", "/a/../b"] {
        let quoted = format!("'{pattern}'");
        check("\"*.tmp\"", &quoted, (Code::BadGlob, 6, 15, &quoted));
    }
}

/// What stands in place of the sound plan's only check.
#[track_caller]
fn check_of_files(written: &str, expected: (Code, &str)) {
    let column = written.find(expected.1).unwrap() + 12;
    check("[test, -s, etc/passwd]", written, (expected.0, 13, column, expected.1));
}

#[test]
fn typed_checks() {
    for (written, code, at) in [
        ("{ files: srv }", Code::MissingKey, "{ files: srv }"),
        ("{ newest: srv }", Code::MissingKey, "{ newest: srv }"),
        ("{ sqlite: a.db, at-least: 1 }", Code::MissingKey, "{ sqlite: a.db, at-least: 1 }"),
        ("{ sqlite: a.db, query: select 1 }", Code::MissingKey, "{ sqlite: a.db, query: select 1 }"),
        ("{ at-least: 1 }", Code::MissingKey, "{ at-least: 1 }"),
        ("{ fils: srv, at-least: 1 }", Code::UnknownKey, "fils"),
        ("{ files: srv, at-leest: 1 }", Code::UnknownKey, "at-leest"),
        ("{ files: srv, atleast: 1 }", Code::UnknownKey, "atleast"),
        // They need a network, which checks of what was restored do not have.
        ("{ port: 80, files: srv, at-least: 1 }", Code::UnknownKey, "port"),
        ("{ files: srv, newest: etc, at-least: 1, within: 1d }", Code::TwoWays, "etc"),
        ("{ sqlite: a.db, query: q, prints: 1, at-most: 9 }", Code::TwoWays, "9"),
        ("{ files: srv, at-least: 1, within: 2d }", Code::KeyBeside, "2d"),
        ("{ newest: srv, within: 1d, query: no }", Code::KeyBeside, "no"),
        ("{ files: /srv, at-least: 1 }", Code::BadPath, "/srv"),
        ("{ files: ../srv, at-least: 1 }", Code::BadPath, "../srv"),
        ("{ newest: srv/./www, within: 1d }", Code::BadPath, "srv/./www"),
        ("{ newest: srv, within: 1 day }", Code::BadTimeSpan, "1 day"),
        ("{ files: srv, at-least: 0 }", Code::BadNumber, "0"),
        ("{ files: srv, at-least: 9, at-most: 8 }", Code::BadNumber, "8"),
        ("{ files: srv, at-least: many }", Code::WrongType, "many"),
        ("{ sqlite: a.db, query: \" \", prints: 1 }", Code::BadText, "\" \""),
    ] {
        check_of_files(written, (code, at));
    }
    let both =
        found(parse("billing.yaml", &broken("[test, -s, etc/passwd]", "{ newest: /a }, { files: .., at-most: x }")));
    let codes: Vec<Code> = both.iter().map(|fault| fault.code()).collect();
    assert_eq!(codes, [Code::MissingKey, Code::BadPath, Code::BadPath, Code::WrongType], "{both}");
    assert_eq!(remedy("[test, -s, etc/passwd]", "{ files: srv }"), "add it, for example `at-least: 100`");
    assert_eq!(remedy("[test, -s, etc/passwd]", "{ files: /srv/a, at-most: 1 }"), "write it without the slash: srv/a");
}

#[test]
fn repositories() {
    for address in [
        "main",
        "s3://x/y",
        "s3://key:geheim@bucket/x",
        "gs://bucket/x",
        "~other/x",
        "file://host/x",
        "file:///%zz",
        "file:///%00",
    ] {
        check("/backup/billing", address, (Code::BadRepository, 9, 13, address));
    }
    check("/backup/billing", "\"/a\\eb\"", (Code::BadRepository, 9, 13, "\"/a\\eb\""));
    for address in ["/srv/backup", "/srv", "/srv/x/../y", "file:///srv/%62ackup", "/"] {
        check("/backup/billing", address, (Code::RepositoryInSource, 9, 13, address));
    }
}

#[test]
fn bytes_that_are_no_text() {
    let faults = found(decode("billing.yaml", b"kind: backup\nname: \xc3\xa4\xff\n"));
    assert_eq!(summary(&faults), [(Code::Encoding, 2, 8, "")]);
    assert_eq!(decode("billing.yaml", "name: ä".as_bytes()), Ok("name: ä"));
}

const SEVEN_FAULTS: &str = "\
kind: backup
name: two words
sources:
  - files: [etc, /srv, /srv]
    exclude-larger-than: 1G
repository: /srv/backup
retain: { dayly: 14 }
schedule: { full: weekly }
";

#[test]
fn seven_faults_are_all_reported() {
    let expected = [
        (Code::BadName, 2, 7, "two words"),
        (Code::BadPath, 4, 13, "etc"),
        (Code::PathTwice, 4, 24, "/srv"),
        (Code::BadSize, 5, 26, "1G"),
        (Code::RepositoryInSource, 6, 13, "/srv/backup"),
        (Code::UnknownKey, 7, 11, "dayly"),
        (Code::BadSchedule, 8, 19, "weekly"),
    ];
    let faults = found(parse("billing.yaml", SEVEN_FAULTS));
    assert_eq!(summary(&faults), expected, "{faults}");
}

#[test]
fn a_fault_reads_like_a_compilers() {
    let faults = found(parse("billing.yaml", &broken("name: billing", "nmae: 财务")));
    let expected = "\
error[P-0008]: a backup plan has no key `nmae`
 --> billing.yaml:2:1
  |
2 | nmae: 财务
  | ^^^^
  = help: did you mean `name`?

1 fault";
    assert_eq!(faults.to_string(), expected);
}

#[test]
fn nothing_from_the_file_reaches_the_terminal_unseen() {
    let text = SOUND.replace("name: billing", "\"计\\e[31m划\u{202e}\": \"x\"");
    let shown = found(parse("b\u{1b}.yaml", &text)).to_string();
    let expected = "\
error[P-0008]: a backup plan has no key `计�[31m划�`
 --> b�.yaml:2:1
  |
2 | \"计\\e[31m划�\": \"x\"
  | ^^^^^^^^^^^^^
  = help: what can stand here: kind, name, owner, sources, repository, copies, schedule, retain, prove, limits, tags
";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn carets_stand_below_wide_and_distant_text() {
    let wide = found(parse("b", &broken("{ system: billing }", "{ \"系统\": billing }"))).to_string();
    assert!(wide.contains("15 | tags: { \"系统\": billing }\n   |         ^^^^^^\n"), "{wide}");

    let long = format!("[/{}, x]", "a".repeat(200));
    let faults = found(parse("b", &broken("[/etc, /srv]", &long))).to_string();
    let line = format!("5 | …{}, x]", "a".repeat(58));
    let carets = format!("  | {}^", " ".repeat(61));
    assert!(faults.contains(&format!("{line}\n{carets}\n")), "{faults}");
}

#[test]
fn faults_serialise_for_json() {
    let faults = found(parse("billing.yaml", &broken("owner:", "ownr:")));
    let expected = serde_json::json!({
        "faults": [{
            "code": "P-0008",
            "place": {
                "file": "billing.yaml",
                "line": 3,
                "column": 1,
                "text": "ownr",
                "source_line": "ownr: team-billing",
            },
            "reason": "a backup plan has no key `ownr`",
            "remedy": "did you mean `owner`?",
        }],
        "omitted": 0,
    });
    assert_eq!(serde_json::to_value(&faults).unwrap(), expected);
}

#[test]
fn a_flood_of_faults_is_cut_and_counted() {
    let keys: String = (0..150).map(|number| format!("unheard-of-{number}: x\n")).collect();
    let faults = found(parse("billing.yaml", &format!("{SOUND}{keys}")));
    assert_eq!((faults.iter().count(), faults.omitted()), (100, 50));
    assert!(faults.to_string().ends_with("\n150 faults, the first 100 shown"));
}

#[test]
fn every_code_is_distinct_and_stands_in_a_table_above() {
    let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(texts.len(), Code::ALL.len());
    for code in Code::ALL {
        let tables = [
            include_str!("faults.rs"),
            include_str!("site_faults.rs"),
            include_str!("shared_parts.rs"),
            include_str!("restore_plans.rs"),
            include_str!("drill_plans.rs"),
        ];
        assert!(tables.iter().any(|table| table.contains(&format!("(Code::{code:?}, "))), "{code:?}");
    }
}
