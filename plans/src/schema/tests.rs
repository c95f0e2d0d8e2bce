use std::sync::LazyLock;

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use super::SchemaOf;
use crate::findings::Findings;
use crate::grow::{FileKind, grow};
use crate::text::Text;
use crate::tree::{Content, Node, Quotes};

/// A file as an editor sees it: plain scalars that look like numbers, words and nothing are these.
fn json(node: &Node) -> Value {
    match &node.content {
        Content::Scalar { text, quotes: Quotes::Absent } => match text.as_str() {
            "true" | "false" => json!(text == "true"),
            "" | "~" | "null" => Value::Null,
            number => serde_json::from_str::<serde_json::Number>(number).map_or_else(|_| json!(number), Value::Number),
        },
        Content::Scalar { text, .. } => json!(text),
        Content::List(items) => items.iter().map(json).collect(),
        Content::Mapping(entries) => entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect(),
        Content::Refused => panic!("the text is sound"),
    }
}

fn yaml(text: &str) -> Value {
    let mut findings = Findings::new(Text::new("x", text));
    json(&grow(FileKind::HOSTS, &mut findings).unwrap_or_else(|| panic!("{:?}", findings.into_faults())))
}

/// In the order of the kinds; made once, since it takes longer than to validate.
static SCHEMAS: LazyLock<[Value; 6]> = LazyLock::new(|| ALL.map(SchemaOf::json));

const ALL: [SchemaOf; 6] =
    [SchemaOf::Plan, SchemaOf::SitePlan, SchemaOf::RestorePlan, SchemaOf::Drill, SchemaOf::Site, SchemaOf::Hosts];

/// By a validator that is not ours.
fn validate(of: SchemaOf, text: &str) -> Result<(), String> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("schema.json", SCHEMAS[of as usize].clone()).unwrap();
    let schema = compiler.compile("schema.json", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
    schemas.validate(&yaml(text), schema).map_err(|error| format!("{error:#}"))
}

#[track_caller]
fn check(of: SchemaOf, text: &str, is_valid: bool) {
    let found = validate(of, text);
    assert_eq!(found.is_ok(), is_valid, "{of:?}: {found:?}\n{text}");
}

const SITE: &str = include_str!("../../examples/site/site.yaml");
const HOSTS: &str = include_str!("../../examples/site/hosts.yaml");
const PORTAL: &str = include_str!("../../templates/several-systems.yaml");
const DRILL: &str = include_str!("../../examples/site/plans/configuration-drill.yaml");
const DATABASES: &str = include_str!("../../examples/site/plans/databases.yaml");

#[test]
fn what_is_shipped_is_valid() {
    for template in crate::TEMPLATES {
        check(SchemaOf::Plan, &template.text(&"x".parse().unwrap()), true);
    }
    check(SchemaOf::RestorePlan, PORTAL, true);
    check(SchemaOf::Drill, DRILL, true);
    check(SchemaOf::Site, SITE, true);
    check(SchemaOf::Hosts, HOSTS, true);
    check(SchemaOf::SitePlan, DATABASES, true);
    check(SchemaOf::SitePlan, include_str!("../../examples/site/plans/system-configuration.yaml"), true);
}

/// Every change breaks one thing that an editor should mark.
#[test]
fn misspelt_keys_wrong_types_and_other_words_are_refused() {
    let broken = |of, text: &str, from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} names one place");
        check(of, &text.replace(from, to), false);
    };
    for (from, to) in [
        ("presets:", "preset:"),
        ("    retain: {", "    retian: {"),
        ("daily: 14", "daily: many"),
        ("daily: 14", "daily: 0"),
        ("daily: 14", "daily: [14]"),
        ("then: stop", "then: pause"),
        ("times: 3", "times: 21"),
        ("wait: 5m", "wait: 5"),
        ("jitter: 10m", "jitter: 10 minutes"),
        ("until: \"05:00\"", "until: \"5:00\""),
        ("level: restored", "level: rehashed"),
        ("run once within 18h", "run twice"),
        ("zone: Asia/Shanghai", ""),
        ("freeze: [rollout, upgrade]", "freeze: [backup]"),
        ("on: [failed, missed, overdue, recovered]", "on: failed"),
        ("limits: { runs: 8", "limits: { runs: 8, people: 1"),
        ("access: gateway", "access: nfs"),
        ("access: gateway", "on-host: /mnt"),
        ("access: gateway", "on-hosts: [/mnt]"),
        ("  main:\n", "  the main one:\n"),
    ] {
        broken(SchemaOf::Site, SITE, from, to);
    }
    broken(SchemaOf::Hosts, HOSTS, "port: 2222", "port: high");
    broken(SchemaOf::Hosts, HOSTS, "address: 10.0.0.12", "adress: 10.0.0.12");
    for (from, to) in [
        ("hosts: role", "host: role"),
        ("[/srv/db/dump]", "[srv/db/dump]"),
        ("[/srv/db/dump]", "/srv"),
        ("priority: 80", "priority: 800"),
    ] {
        broken(SchemaOf::SitePlan, DATABASES, from, to);
    }
    for (from, to) in [
        ("kind: drill", "kind: dril"),
        ("[system-configuration]", "system-configuration"),
        ("every: monthly", "every: run"),
        ("every: monthly, ", ""),
        ("prove:", "proof:"),
    ] {
        broken(SchemaOf::Drill, DRILL, from, to);
    }
    check(SchemaOf::Plan, DATABASES, false);
    for (from, to) in [
        ("on-failure: stop", "on-failure: wait"),
        ("to: CHANGE-ME:/srv/restored/database", "to: CHANGE-ME"),
        ("needs: [database]", "needs: database"),
        ("prints: active", "printed: active"),
        (
            "    plan: CHANGE-ME\n    to: CHANGE-ME:/srv/restored/database\n",
            "    to: CHANGE-ME:/srv/restored/database\n",
        ),
    ] {
        broken(SchemaOf::RestorePlan, PORTAL, from, to);
    }
}

