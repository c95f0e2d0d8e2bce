//! Sound plans: what they come to.

use std::path::{Path, PathBuf};

use strongroom_plans::{BackupPlan, ByteSize, Code, Places, TimeSpan, parse, steps};

const EXAMPLE: &str = include_str!("../examples/this-host.yaml");

fn places() -> Places<'static> {
    Places { home: Path::new("/home/ann"), plan_directory: Path::new("/site/plans") }
}

fn example() -> BackupPlan {
    parse("this-host.yaml", EXAMPLE).unwrap_or_else(|faults| panic!("{faults}"))
}

fn plan(sources: &str, repository: &str) -> BackupPlan {
    let text =
        format!("kind: backup\nname: x\nsources: [{sources}]\nrepository: {repository}\nretain: {{ last: 1 }}\n");
    parse("x.yaml", &text).unwrap_or_else(|faults| panic!("{faults}"))
}

fn shown(plan: &BackupPlan) -> Vec<String> {
    steps(plan).iter().map(|step| step.to_string()).collect()
}

#[test]
fn the_example_says_what_a_newcomer_should_see() {
    let expected = [
        "back up /etc, /usr/share/doc (without *.dpkg-old, *.dpkg-dist, cache directories, files larger than 1 GiB) \
         into ~/.local/share/strongroom/this-host",
        "restore /etc, /usr/share/doc to an empty scratch directory",
        "verify to L3 (restored): every file equals the hash taken at the source, and these agree: \
         `test -s etc/passwd`; the proof counts for 8d",
        "show what retention would keep (14 daily, 8 weekly, 12 monthly, never fewer than 3); nothing is removed",
    ];
    assert_eq!(shown(&example()), expected);
}

#[test]
fn the_example_keeps_its_repository_out_of_its_sources() {
    for home in ["/root", "/home/ann"] {
        let places = Places { home: Path::new(home), ..places() };
        let expected = Path::new(home).join(".local/share/strongroom/this-host");
        assert_eq!(example().repository_path(&places), Ok(Some(expected)));
    }
}

