//! Restores by a plan: what the site's file makes of each system, which requests belong together, and how far they are.

use jiff::{SignedDuration, Timestamp};
use strongroom_controller::journal::Who;
use strongroom_controller::requests::{
    Application, ApprovalScope, Begun, Request, RequestNumber, RequestView, Standing, Urgency,
};
use strongroom_controller::restore_plans::{PlanStanding, Stands, unmet_needs};
use strongroom_controller::restores::{
    PlanChecks, PlanPart, RestoreEnding, RestoreObjectives, RestoreScope, with_system_resolved,
};
use strongroom_plans::{Site, SiteFiles};
use strongroom_proto::operator::{RestoreOverwrite, RestorePart, RestoreRequest};

const SITE: &str = "name: x\nzone: UTC\nrepositories: { main: { at: /srv/main }, other: { at: /srv/other } }\n";
const HOSTS: &str = "hosts: { db1: { address: 10.0.0.1 }, db2: { address: 10.0.0.2 }, web1: { address: 10.0.0.3 } }\n";
const BILLING: &str = "\
kind: backup
name: billing
hosts: name=db1
sources: [{ files: [/srv/billing] }]
repository: other
retain: { daily: 1 }
";
const PORTAL: &str = "\
kind: restore
name: portal
addresses: { db1.internal: db2.internal }
systems:
  - name: db
    plan: billing
    to: db2:/srv/restored
    paths: [/srv/billing/data]
    before: [{ run: [stop, db], time-out: 2m }]
    probes: [{ run: [ask, db], prints: up }]
  - { name: app, needs: [db], plan: billing, to: in-place }
";
const AT: &str = "2026-11-21T03:00";

fn site(portal: &str) -> Site {
    let mut files = SiteFiles::new("");
    let all =
        [("site.yaml", SITE), ("hosts.yaml", HOSTS), ("plans/billing.yaml", BILLING), ("plans/portal.yaml", portal)];
    all.into_iter().for_each(|(path, text)| files.insert(path, text));
    Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"))
}

fn asked(plan: &str, system: &str) -> RestoreRequest {
    let part = RestorePart { plan: plan.into(), system: system.into(), at: AT.into() };
    // What somebody could slip in beside the name does not count.
    let (host, target, paths) = ("web1".into(), b"/etc".to_vec(), vec![b"etc/shadow".to_vec()]);
    RestoreRequest {
        part: Some(part),
        host,
        target,
        paths,
        reason: "INC-8841".into(),
        no_checks: true,
        ..Default::default()
    }
}

#[test]
fn whose_data_where_to_and_how_is_what_the_site_says() {
    let site = site(PORTAL);
    let db = with_system_resolved(asked("portal", "db"), &site).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!((db.snapshot.as_str(), db.repository.as_str()), ("2026-11-21T03:00@db1:/srv/billing/data", "other"));
    assert_eq!((db.host.as_str(), text(&db.target).as_str()), ("db2", "/srv/restored"));
    assert_eq!((text(&db.paths[0]).as_str(), db.paths.len(), db.no_checks), ("srv/billing/data", 1, false));
    assert_eq!((db.overwrite(), db.set_aside, db.reason.as_str()), (RestoreOverwrite::Changed, true, "INC-8841"));
    let app = with_system_resolved(asked("portal", "app"), &site).unwrap();
    assert_eq!((app.host.as_str(), text(&app.target).as_str(), app.paths.len()), ("db1", "/", 0));
    let refused = |plan, system| with_system_resolved(asked(plan, system), &site).unwrap_err().to_string();
    assert!(refused("portal", "web").contains("no system 'web'"));
    assert!(refused("billing", "db").contains("no restore plan 'billing': there are portal"));
    let other = RestoreRequest { part: None, ..asked("portal", "db") };
    assert_eq!(with_system_resolved(other.clone(), &site), Ok(other));
}

#[test]
fn commands_come_from_the_site_and_are_told_what_changes() {
    let part = *PlanPart::of(&asked("portal", "db"), &site(PORTAL)).unwrap();
    let around = part.around("db1", "db2");
    assert_eq!((around.before[0].arguments.join(" ").as_str(), around.before[0].seconds_max), ("stop db", 120));
    assert_eq!((around.probes[0].prints.as_str(), around.after.len()), ("up", 0));
    let told: Vec<_> = around.environment.iter().map(|one| format!("{}={}", one.name, one.value)).collect();
    let expected = [
        "STRONGROOM_RESTORE_PLAN=portal",
        "STRONGROOM_SYSTEM=db",
        "STRONGROOM_SOURCE=db1",
        "STRONGROOM_HOST=db2",
        "STRONGROOM_ADDRESSES=db1.internal=db2.internal",
    ];
    assert_eq!(told, expected);
    assert!(part.refuses(&[("plan".to_owned(), "billing".to_owned())].into()).is_ok());
    let other = part.refuses(&[("plan".to_owned(), "nightly".to_owned())].into()).unwrap_err().to_string();
    assert!(other.contains("made by nightly, and not by the plan billing"), "{other}");
}

