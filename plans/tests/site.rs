//! Sound sites: what they come to.

use std::path::Path;

use jiff::civil::date;
use strongroom_plans::{
    Access, ActionClass, BucketName, CutOff, FleetPlan, Media, MissedRule, Reach, RunKind, S3Credentials, Site,
    SiteFiles, Standstill, Step, TargetClass, Way, WebhookFormat, drill_steps, steps,
};

fn example_files() -> SiteFiles {
    let mut files = SiteFiles::new("plans/examples/site");
    files.insert("site.yaml", include_str!("../examples/site/site.yaml"));
    files.insert("hosts.yaml", include_str!("../examples/site/hosts.yaml"));
    files.insert("plans/databases.yaml", include_str!("../examples/site/plans/databases.yaml"));
    files.insert("plans/system-configuration.yaml", include_str!("../examples/site/plans/system-configuration.yaml"));
    files
}

fn example() -> Site {
    Site::read(&example_files()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn plan<'s>(site: &'s Site, name: &str) -> &'s FleetPlan {
    &site.plans()[&name.parse().unwrap()]
}

fn hosts(plan: &FleetPlan) -> Vec<&str> {
    plan.hosts().iter().map(|host| host.as_str()).collect()
}

#[test]
fn the_example_is_a_whole_site() {
    let site = example();
    assert_eq!((site.name().as_str(), site.zone().iana_name()), ("example", Some("Asia/Shanghai")));
    let main = site.repository_of(plan(&site, "databases"));
    assert_eq!((main.location().as_str(), main.access()), ("/srv/strongroom/main", &Access::Gateway));
    let limits = site.limits();
    assert_eq!((limits.runs(), limits.per_host(), limits.per_repository()), (8, 1, 4));
    let [page, hook, mail] = site.notifications() else { panic!("{:?}", site.notifications()) };
    assert!(matches!(page.way(), Way::Command(command) if command.program().contains("page")));
    assert_eq!((page.name().as_str(), hook.name().as_str(), mail.name().as_str()), ("on-call", "2", "3"));
    assert_eq!(page.on().len(), 4);
    assert!(matches!(hook.way(), Way::Webhook(hook) if hook.format() == WebhookFormat::Json));
    assert!(matches!(mail.way(), Way::Smtp(mail) if mail.port() == 587 && mail.login().is_some()));
    assert_eq!(site.dead_man().unwrap().every().seconds(), 300);

    let gate = &site.hosts()[&"gate".parse().unwrap()];
    let db1 = &site.hosts()[&"db1".parse().unwrap()];
    assert_eq!((db1.address().as_str(), db1.port(), db1.user().as_str()), ("10.0.0.11", 22, "strongroom"));
    assert_eq!(db1.jump().unwrap().as_str(), "gate");
    assert_eq!((gate.user().as_str(), gate.jump_user().as_str()), ("strongroom", "strongroom-jump"));
    let test = &site.hosts()[&"db-test".parse().unwrap()];
    assert_eq!((test.port(), test.user().as_str()), (2222, "backup"));
}

