//! Restores that need agreement: every misuse is refused by its name, what cannot have happened is not written, and nothing is lost.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use strongroom_controller::journal::{Event, Journal, JournalError, Who};
use strongroom_controller::requests::{
    Application, ApprovalScope, Moment, Refusal, Request, RequestNumber, RequestView, State, Urgency,
};
use strongroom_controller::restores::{PlanChecks, RestoreEnding, RestoreObjectives, RestoreScope};
use strongroom_plans::{Site, SiteFiles};

/// One field made another.
type Change = fn(&mut ApprovalScope);

const HOSTS: &str = "\
hosts:
  web1: { address: 10.0.0.1, labels: { tenant: north } }
  web2: { address: 10.0.0.2, labels: { tenant: north } }
  try1: { address: 10.0.0.3, labels: { env: test } }
  drill: { address: 10.0.0.4, labels: { role: drill } }
";

const SITE: &str = "\
name: test
zone: Asia/Shanghai
restores: { scratch: { hosts: role=drill }, test: { hosts: env=test }, valid: 4h, expires: 24h }
people:
  wang: { users: [wang], roles: { operator: \"*\" } }
  deng: { users: [deng], roles: { viewer: \"*\" } }
  zhao: { users: [zhao, zhao2], roles: { approver: \"*\" } }
  li: { users: [li], roles: { approver: tenant=north } }
  sun: { users: [sun], roles: { owner: \"*\" } }
  yu: { users: [yu], roles: { on-call: \"*\" } }
  wei: { users: [wei], roles: { on-call: \"*\" } }
";

fn site(text: &str) -> Site {
    let mut files = SiteFiles::new("");
    files.insert("site.yaml", text);
    files.insert("hosts.yaml", HOSTS);
    Site::read(&files).unwrap_or_else(|faults| panic!("{faults}"))
}

fn at(hour: i64) -> Timestamp {
    let begin: Timestamp = "2026-11-22T00:00:00Z".parse().expect("a time");
    begin + SignedDuration::from_hours(hour)
}

/// The account `name` of the person of that name; `zhao2` is a second one of zhao.
fn who(name: &str) -> Who {
    let person = name.trim_end_matches('2').to_owned();
    let uid = 1000 + name.bytes().map(u32::from).sum::<u32>();
    Who { uid, name: Some(name.into()), person: Some(person), organisation: Some("Operator A".into()) }
}

fn root() -> Who {
    Who { uid: 0, name: Some("root".into()), person: None, organisation: None }
}

fn scope(host: &str) -> RestoreScope {
    RestoreScope {
        repository: "main".into(),
        snapshot: "ab".repeat(32),
        time: at(-10),
        source: "web1".into(),
        paths: vec!["/srv/billing".into()],
        host: host.into(),
        target: "/srv/back".into(),
        overwrite: "never".into(),
        set_aside: false,
        owners_by_name: false,
        promote_to: Some("/srv/billing".into()),
        checks: PlanChecks::None,
        objectives: RestoreObjectives::default(),
        part: None,
    }
}

fn host<'s>(site: &'s Site, name: &str) -> &'s strongroom_plans::Host {
    &site.hosts()[&name.parse().expect("a name")]
}

struct Desk {
    site: Site,
    journal: Journal,
    folder: tempfile::TempDir,
}

/// What a restore on a host is asked for as.
#[derive(Clone, Copy, PartialEq)]
enum Glass {
    Whole,
    Broken,
}

impl Desk {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let journal = Journal::open(&folder.path().join("journal.db")).await?;
        Ok(Self { site: site(SITE), journal, folder })
    }

    fn found(&self, request: RequestNumber, restore: RestoreScope, glass: Glass) -> ApprovalScope {
        let host = host(&self.site, &restore.host);
        ApprovalScope::of(request, restore, &self.site, host, glass == Glass::Broken)
    }

    async fn file(&self, by: &str, target: &str, glass: Glass) -> Result<Request, JournalError> {
        let event = |request| {
            let scope = self.found(request, scope(target), glass);
            let (hash, target) = (scope.hash(), "/srv/back".into());
            let (reason, urgency, plan) = ("INC-8841".into(), Urgency::High, serde_json::json!({ "files": 3 }));
            let application = Application { reason, urgency, expires: at(24), target, scope, hash, plan };
            Event::RestoreRequested { request, by: who(by), application: Box::new(application) }
        };
        self.journal.file_request(at(0), 2026, event).await
    }

    /// Decides at an hour, and writes it down if it may be.
    async fn decide(
        &self,
        hour: i64,
        by: &Who,
        number: RequestNumber,
        decide: impl FnOnce(&Request, Moment<'_>) -> Result<Event, Refusal>,
    ) -> Result<Result<Request, Refusal>> {
        let moment = Moment { site: &self.site, by, now: at(hour) };
        let decided = self.journal.decide_request(at(hour), number, |request| decide(request, moment)).await?;
        decided.context("it is there")
    }

    async fn approve(&self, hour: i64, by: &str, request: &Request) -> Result<Result<Request, Refusal>> {
        let plan = request.application.hash[..12].to_owned();
        self.decide(hour, &who(by), request.number, |request, moment| request.approve(moment, &plan, None)).await
    }

    async fn begin(&self, hour: i64, by: &str, request: &Request) -> Result<Result<Request, Refusal>> {
        let found = request.application.scope.clone();
        self.begin_as(hour, by, request, found).await
    }

    async fn begin_as(
        &self,
        hour: i64,
        by: &str,
        request: &Request,
        found: ApprovalScope,
    ) -> Result<Result<Request, Refusal>> {
        let job = format!("{}1", request.number.job_prefix());
        self.decide(hour, &who(by), request.number, |request, moment| request.begin(moment, &found, job)).await
    }

    async fn end(&self, hour: i64, request: &Request, ending: RestoreEnding) -> Result<Request> {
        let restore = format!("{}1", request.number.job_prefix());
        let event = Event::RestoreEnded { restore, ending, reason: None, report: None, request: Some(request.number) };
        self.journal.append(at(hour), event).await?;
        self.journal.request(request.number).await?.context("it is there")
    }

    async fn state(&self, hour: i64, number: RequestNumber) -> Result<State> {
        let request = self.journal.request(number).await?.context("it is there")?;
        Ok(RequestView::of(request, &self.site, at(hour)).state)
    }
}

#[tokio::test]
async fn two_others_agree_and_it_is_run_once() -> Result<()> {
    let desk = Desk::new().await?;
    let request = desk.file("wang", "web2", Glass::Whole).await?;
    ensure!(request.number.to_string() == "HF-2026-000001" && request.application.scope.approvals == 2);
    ensure!(matches!(desk.begin(1, "wang", &request).await?, Err(Refusal::TooFew { have: 0, needed: 2, .. })));
    desk.approve(1, "zhao", &request).await??;
    let alone = desk.begin(1, "wang", &request).await?;
    ensure!(matches!(alone, Err(Refusal::TooFew { have: 1, .. })), "production with one approver: {alone:?}");
    ensure!(desk.state(1, request.number).await? == State::Waiting);
    desk.approve(2, "sun", &request).await??;
    ensure!(desk.state(2, request.number).await? == State::Approved);
    desk.begin(2, "wang", &request).await??;
    desk.end(3, &request, RestoreEnding::Restored).await?;
    ensure!(desk.state(3, request.number).await? == State::Finished);
    // An approval is for one restore.
    for replayed in [desk.begin(3, "wang", &request).await?, desk.approve(3, "li", &request).await?] {
        ensure!(matches!(replayed, Err(Refusal::Over(..))), "{replayed:?}");
    }
    // Everything is there again after a restart, and the tables are the sum of the entries.
    let before = desk.journal.requests(10).await?;
    let Desk { journal, folder, .. } = desk;
    drop(journal);
    let journal = Journal::open(&folder.path().join("journal.db")).await?;
    ensure!(journal.requests(10).await? == before);
    journal.verify().await?;
    Ok(())
}

#[tokio::test]
async fn approvals_that_do_not_count_are_refused() -> Result<()> {
    let desk = Desk::new().await?;
    let request = desk.file("sun", "web2", Glass::Whole).await?;
    let refused = |found: Result<Request, Refusal>| found.expect_err("it is refused").to_string();
    let said = refused(desk.approve(1, "sun", &request).await?);
    ensure!(said.contains("sun asked for it"), "self-approval: {said}");
    let said = refused(desk.approve(1, "deng", &request).await?);
    ensure!(said.contains("approver or owner"), "a viewer: {said}");
    let number = request.number;
    let machine = root();
    let machine =
        desk.decide(1, &machine, number, |request, moment| request.approve(moment, &request.application.hash, None));
    ensure!(refused(machine.await?).contains("takes a person"));
    for hash in ["", "0123456789ab", &request.application.hash[..11]] {
        let seen = desk.decide(1, &who("zhao"), number, |request, moment| request.approve(moment, hash, None)).await?;
        ensure!(refused(seen).contains("restore show"), "{hash}");
    }
    desk.approve(1, "zhao", &request).await??;
    let said = refused(desk.approve(1, "zhao2", &request).await?);
    ensure!(said.contains("already"), "the same person by another account: {said}");
    // It lapses, and may be given again; late ones end with the request.
    let said = refused(desk.begin(6, "wang", &request).await?);
    ensure!(said.contains("that of zhao counted until"), "{said}");
    let again = desk.approve(22, "zhao", &request).await??;
    ensure!(again.approvals[1].until == at(24));
    let said = refused(desk.approve(24, "li", &request).await?);
    ensure!(said.contains("expired"), "{said}");
    ensure!(matches!(desk.begin(24, "wang", &request).await?, Err(Refusal::Expired(..))));
    ensure!(desk.state(24, number).await? == State::Expired);
    // Of another host than his.
    let test = desk.file("wang", "try1", Glass::Whole).await?;
    ensure!(test.application.scope.approvals == 1);
    ensure!(refused(desk.approve(1, "li", &test).await?).contains("try1"));
    // It is nobody's but whose it is to take it back, and rejected it stays.
    let foreign = desk.decide(1, &who("yu"), test.number, |request, moment| request.withdraw(moment)).await?;
    ensure!(refused(foreign).contains("wang asked for it"));
    let silent = desk.decide(1, &who("zhao"), test.number, |request, moment| request.reject(moment, " ")).await?;
    ensure!(refused(silent).contains("a text"));
    desk.decide(1, &who("zhao"), test.number, |request, moment| request.reject(moment, "the wrong host")).await??;
    ensure!(refused(desk.approve(1, "sun", &test).await?).contains("rejected by zhao: the wrong host"));
    desk.journal.verify().await?;
    Ok(())
}

#[tokio::test]
async fn a_role_that_is_lost_takes_its_approvals_with_it() -> Result<()> {
    let mut desk = Desk::new().await?;
    let request = desk.file("wang", "web2", Glass::Whole).await?;
    desk.approve(1, "zhao", &request).await??;
    desk.approve(1, "li", &request).await??;
    desk.site = site(&SITE.replace("roles: { approver: tenant=north }", "roles: { viewer: \"*\" }"));
    let refused = desk.begin(2, "wang", &request).await?.expect_err("one of them reviews no more").to_string();
    ensure!(refused.contains("2 must agree") && refused.contains("li has no such role any more"), "{refused}");
    ensure!(desk.state(2, request.number).await? == State::Waiting);
    desk.site = site(&SITE.replace("  li: ", "  other: "));
    ensure!(desk.begin(2, "wang", &request).await?.is_err(), "he is gone");
    desk.site = site(SITE);
    desk.begin(2, "wang", &request).await??;
    Ok(())
}

#[tokio::test]
async fn what_differs_from_what_was_approved_is_not_done() -> Result<()> {
    let mut desk = Desk::new().await?;
    let request = desk.file("wang", "web2", Glass::Whole).await?;
    desk.approve(1, "zhao", &request).await??;
    desk.approve(1, "sun", &request).await??;
    let changed: [(&str, Change); 12] = [
        ("checks", |scope| scope.restore.checks = PlanChecks::Unwanted { plan: "nightly".into() }),
        ("promote-to", |scope| scope.restore.promote_to = Some("/etc".into())),
        ("target", |scope| scope.restore.target = "/etc".into()),
        ("snapshot", |scope| scope.restore.snapshot = "cd".repeat(32)),
        ("paths", |scope| scope.restore.paths = Vec::new()),
        ("host", |scope| scope.restore.host = "try1".into()),
        ("source", |scope| scope.restore.source = "web2".into()),
        ("overwrite", |scope| scope.restore.overwrite = "always".into()),
        ("set-aside", |scope| scope.restore.set_aside = true),
        ("owners-by-name", |scope| scope.restore.owners_by_name = true),
        ("repository", |scope| scope.restore.repository = "other".into()),
        ("request", |scope| scope.request = RequestNumber::new(2026, 2)),
    ];
    for (field, change) in changed {
        let mut found = request.application.scope.clone();
        change(&mut found);
        let refused = desk.begin_as(2, "wang", &request, found).await?.expect_err(field).to_string();
        ensure!(refused.contains(&format!("approved: {field} was")), "{refused}");
    }
    // The host has become another class of target meanwhile: less is not enough, and other rules are others.
    desk.site = site(&SITE.replace("hosts: env=test", "hosts: name=web2"));
    let found = desk.found(request.number, scope("web2"), Glass::Whole);
    let refused = desk.begin_as(2, "wang", &request, found).await?.expect_err("other rules").to_string();
    ensure!(refused.contains("approvals was 2, is 1; class was \"production\", is \"test\""), "{refused}");
    Ok(())
}

/// As everybody can compute it: BLAKE3 over the sorted fields.
#[test]
fn the_hash_of_a_plan_does_not_change_from_release_to_release() {
    let site = site(SITE);
    let number = RequestNumber::new(2026, 1);
    let scope = ApprovalScope::of(number, scope("web2"), &site, host(&site, "web2"), false);
    let text = format!(
        r#"{{"approvals":2,"break-glass":false,"checks":"none","class":"production","host":"web2","overwrite":"never","owners-by-name":false,"paths":["/srv/billing"],"promote-to":"/srv/billing","repository":"main","request":"HF-2026-000001","set-aside":false,"snapshot":"{}","source":"web1","target":"/srv/back","time":"2026-11-21T14:00:00Z"}}"#,
        "ab".repeat(32)
    );
    assert_eq!(scope.hash(), blake3::hash(text.as_bytes()).to_hex().to_string());
}

#[tokio::test]
async fn what_was_cut_off_goes_on_and_what_was_done_does_not() -> Result<()> {
    let desk = Desk::new().await?;
    let request = desk.file("wang", "try1", Glass::Whole).await?;
    desk.approve(1, "zhao", &request).await??;
    desk.begin(1, "wang", &request).await??;
    // The controller was killed: the same job is found again.
    desk.begin(2, "yu", &request).await??;
    desk.end(2, &request, RestoreEnding::Cancelled).await?;
    ensure!(desk.state(2, request.number).await? == State::Interrupted);
    let late = desk.begin(6, "wang", &request).await?.expect_err("the approval has lapsed");
    ensure!(matches!(late, Refusal::TooFew { have: 0, .. }));
    desk.approve(6, "zhao", &request).await??;
    let begun = desk.begin(6, "wang", &request).await??;
    ensure!(begun.begun.len() == 3);
    let running = desk.decide(6, &who("wang"), request.number, |request, moment| request.withdraw(moment)).await?;
    ensure!(matches!(running, Err(Refusal::Over(..))));
    desk.end(7, &request, RestoreEnding::Partial).await?;
    ensure!(desk.begin(7, "wang", &request).await?.is_err());
    // Where nobody has to agree, nobody does.
    let drill = desk.file("wang", "drill", Glass::Whole).await?;
    desk.begin(1, "wang", &drill).await??;
    desk.journal.verify().await?;
    Ok(())
}

#[tokio::test]
async fn broken_glass_takes_one_second_person_and_a_third_who_looks() -> Result<()> {
    let desk = Desk::new().await?;
    let request = desk.file("yu", "web2", Glass::Broken).await?;
    ensure!(desk.begin(1, "yu", &request).await?.is_err() && desk.approve(1, "yu", &request).await?.is_err());
    desk.approve(1, "wei", &request).await??;
    let close = |by| {
        let (desk, request, by) = (&desk, &request, who(by));
        async move { desk.decide(5, &by, request.number, |request, moment| request.close(moment, "looked at")).await }
    };
    ensure!(matches!(close("sun").await?, Err(Refusal::NotOwed(_))), "nothing was run yet");
    desk.begin(1, "yu", &request).await??;
    let request = desk.end(2, &request, RestoreEnding::Restored).await?;
    ensure!(request.is_owed() && desk.journal.requests_owed().await?.len() == 1);
    ensure!(matches!(close("wei").await?, Err(Refusal::Role { .. })), "on call is no reviewer");
    let closed = close("zhao").await??;
    ensure!(!closed.is_owed() && desk.journal.requests_owed().await?.is_empty());
    ensure!(close("sun").await?.is_err(), "it is closed once");
    // A reviewer who took part does not look at it himself.
    let second = desk.file("yu", "web2", Glass::Broken).await?;
    desk.approve(1, "sun", &second).await??;
    desk.begin(1, "yu", &second).await??;
    let own = desk.decide(2, &who("sun"), second.number, |request, moment| request.close(moment, "fine")).await?;
    ensure!(matches!(own, Err(Refusal::TookPart(_))));
    // Everybody is told, three times of the first and twice of the second.
    ensure!(desk.journal.untold().await? == 5, "{}", desk.journal.untold().await?);
    Ok(())
}

#[tokio::test]
async fn numbers_have_no_gaps_and_begin_anew_each_year() -> Result<()> {
    let desk = Desk::new().await?;
    for count in 1..4 {
        ensure!(desk.file("wang", "web2", Glass::Whole).await?.number == RequestNumber::new(2026, count));
    }
    let (by, request) = (who("wang"), desk.journal.request(RequestNumber::new(2026, 1)).await?.context("the first")?);
    let again = |request_number: RequestNumber| {
        let mut application = request.application.clone();
        application.scope.request = request_number;
        Event::RestoreRequested { request: request_number, by: by.clone(), application: Box::new(application) }
    };
    for taken_or_left_out in [RequestNumber::new(2026, 3), RequestNumber::new(2026, 5), RequestNumber::new(2027, 2)] {
        let refused = desk.journal.append(at(1), again(taken_or_left_out)).await;
        ensure!(matches!(refused, Err(JournalError::Impossible(_))), "{taken_or_left_out}: {refused:?}");
    }
    let next = desk.journal.file_request(at(9), 2027, again).await?;
    ensure!(next.number.to_string() == "HF-2027-000001");
    desk.journal.verify().await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_have_happened_is_not_written() -> Result<()> {
    let desk = Desk::new().await?;
    let asked = desk.file("wang", "web2", Glass::Whole).await?;
    let request = asked.number;
    let approved =
        |by: Who, hash: &str| Event::RestoreApproved { request, by, hash: hash.into(), until: at(4), comment: None };
    let started = Event::RestoreStarted {
        restore: "r1".into(),
        by: who("wang"),
        reason: "x".into(),
        order: scope("web2"),
        request: Some(request),
    };
    let ended = Event::RestoreEnded {
        restore: "r1".into(),
        ending: RestoreEnding::Restored,
        reason: None,
        report: None,
        request: Some(request),
    };
    let hash = asked.application.hash.as_str();
    let unknown = RequestNumber::new(2026, 7);
    let impossible = [
        started,
        ended,
        approved(who("wang"), hash),
        approved(root(), hash),
        approved(who("zhao"), "another plan"),
        Event::RestoreClosed { request, by: who("sun"), note: "x".into() },
        Event::RestoreWithdrawn { request: unknown, by: who("wang") },
    ];
    for event in impossible {
        let refused = desk.journal.append(at(1), event.clone()).await;
        ensure!(matches!(refused, Err(JournalError::Impossible(_))), "{event:?}");
    }
    ensure!(desk.journal.newest().await? == 1);
    desk.journal.append(at(1), Event::RestoreRejected { request, by: who("zhao"), reason: "no".into() }).await?;
    let after = desk.journal.append(at(1), approved(who("zhao"), hash)).await;
    ensure!(matches!(after, Err(JournalError::Impossible(_))), "it was rejected");
    desk.journal.verify().await?;
    Ok(())
}

#[tokio::test]
async fn only_what_was_verified_is_put_where_people_agreed_and_once() -> Result<()> {
    let desk = Desk::new().await?;
    let request = desk.file("wang", "try1", Glass::Whole).await?;
    let promote = |to: &'static str| {
        let (desk, number) = (&desk, request.number);
        async move { desk.decide(5, &who("wang"), number, |request, moment| request.promote(moment, to)).await }
    };
    let place = "/srv/billing";
    ensure!(matches!(promote(place).await?, Err(Refusal::NotVerified(_))), "nothing is restored yet");
    desk.approve(1, "zhao", &request).await??;
    desk.begin(1, "wang", &request).await??;
    let ended = desk.end(2, &request, RestoreEnding::Restored).await?;
    let next = RequestView::of(ended.clone(), &desk.site, at(2)).next;
    ensure!(next == [format!("strongroom restore promote {} --to {place}", request.number)], "{next:?}");
    ensure!(matches!(promote("/etc").await?, Err(Refusal::OtherPlace { .. })));
    let begun = promote(place).await??;
    ensure!(begun.promotion.is_none(), "it has begun, and is not there");
    let promoted = |aside: Option<&str>, reason: Option<&str>| Event::RestorePromoted {
        request: request.number,
        restore: ended.begun[0].restore.clone(),
        by: who("wang"),
        to: place.into(),
        aside: aside.map(str::to_owned),
        reason: reason.map(str::to_owned),
    };
    // What was refused may be tried again; each end is owed a record.
    desk.journal.append(at(6), promoted(None, Some("a file was changed"))).await?;
    promote(place).await??;
    desk.journal.append(at(7), promoted(Some("/srv/back/srv/billing"), None)).await?;
    ensure!(matches!(promote(place).await?, Err(Refusal::Over(..))), "once is enough");
    ensure!(desk.journal.append(at(8), promoted(None, None)).await.is_err(), "nothing is put in place twice");
    let there = desk.journal.request(request.number).await?.context("it is there")?;
    ensure!(there.promotion.is_some_and(|promotion| promotion.aside.as_deref() == Some("/srv/back/srv/billing")));
    ensure!(!desk.journal.restores_unrecorded().await?.is_empty());
    // What was restored in part, or disagreed with by a check, is put nowhere.
    for ending in [RestoreEnding::Partial, RestoreEnding::Deviating, RestoreEnding::Unproven] {
        let other = desk.file("wang", "drill", Glass::Whole).await?;
        desk.begin(1, "wang", &other).await??;
        desk.end(2, &other, ending).await?;
        let refused = desk.decide(5, &who("wang"), other.number, |other, moment| other.promote(moment, place)).await?;
        ensure!(matches!(refused, Err(Refusal::NotVerified(_))), "{ending}");
    }
    desk.journal.verify().await?;
    Ok(())
}