#[test]
fn a_plan_without_proof_restores_nothing() {
    let text = "\
kind: backup
name: two-sources
sources:
  - files: [/etc/]
  - files: [//srv//www]
    one-file-system: true
repository: ./backup
retain: { last: 7 }
tags: { system: billing, site: 上海 }
";
    let expected = [
        "back up /etc into ./backup, marked site=上海, system=billing",
        "back up /srv/www (without other mounted file systems) into ./backup, marked site=上海, system=billing",
        "show what retention would keep (7 last, never fewer than 1); nothing is removed",
    ];
    assert_eq!(shown(&parse("x.yaml", text).unwrap()), expected);
}

#[test]
fn commands_and_limits_are_shown_as_they_will_be_kept_to() {
    let text = "\
kind: backup
name: billing
sources:
  - command: [pg_dumpall, --clean]
    name: /dumps/all.sql
    time-out: 4h
  - files: [/srv/billing]
    before: [{ run: [systemctl, stop, billing], time-out: 2m }]
    after: [{ run: [systemctl, start, billing] }]
repository: /backup
retain: { last: 7 }
prove: { level: restored }
limits: { upload: 20 MiB, threads: 2 }
";
    let limits = "into /backup, with at most 20 MiB/s to the repository, 2 threads";
    let expected = [
        format!("back up what `pg_dumpall --clean` prints, as /dumps/all.sql {limits}"),
        format!(
            "back up /srv/billing {limits}; before it `systemctl stop billing`; after it `systemctl start billing`"
        ),
        "restore /dumps/all.sql, /srv/billing to an empty scratch directory".to_owned(),
        "verify to L3 (restored): every file equals the hash taken at the source".to_owned(),
        "show what retention would keep (7 last, never fewer than 1); nothing is removed".to_owned(),
    ];
    let plan = parse("x.yaml", text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(shown(&plan), expected);
    let steps = serde_json::to_value(steps(&plan)).unwrap();
    let command = serde_json::json!({ "input": { "command": {
        "command": ["pg_dumpall", "--clean"], "name": "/dumps/all.sql", "time-out-seconds": 14_400,
    } } });
    assert_eq!(steps[0]["source"], command);
    let before = serde_json::json!([{ "run": ["systemctl", "stop", "billing"], "time-out-seconds": 120 }]);
    assert_eq!(steps[1]["source"]["before"], before);
    assert_eq!(steps[1]["limits"], serde_json::json!({ "upload-bytes-per-second": 20_971_520, "threads": 2 }));
}

#[test]
fn steps_serialise_for_json() {
    let steps = serde_json::to_value(steps(&example())).unwrap();
    let expected = serde_json::json!([
        {
            "step": "backup",
            "plan": "this-host",
            "source": { "input": { "files": {
                "files": ["/etc", "/usr/share/doc"],
                "exclude": ["*.dpkg-old", "*.dpkg-dist"],
                "exclude-caches": true,
                "one-file-system": false,
                "exclude-larger-than-bytes": 1_073_741_824,
            } } },
            "repository": "~/.local/share/strongroom/this-host",
            "tags": {},
            "limits": {},
        },
        { "step": "restore-to-scratch", "files": ["/etc", "/usr/share/doc"] },
        { "step": "verify", "level": "L3", "checks": [["test", "-s", "etc/passwd"]], "max-age-seconds": 691_200 },
        {
            "step": "preview-retention",
            "rules": { "counts": { "daily": 14, "weekly": 8, "monthly": 12 }, "at-least": 3 },
        },
    ]);
    assert_eq!(steps, expected);
}

#[test]
fn typed_checks_become_commands_of_our_own() {
    let rows = [
        ("{ files: srv/www, at-least: 100 }", "strongroom check files srv/www --at-least 100"),
        ("{ files: ., at-most: 9, at-least: 9 }", "strongroom check files . --at-least 9 --at-most 9"),
        ("{ newest: srv/ledger, within: 36h }", "strongroom check newest srv/ledger --within 36h"),
        ("{ files: -x, at-least: 1 }", "strongroom check files ./-x --at-least 1"),
        (
            "{ sqlite: srv/db.sqlite, query: \"select count(*) from t\", prints: \"42\" }",
            "strongroom check sqlite srv/db.sqlite --query \"select count(*) from t\" --prints 42",
        ),
        (
            "{ sqlite: a.db, query: \"select max(day) from t\", within: 1d }",
            "strongroom check sqlite a.db --query \"select max(day) from t\" --within 1d",
        ),
        ("[strongroom, status]", "strongroom status"),
    ];
    let checks: String = rows.iter().map(|(written, _)| format!("    - {written}\n")).collect();
    let text = format!(
        "kind: backup\nname: a\nsources: [{{ files: [/srv] }}]\nrepository: /r\nretain: {{ daily: 1 }}\n\
         prove:\n  level: restored\n  checks:\n{checks}"
    );
    let plan = parse("a.yaml", &text).unwrap_or_else(|faults| panic!("{faults}"));
    let typed: Vec<String> = plan.prove().unwrap().checks().iter().map(ToString::to_string).collect();
    assert_eq!(typed, rows.map(|(_, typed)| typed));
}

#[test]
fn repositories_are_found_from_where_the_plan_is() {
    let rows = [
        ("/backup", "/backup"),
        ("/backup/./x/../y/", "/backup/y"),
        ("~/backup", "/home/ann/backup"),
        ("./backup", "/site/plans/backup"),
        ("../backup", "/site/backup"),
        ("../../../../backup", "/backup"),
        ("file:///srv/a%20b", "/srv/a b"),
        ("file://localhost/backup", "/backup"),
        ("/数据/备份", "/数据/备份"),
    ];
    for (address, expected) in rows {
        let plan = plan("{ files: [/etc] }", address);
        assert_eq!(plan.repository_path(&places()), Ok(Some(PathBuf::from(expected))), "{address}");
    }
}

#[test]
fn a_repository_elsewhere_has_no_directory_here() {
    for address in ["s3://backups/main", "sftp://backup@nas/srv/backup"] {
        let plan = plan("{ files: [/] }", address);
        assert_eq!(plan.repository_path(&places()), Ok(None));
        assert_eq!(plan.repository().as_str(), address);
    }
}

#[test]
fn a_repository_in_a_source_is_found_once_places_are_known() {
    for (files, address) in [("/home", "~/backup"), ("/site/plans", "./backup"), ("/home/ann/b/c", "~/b")] {
        let faults = plan(&format!("{{ files: [{files}] }}"), address).repository_path(&places()).unwrap_err();
        let fault = faults.iter().next().unwrap();
        let place = (fault.code(), fault.place().line(), fault.place().column(), fault.place().text());
        assert_eq!(place, (Code::RepositoryInSource, 4, 13, address));
    }
}

#[test]
fn an_excluded_repository_is_not_in_the_source() {
    for exclude in ["/home/ann/backup", "/home/*/backup", "backup", "ann", "/home/**"] {
        let plan = plan(&format!("{{ files: [/home], exclude: ['{exclude}'] }}"), "~/backup");
        assert_eq!(plan.repository_path(&places()), Ok(Some(PathBuf::from("/home/ann/backup"))), "{exclude}");
    }
    for exclude in ["/home", "home", "/home/*/*/backup", "/home/*", "back", "/backup"] {
        let found = plan(&format!("{{ files: [/home/ann], exclude: ['{exclude}'] }}"), "~/backup");
        assert!(found.repository_path(&places()).is_err(), "{exclude}");
    }
}

#[test]
fn an_excluded_path_may_be_a_source_of_its_own() {
    plan("{ files: [/srv], exclude: [/srv/db] }, { files: [/srv/db], one-file-system: true }", "/backup");
    plan("{ files: [/srv, /srv/db], exclude: [/srv/db] }", "/backup");
    plan("{ files: [/srv, /srv-old] }", "/backup");
}

#[test]
fn sizes_and_time_spans_are_read_and_shown() {
    let sizes =
        [("1 B", 1, "1 B"), ("1000B", 1000, "1 kB"), ("1024 KiB", 1 << 20, "1 MiB"), ("5  GB", 5_000_000_000, "5 GB")];
    for (text, bytes, shown) in sizes {
        let size: ByteSize = text.parse().unwrap();
        assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, shown));
    }
    for (text, seconds, shown) in
        [("90s", 90, "90s"), ("120m", 7200, "2h"), ("14d", 1_209_600, "2w"), ("36 h", 129_600, "36h")]
    {
        let span: TimeSpan = text.parse().unwrap();
        assert_eq!((span.seconds(), span.to_string().as_str()), (seconds, shown));
    }
}

#[test]
fn values_are_taken_as_they_are_written() {
    let text = "\
kind: backup
name: 2026
owner: no
sources: [{ files: [/etc] }]
repository: /backup
retain: { last: 1 }
tags: { version: 1.10, on: off }
";
    let plan = parse("x.yaml", text).unwrap();
    assert_eq!((plan.name().as_str(), plan.owner().unwrap().as_str()), ("2026", "no"));
    let tags: Vec<_> = plan.tags().iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(tags, ["on=off", "version=1.10"]);
}