fn at(minute: i64) -> Timestamp {
    "2026-11-22T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

fn scope(site: &Site, number: RequestNumber, part: Option<Box<PlanPart>>) -> ApprovalScope {
    let restore = RestoreScope {
        repository: "other".into(),
        snapshot: "ab".repeat(32),
        time: at(-60),
        source: "db1".into(),
        paths: Vec::new(),
        host: "db2".into(),
        target: "/srv/restored".into(),
        overwrite: "changed".into(),
        set_aside: true,
        owners_by_name: false,
        promote_to: None,
        checks: PlanChecks::None,
        objectives: RestoreObjectives::default(),
        part,
    };
    let host = &site.hosts()[&"db2".parse().unwrap()];
    ApprovalScope::of(number, restore, site, host, false)
}

fn request(count: u32, system: &str, time: &str, standing: Standing) -> Request {
    let (site, number) = (site(PORTAL), RequestNumber::new(2026, count));
    let by = Who { uid: 1, name: None, person: None, organisation: None };
    let mut wish = asked("portal", system);
    wish.part.as_mut().unwrap().at = time.into();
    let scope = scope(&site, number, PlanPart::of(&wish, &site));
    let application = Application {
        reason: "x".into(),
        urgency: Urgency::Normal,
        expires: at(60 * 24),
        target: "/srv/restored".into(),
        hash: scope.hash(),
        scope,
        plan: serde_json::Value::Null,
    };
    let begun = vec![Begun { restore: "r".into(), by: by.clone(), at: at(i64::from(count)) }];
    Request { number, at: at(0), by, application, approvals: vec![], begun, standing, promotion: None, closed: None }
}

fn finished(ending: RestoreEnding, minute: i64) -> Standing {
    Standing::Finished { ending, at: at(minute) }
}

/// How db and app stand, the newest request first.
#[track_caller]
fn check(requests: &[Request], time: Option<&str>, expect: [Stands; 2]) -> PlanStanding {
    let site = site(PORTAL);
    let plan = &site.restore_plans()[&"portal".parse().unwrap()];
    let views = requests.iter().map(|request| RequestView::of(request.clone(), &site, at(1))).collect();
    let standing = PlanStanding::of(plan, time, views);
    let found: Vec<Stands> = standing.systems.iter().map(|system| system.stands()).collect();
    assert_eq!(found, expect);
    standing
}

#[test]
fn the_newest_request_for_a_system_at_a_time_counts() {
    use RestoreEnding::{Restored, Unproven};
    check(&[], None, [Stands::Unasked, Stands::Unasked]);
    // Where the site names nobody, nobody has to agree.
    let (db, app) = (request(1, "db", AT, Standing::Open), request(2, "app", AT, Standing::Open));
    check(&[app.clone(), db.clone()], None, [Stands::Ready, Stands::Ready]);
    let done = request(1, "db", AT, finished(Restored, 5));
    let half = check(&[app.clone(), done.clone()], Some(AT), [Stands::Verified, Stands::Ready]);
    assert_eq!((half.is_verified(), half.seconds_to_green(), half.at.as_deref()), (false, None, Some(AT)));
    assert_eq!(half.systems[0].seconds_to_green(), Some(4 * 60));
    assert_eq!(half.course().begin(), ["app"]);
    let all = check(&[request(2, "app", AT, finished(Restored, 9)), done.clone()], None, [Stands::Verified; 2]);
    assert_eq!(all.seconds_to_green(), Some(8 * 60), "from the first begin to the last end");
    // Another time is another restore, and without a time the newest one is meant.
    let later = request(3, "db", "2026-11-22T03:00", Standing::Open);
    check(&[later.clone(), app.clone(), done.clone()], Some(AT), [Stands::Verified, Stands::Ready]);
    check(&[later, app.clone(), done.clone()], None, [Stands::Ready, Stands::Unasked]);
    // Asked for anew, what was done before does not count.
    let bad = request(4, "db", AT, finished(Unproven, 7));
    let stopped = check(&[bad, app.clone(), done.clone()], None, [Stands::Unproven, Stands::Ready]);
    assert_eq!(stopped.course().begin(), [""; 0]);
    let by = done.by.clone();
    let over = request(4, "db", AT, Standing::Withdrawn { by });
    check(&[over, done], None, [Stands::Over, Stands::Unasked]);
}

#[test]
fn nothing_is_run_before_what_it_needs() {
    let (app, db) = (request(2, "app", AT, Standing::Open), request(1, "db", AT, Standing::Open));
    assert_eq!(unmet_needs(&app, &[app.clone(), db.clone()]), ["db"]);
    assert_eq!(unmet_needs(&db, &[app.clone(), db.clone()]), [""; 0]);
    let done = request(1, "db", AT, finished(RestoreEnding::Restored, 5));
    assert_eq!(unmet_needs(&app, &[app.clone(), done.clone()]), [""; 0]);
    let anew = request(3, "db", AT, finished(RestoreEnding::Unproven, 9));
    assert_eq!(unmet_needs(&app, &[anew, app.clone(), done]), ["db"]);
    let elsewhen = request(1, "db", "latest", finished(RestoreEnding::Restored, 5));
    assert_eq!(unmet_needs(&app, &[app.clone(), elsewhen]), ["db"]);
}

#[test]
fn what_runs_around_it_is_agreed_to() {
    let (number, before) = (RequestNumber::new(2026, 1), site(PORTAL));
    let of = |site: &Site| scope(site, number, PlanPart::of(&asked("portal", "db"), site));
    let approved = of(&before);
    assert_eq!(approved.hash(), of(&site(PORTAL)).hash());
    for (from, to) in [
        ("[stop, db]", "[rm, db]"),
        ("prints: up", "prints: down"),
        ("time-out: 2m", "time-out: 3m"),
        ("db2.internal", "db3.internal"),
    ] {
        let changed = of(&site(&PORTAL.replace(from, to)));
        let differences = approved.differences(&changed);
        assert!(approved.hash() != changed.hash() && differences.len() == 1, "{differences:?}");
        assert!(differences[0].starts_with("restore-plan was {"), "{differences:?}");
    }
    let alone = scope(&before, number, None);
    assert!(!String::from_utf8(alone.canonical()).unwrap().contains("restore-plan"));
    assert_eq!((alone.differences(&approved).len(), approved.differences(&alone).len()), (1, 1));
}