#[test]
fn repositories_lie_in_folders_buckets_and_on_other_machines() {
    let text = include_str!("../examples/site/site.yaml");
    let begin = text.find("repositories:\n").unwrap();
    let end = begin + text[begin..].find("\n\n").unwrap();
    let stores = "\
repositories:
  main:
    at: /srv/strongroom/main
    media: tape
    site: shanghai-1
  bucket:
    at: s3://backups/main
    endpoint: \"http://s3.example.org:9000/\"
    region: cn-north-1
    addressing: host
    ca: /etc/strongroom/ca.pem
    credentials-file: /etc/strongroom/keys
    profile: backup
  asked: { at: s3://backups, credentials-command: [pass, show, s3] }
  locked: { at: s3://locked, immutable: 30d, maintenance: { at: daily 05:00 } }
  nas: { at: \"sftp://backup@nas:2222/srv/main\", ssh-key: /etc/key, known-hosts: /etc/hosts, access: gateway }
";
    let mut files = example_files();
    files.insert("site.yaml", format!("{}{stores}{}", &text[..begin], &text[end..]));
    let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
    let of = |name: &str| &site.repositories()[&name.parse().unwrap()];
    assert_eq!((of("main").media(), of("main").site().unwrap().as_str()), (Media::Tape, "shanghai-1"));
    let bucket = of("bucket");
    assert_eq!(
        (bucket.location().as_str(), bucket.directory(), bucket.media()),
        ("s3://backups/main", None, Media::ObjectStorage)
    );
    let Reach::S3(reach) = bucket.reach() else { panic!("{:?}", bucket.reach()) };
    assert_eq!(reach.endpoint.as_ref().unwrap().as_str(), "http://s3.example.org:9000");
    assert_eq!((reach.region.as_ref().unwrap().as_str(), reach.addressing), ("cn-north-1", Some(BucketName::Host)));
    let Some(S3Credentials::File { path, profile }) = &reach.credentials else { panic!("{reach:?}") };
    assert_eq!((path.as_path(), profile.as_ref().unwrap().as_str()), (Path::new("/etc/strongroom/keys"), "backup"));
    let Reach::S3(reach) = of("asked").reach() else { panic!("{:?}", of("asked")) };
    assert!(matches!(&reach.credentials, Some(S3Credentials::Command(command)) if command.program() == "pass"));
    assert_eq!((bucket.immutable(), of("locked").immutable().unwrap().seconds()), (None, 30 * 86_400));
    let nas = of("nas");
    assert_eq!(
        (nas.location().as_str(), nas.media(), nas.access()),
        ("sftp://backup@nas:2222/srv/main", Media::Disk, &Access::Gateway)
    );
    assert!(matches!(nas.reach(), Reach::Sftp(reach) if reach.ssh_key.is_some() && reach.known_hosts.is_some()));
}

#[test]
fn a_repository_is_maintained_as_it_says() {
    let maintenance = |said: &str| {
        let text =
            include_str!("../examples/site/site.yaml").replace("access: gateway", &format!("maintenance: {said}"));
        let mut files = example_files();
        files.insert("site.yaml", text);
        let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
        site.repositories()[&"main".parse().unwrap()].maintenance().unwrap().clone()
    };
    let usual = maintenance("{ at: daily 05:00 }");
    let prune = usual.prune().unwrap();
    assert_eq!((prune.max_unused.get(), prune.max_moved, prune.fence_after.seconds()), (5, None, 14 * 86_400));
    assert_eq!((usual.at().to_string().as_str(), usual.scrub()), ("daily 05:00", None));
    assert_eq!(maintenance("{ at: daily 05:00, prune: no }").prune(), None);
    let all = "{ at: weekly sun 05:00, prune: { max-unused: 20%, max-moved: 50 GiB, fence-after: 3d }, \
               scrub: { bytes: 100 GiB, time: 3h } }";
    let all = maintenance(all);
    assert_eq!((all.prune().unwrap().max_unused.get(), all.prune().unwrap().fence_after.seconds()), (20, 3 * 86_400));
    let scrub = all.scrub().unwrap();
    assert_eq!((scrub.bytes.unwrap().bytes(), scrub.time.unwrap().seconds()), (100 << 30, 3 * 3600));
    assert_eq!(scrub.every.seconds(), 30 * 86_400);
}

#[test]
fn quotas_cover_the_runs_that_they_name() {
    let all = "\nquotas:\n  - { repository: main, hard: 2 TiB }\n";
    let one = "  - { repository: main, hosts: name=db1, plan: databases, soft: 80 GiB, hard: 100 GiB }\n";
    let mut files = example_files();
    files.insert("site.yaml", format!("{}{all}{one}", include_str!("../examples/site/site.yaml")));
    let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
    let [all, one] = site.quotas() else { panic!("{:?}", site.quotas()) };
    let covers = |quota: &strongroom_plans::Quota, host: &str, plan: &str| {
        let host = &site.hosts()[&host.parse().unwrap()];
        quota.covers(&"main".parse().unwrap(), host, &plan.parse().unwrap())
    };
    assert!(all.is_of_all() && covers(all, "gate", "databases") && all.soft().is_none());
    assert!(covers(one, "db1", "databases") && one.hard().is_some_and(|hard| hard.bytes() == 100 << 30));
    assert!(!covers(one, "db1", "system-configuration") && !covers(one, "gate", "databases"));
    files.insert(
        "site.yaml",
        format!(
            "{}{}",
            include_str!("../examples/site/site.yaml"),
            "\nquotas: [{ repository: main, plan: databses, hard: 1 GiB }]\n"
        ),
    );
    let faults = Site::read(&files).unwrap_err().to_string();
    assert!(faults.contains("did you mean `databases`?"), "{faults}");
}

#[test]
fn hosts_reach_a_repository_through_the_controller_or_by_themselves() {
    let access = |said: &str| {
        let text = include_str!("../examples/site/site.yaml").replace("access: gateway", said);
        let mut files = example_files();
        files.insert("site.yaml", text);
        let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
        let plan = plan(&site, "databases");
        assert_eq!(plan.access(), site.repository_of(plan).access());
        assert_eq!(site.repository_of(plan).location(), "/srv/strongroom/main", "the controller's own");
        plan.access().directory_on_hosts()
    };
    for (said, expected) in [
        ("", None),
        ("access: gateway", None),
        ("access: direct", Some("/srv/strongroom/main")),
        ("access: direct\n    on-hosts: /mnt/./backup/", Some("/mnt/backup")),
        ("access: direct\n    on-hosts: file:///mnt/backup", Some("/mnt/backup")),
    ] {
        assert_eq!(access(said).as_deref(), expected.map(Path::new), "{said}");
    }
}

#[test]
fn plans_choose_their_hosts() {
    let site = example();
    assert_eq!(hosts(plan(&site, "databases")), ["db1", "db2"]);
    assert_eq!(hosts(plan(&site, "system-configuration")), ["db-test", "db1", "db2", "gate"]);
    assert!(plan(&site, "databases").priority() > plan(&site, "system-configuration").priority());
}

#[test]
fn a_preset_gives_what_the_plan_does_not_say() {
    let site = example();
    let databases = plan(&site, "databases");
    assert_eq!(databases.preset().unwrap().as_str(), "nightly");
    let schedule = databases.plan().schedule().unwrap();
    let window = schedule.window().unwrap();
    assert_eq!((window.until().to_string().as_str(), window.then()), ("05:00", CutOff::Stop));
    assert!(matches!(schedule.missed(), Some(MissedRule::RunOnceWithin(span)) if span.to_string() == "18h"));
    assert_eq!(schedule.jitter().unwrap().seconds(), 600);
    assert_eq!(schedule.retries().unwrap().times().get(), 3);
    assert_eq!(databases.plan().usual_kind(), RunKind::Incremental);
    assert_eq!(databases.plan().retain().to_string(), "14 daily, 8 weekly, 12 monthly, never fewer than 3");

    let place = |key| databases.place_of(key).map(|place| (place.file(), place.line()));
    assert_eq!(place("retain"), Some(("plans/examples/site/site.yaml", 26)));
    assert_eq!(place("hosts"), Some(("plans/examples/site/plans/databases.yaml", 6)));
    assert_eq!(place("tags"), None);

    // A key that the plan has itself is the plan's, whole.
    let files = with("plans/databases.yaml", "preset: nightly", "preset: nightly\nretain: { last: 2 }");
    let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
    let databases = plan(&site, "databases");
    assert_eq!(databases.plan().retain().to_string(), "2 last, never fewer than 1");
    assert_eq!(databases.place_of("retain").unwrap().file(), "site/plans/databases.yaml");
    assert!(databases.plan().schedule().is_some() && databases.plan().prove().is_some());
}

#[test]
fn the_steps_of_a_fleets_plan_name_the_repositorys_directory() {
    let site = example();
    let steps: Vec<String> = steps(plan(&site, "databases").plan()).iter().map(ToString::to_string).collect();
    assert_eq!(steps[0], "back up /srv/db/dump into /srv/strongroom/main");
}

#[test]
fn a_run_leaves_the_proof_to_drills_where_they_have_a_rhythm() {
    let files = with("site.yaml", "prove: { level: restored,", "prove: { level: restored, every: weekly,");
    let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
    let plan = plan(&site, "databases").plan();
    let shown = |steps: Vec<Step>| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
    let run = shown(steps(plan));
    assert!(run.contains(&"leave the proof to the drills, which come weekly".to_owned()), "{run:?}");
    assert!(!run.iter().any(|step| step.starts_with("restore") || step.starts_with("verify")), "{run:?}");
    let drill = shown(drill_steps(plan));
    assert!(drill.len() == 2 && drill[1].ends_with("; the proof counts for 8d"), "{drill:?}");
}

/// The schedule's own zone, else the host's, else the site's.
#[test]
fn each_host_has_the_zone_in_which_its_schedule_is_meant() {
    let zone = |site: &Site, host: &str| {
        let host = &site.hosts()[&host.parse().unwrap()];
        site.zone_of(plan(site, "system-configuration"), host).iana_name().unwrap().to_owned()
    };
    let site = example();
    assert_eq!((zone(&site, "db1"), zone(&site, "db-test")), ("Asia/Shanghai".into(), "Europe/Berlin".into()));
    let files = with("plans/system-configuration.yaml", "  after: databases", "  zone: UTC");
    assert_eq!(zone(&Site::read(&files).unwrap(), "db-test"), "UTC");
}

#[test]
fn calendars_stop_what_they_name() {
    let site = example();
    let stops = |name: &str, action, day| site.stops(plan(&site, name), action, day).map(|(_, why)| why);
    let test = date(2026, 12, 12);
    assert_eq!(stops("databases", ActionClass::Backup, test), Some(Standstill::Blackout));
    assert_eq!(stops("databases", ActionClass::Backup, date(2026, 12, 13)), None);
    assert_eq!(stops("databases", ActionClass::Rollout, test), None);
    // It names no calendar.
    assert_eq!(stops("system-configuration", ActionClass::Backup, test), None);

    let year_end = &site.calendars()[&"year-end".parse().unwrap()];
    assert_eq!(year_end.stops(ActionClass::Upgrade, date(2027, 1, 1)), Some(Standstill::Freeze));
    assert_eq!(year_end.stops(ActionClass::Backup, date(2027, 1, 1)), None);
}

#[test]
fn selectors_choose_by_labels_and_names() {
    for (selector, expect) in [
        ("\"*\"", "db-test db1 db2 gate"),
        ("role=db", "db-test db1 db2"),
        ("role!=db", "gate"),
        ("rolf!=db | role", "db-test db1 db2 gate"),
        ("name=db1", "db1"),
        ("name", "db-test db1 db2 gate"),
        ("\"!name=db1 & role=db\"", "db-test db2"),
        ("role=gate | role=db & env=test", "db-test gate"),
        ("(role=gate | role=db) & env=prod", "db1 db2 gate"),
        ("\"!(role=gate|env=test)\"", "db1 db2"),
        ("\"!!role=gate\"", "gate"),
        ("\"!*|name=gate\"", "gate"),
    ] {
        let files = with("plans/databases.yaml", "hosts: role=db & env=prod", &format!("hosts: {selector}"));
        let site = Site::read(&files).unwrap_or_else(|faults| panic!("{selector}\n{faults}"));
        assert_eq!(hosts(plan(&site, "databases")).join(" "), expect, "{selector}");
    }
}

#[test]
fn versions_name_the_texts() {
    let files = example_files();
    let (site, changed) = (example(), with("plans/databases.yaml", "team-databases", "team-data"));
    let changed = Site::read(&changed).unwrap();
    assert_eq!(site.version(), files.version());
    assert_ne!(site.version(), changed.version());
    let version = |site: &Site, name| plan(site, name).version();
    assert_ne!(version(&site, "databases"), version(&changed, "databases"));
    assert_eq!(version(&site, "system-configuration"), version(&changed, "system-configuration"));
    assert_eq!(plan(&site, "databases").file(), "plans/databases.yaml");
}

#[test]
fn a_site_may_begin_with_nothing_but_hosts() {
    let mut files = SiteFiles::new("");
    files.insert("site.yaml", "name: new\nzone: UTC\n");
    files.insert("hosts.yaml", "hosts: { web1: { address: web1.example.org } }\n");
    let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(site.plans().is_empty() && site.hosts().len() == 1);
}

/// The example with one text replaced in one file.
fn with(path: &str, from: &str, to: &str) -> SiteFiles {
    let texts = [
        ("site.yaml", include_str!("../examples/site/site.yaml")),
        ("hosts.yaml", include_str!("../examples/site/hosts.yaml")),
        ("plans/databases.yaml", include_str!("../examples/site/plans/databases.yaml")),
        ("plans/system-configuration.yaml", include_str!("../examples/site/plans/system-configuration.yaml")),
    ];
    let mut files = SiteFiles::new("site");
    for (name, text) in texts {
        assert!(name != path || text.matches(from).count() == 1, "{from:?} names one place");
        files.insert(name, if name == path { text.replace(from, to) } else { text.to_owned() });
    }
    files
}

#[test]
fn targets_of_restores_are_of_the_strictest_class_that_chooses_them() {
    let class = |rules: &str, host: &str| {
        let mut files = example_files();
        let text = include_str!("../examples/site/site.yaml");
        files.insert("site.yaml", format!("{}\n{rules}\n", without_restores(text)));
        let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
        let class = site.restores().class_of(&site.hosts()[&host.parse().unwrap()]);
        (class, site.restores().approvals(class))
    };
    assert_eq!(class("", "db1"), (TargetClass::Production, 2));
    let all = "restores: { scratch: { hosts: \"*\" }, test: { hosts: \"name=db1 | name=db-test\" }, production: { hosts: name=db1, approvals: 3 } }";
    assert_eq!(class(all, "db1"), (TargetClass::Production, 3));
    assert_eq!(class(all, "db-test"), (TargetClass::Test, 1));
    assert_eq!(class(all, "gate"), (TargetClass::Scratch, 0));
    assert_eq!(class("restores: { scratch: { hosts: name=gate, approvals: 1 } }", "gate"), (TargetClass::Scratch, 1));
    let usual = example().restores().clone();
    assert_eq!((usual.valid().seconds(), usual.expires().seconds()), (4 * 3600, 24 * 3600));
}

/// The example without what it says of restores, so that a test can say something else.
fn without_restores(text: &str) -> String {
    let begin = text.find("\n# Who must agree").unwrap_or(text.len());
    text[..begin].to_owned()
}

#[test]
fn a_plan_says_what_restores_are_measured_against() {
    let mut files = example_files();
    let text = include_str!("../examples/site/plans/databases.yaml");
    files.insert("plans/databases.yaml", format!("{text}\nobjectives: {{ rto: 4h, rpo: 1d }}\n"));
    let site = Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"));
    let seconds = |name: &str| {
        let objectives = plan(&site, name).objectives();
        [objectives.rto(), objectives.rpo()].map(|span| span.map(|span| span.seconds()))
    };
    assert_eq!(seconds("databases"), [Some(14_400), Some(86_400)]);
    assert_eq!(seconds("system-configuration"), [None, None]);
}