/// Whatever the readers take, the schema takes.
#[test]
fn variables_parts_tags_and_numbers_are_valid() {
    let plan = "kind: backup\nname: 2026\nhosts: \"*\"\nsources: [{ files: [\"${a}\"], exclude-caches: \"${yes}\" }]\nrepository: main\n\
                include: [parts/x.yaml]\ntags: { version: 1.10, on: true }\nretain: { daily: \"${days}\" }\nprove: { level: \"${level}\" }\n";
    check(SchemaOf::SitePlan, plan, true);
    check(SchemaOf::SitePlan, &plan.replace("[parts/x.yaml]", "parts/x.yaml"), false);
    check(
        SchemaOf::Plan,
        "kind: backup\nname: a\nsources: [{ files: [/] }]\nrepository: ~/r\nretain: { daily: \"${days}\" }\n",
        false,
    );
    let commands = "kind: backup\nname: a\nsources:\n  - { command: [dump], name: /dump, before: [{ run: [stop], time-out: 2m }] }\n\
                    repository: /r\nretain: { daily: 1 }\nlimits: { upload: 1 MiB, threads: 2 }\n";
    check(SchemaOf::Plan, commands, true);
    check(SchemaOf::Plan, &commands.replace("run: [stop]", "run: stop"), false);
    check(SchemaOf::Site, "name: a\nzone: UTC\nvariables: { a: 1, b: x }\n", true);
    check(SchemaOf::Site, "name: a\nzone: UTC\nvariables: { a: [1] }\n", false);
    check(SchemaOf::Site, &SITE.replace("access: gateway", "access: direct\n    on-hosts: /mnt/main"), true);
}

#[test]
fn checks_are_commands_or_say_what_is_looked_at() {
    let plan = "kind: backup\nname: a\nsources: [{ files: [/] }]\nrepository: /r\nretain: { daily: 1 }\n\
                prove: { level: restored, checks: [[test, -s, x], { files: srv, at-least: 1 }, { newest: srv, within: 1d }] }\n";
    check(SchemaOf::Plan, plan, true);
    check(SchemaOf::Plan, &plan.replace("[test, -s, x]", "test"), false);
    check(SchemaOf::Plan, &plan.replace("at-least: 1", "at-leest: 1"), false);
    check(SchemaOf::Plan, &plan.replace("within: 1d", "within: 1"), false);
    for (typed, is_valid) in
        [("port: 5432", true), ("port: \"db1:5432\"", true), ("ports: 5432", false), ("http: 80", false)]
    {
        let probe = "run: [systemctl, is-active, portal], prints: active";
        assert_eq!(PORTAL.matches(probe).count(), 1);
        check(SchemaOf::RestorePlan, &PORTAL.replace(probe, typed), is_valid);
    }
}

/// Every key has a type: none was left unread.
#[test]
fn every_key_is_described() {
    for of in ALL {
        let schema = of.json();
        let definitions = schema["$defs"].as_object().unwrap();
        assert!(!definitions.is_empty());
        for (name, definition) in definitions {
            for (key, property) in definition["properties"].as_object().unwrap() {
                let typed = ["type", "$ref", "enum", "anyOf"].iter().any(|word| !property[*word].is_null());
                assert!(typed && property["description"].is_string(), "{of:?} {name}.{key}: {property}");
            }
        }
    }
}
