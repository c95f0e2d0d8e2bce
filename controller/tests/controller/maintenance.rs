//! Maintenance in the controller's loop: what is due begins once, each begin and end stands in the journal, and people are told what is wrong.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::simulated::Fleet;
use anyhow::{Context, Result, ensure};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use strongroom_controller::Clock;
use strongroom_controller::daemon::{Chores, ChoresDue, Daemon, RunOrder, Setting, StateAnswer};
use strongroom_controller::drill_report::{DrillEnd, DrillEnding, DrillOrder, DrillReport};
use strongroom_controller::gateway::Gateway;
use strongroom_controller::hosts::Hosts;
use strongroom_controller::journal::{Event, Journal, JournalError, Origin};
use strongroom_controller::links::Links;
use strongroom_controller::maintenance::{
    Figures, ForgetFigures, MaintenanceEnd, MaintenanceEnding, MaintenanceOrder, MaintenanceReport,
};
use strongroom_controller::operator::{Mode, Refused, Request, oneself};
use strongroom_controller::own_state::{StateOrder, StoredState};
use strongroom_controller::permissions::Sight;
use strongroom_controller::runs::{Ending, RunId};
use strongroom_controller::sampling::{Coverage, Sampled};
use strongroom_controller::site::Loaded;
use strongroom_controller::state_proofs::{ProvenState, StateProofOrder};
use strongroom_controller::status::{Keeping, State, Status, UpkeepState};
use strongroom_plans::{RunKind, Site, SiteFiles};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct SetClock(Arc<Mutex<Timestamp>>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn zone(&self) -> TimeZone {
        TimeZone::UTC
    }
}

impl SetClock {
    fn set(&self, time: &str) -> Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time.parse()?;
        Ok(())
    }
}

fn site() -> Result<Loaded> {
    let mut files = SiteFiles::new("site");
    let repositories = "repositories:\n  main: { at: /srv/main, maintenance: { at: daily 05:00 } }\n";
    files.insert("site.yaml", format!("name: test\nzone: UTC\nown-state: {{ prove: monthly }}\n{repositories}"));
    files.insert("hosts.yaml", "hosts:\n  web1: { address: 10.0.0.5 }\n");
    let plan = "kind: backup\nname: etc\nhosts: \"*\"\nsources: [{ files: [/etc] }]\nrepository: main\n\
                retain: { last: 1 }\nprove: { level: restored, every: weekly, sample: 1 GiB, promise: 10d }\n";
    files.insert("plans/etc.yaml", plan);
    let site = Site::read(&files)?;
    Ok(Loaded { version: site.version().to_string(), site: Arc::new(site), commit: None })
}

/// A life of a controller whose repositories the test maintains.
struct Life {
    journal: Arc<Journal>,
    requests: mpsc::Sender<Request>,
    due: ChoresDue,
    serving: JoinHandle<Result<(), JournalError>>,
}

impl Life {
    async fn begin(folder: &Path, clock: &SetClock) -> Result<Self> {
        let journal = Arc::new(Journal::open(&folder.join("journal.db")).await?);
        let links = Arc::new(Links::new(Arc::new(Fleet::default()), Arc::new(Gateway::default()), "test".into()));
        let hosts = Hosts::new(Arc::clone(&journal), links);
        let site = site()?;
        let (in_force, beats) = (watch::channel(Arc::clone(&site.site)).0, watch::channel(0).0);
        let (start, load) = (|_: RunOrder| {}, || Err("it stays".to_owned()));
        let (chores, due) = Chores::channels();
        let (clock, program) = (clock.clone(), "test".to_owned());
        let setting =
            Setting { journal: Arc::clone(&journal), clock, start, load, program, hosts, in_force, chores, beats };
        let daemon = Daemon::new(setting, site).await?;
        let (requests, receive) = mpsc::channel(1);
        let serving = tokio::spawn(daemon.run(receive, std::future::pending()));
        Ok(Self { journal, requests, due, serving })
    }

    /// It ends as by a crash. What its journal was about to write is over then: the next life would find an entry that it has not read.
    async fn crash(self) -> Result<()> {
        self.serving.abort();
        ensure!(self.serving.await.is_err_and(|ended| ended.is_cancelled()), "it had ended by itself");
        self.journal.latest_time().await?;
        Ok(())
    }

    /// Asking wakes the loop, which looks at the clock then.
    async fn status(&self) -> Result<Status> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Status(Sight::Everything, reply)).await?;
        Ok(serde_json::from_str(&answer.await??)?)
    }

    /// The order that comes now.
    async fn order(&mut self) -> Result<MaintenanceOrder> {
        self.status().await?;
        tokio::time::timeout(SOON, self.due.maintenance.recv()).await?.context("an order")
    }

    async fn state_order(&mut self) -> Result<StateOrder> {
        self.status().await?;
        tokio::time::timeout(SOON, self.due.own_state.recv()).await?.context("an order")
    }

    async fn proof_order(&mut self) -> Result<StateProofOrder> {
        self.status().await?;
        tokio::time::timeout(SOON, self.due.state_proofs.recv()).await?.context("an order")
    }

    async fn drill_order(&mut self) -> Result<DrillOrder> {
        self.status().await?;
        tokio::time::timeout(SOON, self.due.drills.recv()).await?.context("an order")
    }

    async fn is_idle(&mut self) -> Result<bool> {
        // Twice: what the first answer saw may have been before the clock was looked at.
        self.status().await?;
        self.status().await?;
        Ok(self.due.maintenance.try_recv().is_err())
    }

    /// The state after so many ends.
    async fn after(&self, ends: usize) -> Result<Status> {
        self.after_events("maintenance-ended", ends).await
    }

    async fn after_states(&self, ends: usize) -> Result<Status> {
        self.after_events("state-stored", ends).await
    }

    async fn after_events(&self, word: &str, ends: usize) -> Result<Status> {
        for _ in 0..4000 {
            if self.events(word).await?.len() == ends {
                return self.status().await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::bail!("{ends} have not ended")
    }

    async fn events(&self, word: &str) -> Result<Vec<Event>> {
        let entries = self.journal.entries(1, 1000).await?;
        Ok(entries.into_iter().filter(|entry| entry.text.contains(word)).map(|entry| entry.event).collect())
    }
}

fn over(ending: MaintenanceEnding, reason: Option<&str>) -> MaintenanceEnd {
    let forget = ForgetFigures { forgotten: 3, kept: 4, commit: Some(9) };
    let figures = Figures { forget: Some(forget), ..Figures::default() };
    MaintenanceEnd::Over(Box::new(MaintenanceReport { ending, reason: reason.map(Into::into), figures }))
}

#[tokio::test]
async fn each_begin_and_end_is_written_and_what_is_wrong_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = SetClock(Arc::new(Mutex::new("2026-11-22T04:00:00Z".parse()?)));
    let mut life = Life::begin(folder.path(), &clock).await?;
    let new = life.status().await?;
    ensure!(
        new.repositories[0].state == UpkeepState::New
            && new.repositories[0].next == Some("2026-11-22T05:00:00Z".parse()?)
    );
    ensure!(life.is_idle().await?);

    clock.set("2026-11-22T05:00:01Z")?;
    let order = life.order().await?;
    ensure!((order.repository.as_str(), order.mode) == ("main", Mode::Earnest));
    let running = life.status().await?;
    ensure!(running.repositories[0].running_since.is_some() && running.repositories[0].next.is_none());
    order.end(over(MaintenanceEnding::Done, None));
    let status = life.after(1).await?;
    let main = &status.repositories[0];
    ensure!(main.state == UpkeepState::Maintained && main.next == Some("2026-11-23T05:00:00Z".parse()?), "{main:?}");
    let last = main.last.as_ref().context("one")?;
    ensure!(last.figures.forget.as_ref().is_some_and(|forget| forget.forgotten == 3) && last.began == last.ended);
    ensure!(life.journal.untold().await? == 0, "all is well");

    clock.set("2026-11-23T05:00:00Z")?;
    life.order().await?.end(over(MaintenanceEnding::Refused, Some("too many would go")));
    let status = life.after(2).await?;
    let main = &status.repositories[0];
    ensure!(
        main.state == UpkeepState::Failed && main.reason.as_deref() == Some("refused: too many would go"),
        "{main:?}"
    );
    ensure!(!status.is_good() && main.good == Some("2026-11-22T05:00:01Z".parse()?));
    ensure!(life.journal.untold().await? == 1);

    clock.set("2026-11-24T05:00:00Z")?;
    life.order().await?.end(over(MaintenanceEnding::Done, None));
    ensure!(life.after(3).await?.repositories[0].state == UpkeepState::Maintained);
    ensure!(life.journal.untold().await? == 2, "that it recovered is told");
    ensure!(life.is_idle().await?);
    life.journal.verify().await?;
    life.crash().await?;
    Ok(())
}

#[tokio::test]
async fn the_own_state_is_stored_daily_after_each_maintenance_and_by_hand() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = SetClock(Arc::new(Mutex::new("2026-11-22T02:00:00Z".parse()?)));
    let mut life = Life::begin(folder.path(), &clock).await?;
    let stored = |entry| {
        let snapshot = Some(format!("{entry:064x}"));
        Ok(StoredState { snapshot, entry, hash: "00".into(), files: 3, bytes: 9 })
    };
    ensure!(life.status().await?.own_state[0].state == Keeping::New);
    clock.set("2026-11-22T03:00:00Z")?;
    life.state_order().await?.end(Err("the store is away".into()));
    let failed = &life.after_states(1).await?.own_state[0];
    ensure!(
        failed.reason.as_deref() == Some("the store is away") && failed.next == Some("2026-11-22T04:00:00Z".parse()?)
    );
    clock.set("2026-11-22T04:00:00Z")?;
    life.state_order().await?.end(stored(3));
    let kept = &life.after_states(2).await?.own_state[0];
    ensure!(kept.state == Keeping::Kept && kept.reason.is_none() && kept.time == Some("2026-11-22T04:00:00Z".parse()?));
    ensure!(kept.stored.as_ref().is_some_and(|stored| stored.entry == 3), "{kept:?}");

    // A maintenance brings another one, at once.
    clock.set("2026-11-22T05:00:00Z")?;
    life.order().await?.end(over(MaintenanceEnding::Done, None));
    life.state_order().await?.end(stored(6));
    life.after_states(3).await?;

    // By hand; the rehearsal is no event.
    for (mode, entry) in [(Mode::DryRun, 7), (Mode::Earnest, 8)] {
        let (reply, answer) = oneshot::channel();
        life.requests.send(Request::StoreState(mode, oneself(), reply)).await?;
        let order = life.state_order().await?;
        ensure!(order.mode == mode);
        let (again, refused) = oneshot::channel();
        life.requests.send(Request::StoreState(mode, oneself(), again)).await?;
        ensure!(matches!(refused.await?, Err(Refused::Unfit(_))));
        order.end(stored(entry));
        let answers: Vec<StateAnswer> = serde_json::from_str(&answer.await??)?;
        ensure!(answers.len() == 1 && answers[0].stored.as_ref().is_some_and(|stored| stored.entry == entry));
    }
    let events = life.events("state-stored").await?;
    ensure!(
        events.len() == 4 && matches!(&events[3], Event::StateStored { origin: Origin::Asked(_), .. }),
        "{events:?}"
    );

    // A day and six hours later somebody should know.
    clock.set("2026-11-23T11:00:00Z")?;
    let status = life.status().await?;
    ensure!(status.own_state[0].state == Keeping::Overdue && !status.is_good());
    life.crash().await?;

    // The next controller knows what was stored.
    clock.set("2026-11-22T06:00:00Z")?;
    let life = Life::begin(folder.path(), &clock).await?;
    let kept = &life.status().await?.own_state[0];
    ensure!(kept.state == Keeping::Kept && kept.next == Some("2026-11-23T05:00:00Z".parse()?), "{kept:?}");
    life.journal.verify().await?;
    life.crash().await?;
    Ok(())
}

#[tokio::test]
async fn what_was_cut_off_is_due_at_once_and_what_was_missed_comes_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = SetClock(Arc::new(Mutex::new("2026-11-22T04:00:00Z".parse()?)));
    let mut life = Life::begin(folder.path(), &clock).await?;
    clock.set("2026-11-22T05:00:00Z")?;
    drop(life.order().await?);
    life.crash().await?;

    clock.set("2026-11-22T05:10:00Z")?;
    let mut life = Life::begin(folder.path(), &clock).await?;
    life.order().await?.end(over(MaintenanceEnding::Done, None));
    life.after(1).await?;
    ensure!(life.is_idle().await?);
    ensure!(life.events("maintenance-started").await?.len() == 2);
    life.crash().await?;

    // Off for a week.
    clock.set("2026-11-29T12:00:00Z")?;
    let mut life = Life::begin(folder.path(), &clock).await?;
    life.order().await?.end(over(MaintenanceEnding::Failed, Some("no line")));
    life.after(2).await?;
    ensure!(life.is_idle().await?);
    life.crash().await?;
    Ok(())
}

#[tokio::test]
async fn by_hand_it_waits_for_nobody_and_a_rehearsal_leaves_no_trace() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = SetClock(Arc::new(Mutex::new("2026-11-22T04:00:00Z".parse()?)));
    let mut life = Life::begin(folder.path(), &clock).await?;
    let ask = async |repository: &str, mode: Mode| -> Result<oneshot::Receiver<Result<String, Refused>>> {
        let (reply, answer) = oneshot::channel();
        life.requests.send(Request::Maintain(repository.into(), mode, oneself(), reply)).await?;
        Ok(answer)
    };
    ensure!(matches!(ask("mian", Mode::Earnest).await?.await?, Err(Refused::Unknown(why)) if why.contains("main")));
    let rehearsal = ask("main", Mode::DryRun).await?;
    let busy = ask("main", Mode::Earnest).await?.await?;
    ensure!(matches!(&busy, Err(Refused::Unfit(why)) if why.contains("already")), "{busy:?}");
    life.order().await?.end(over(MaintenanceEnding::Done, None));
    ensure!(rehearsal.await??.contains("done"));
    ensure!(life.events("maintenance").await?.is_empty());

    let (reply, answer) = oneshot::channel();
    life.requests.send(Request::Maintain("main".into(), Mode::Earnest, oneself(), reply)).await?;
    life.order().await?.end(over(MaintenanceEnding::Damaged, Some("2 damaged")));
    ensure!(answer.await??.contains("damaged"));
    let started = life.events("maintenance-started").await?;
    ensure!(matches!(&started[..], [Event::MaintenanceStarted { due: None, origin: Origin::Asked(_), .. }]));
    life.crash().await?;
    Ok(())
}

/// A run on web1 that left these snapshots.
async fn a_run(journal: &Journal, plan: &str, at: Timestamp, proof: &str, snapshots: &[&str]) -> Result<()> {
    let run = RunId::scheduled(plan, "web1", at);
    let (plan, host, kind) = (plan.to_owned(), "web1".to_owned(), RunKind::Full);
    let steps: Vec<_> =
        snapshots.iter().map(|snapshot| serde_json::json!({ "outcome": { "snapshot": snapshot } })).collect();
    let record = Some(serde_json::json!({ "proof": proof, "steps": steps }));
    let planned = Event::RunPlanned {
        run: run.clone(),
        plan,
        plan_version: "v1".into(),
        host,
        due: at,
        kind,
        origin: Origin::Schedule,
    };
    let started = Event::RunStarted { run: run.clone(), attempt: 1 };
    let ended = Event::RunEnded { run, ending: Ending::Done, reason: None, record };
    Ok(journal.append_all(at, vec![planned, started, ended]).await?)
}

#[tokio::test]
async fn the_journal_knows_what_runs_have_proven() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let journal = Journal::open(&folder.path().join("journal.db")).await?;
    let mut at: Timestamp = "2026-11-22T00:00:00Z".parse()?;
    for (plan, proof, snapshots) in
        [("etc", "L3", ["a1", "a2"]), ("etc", "L0", ["b1", "b2"]), ("web", "L4", ["c1", "c2"])]
    {
        at += SignedDuration::from_hours(1);
        a_run(&journal, plan, at, proof, &snapshots).await?;
    }
    ensure!(journal.proven_snapshots("etc").await? == ["a1", "a2"]);
    ensure!(journal.proven_snapshots("web").await? == ["c1", "c2"]);
    ensure!(journal.proven_snapshots("none").await?.is_empty());
    Ok(())
}

/// A drill that proves, when the file that waits longest was restored then.
fn proven(oldest: &str) -> Result<DrillEnd> {
    let coverage = Coverage { files: 2, bytes: 20, restored_files: 1, restored_bytes: 10, oldest: oldest.parse()? };
    let sample = Some(Sampled { seed: 1, files: 1, bytes: 10, coverage });
    let (ending, proof) = (DrillEnding::Proven, Some("L3".to_owned()));
    Ok(DrillEnd::Over(Box::new(DrillReport { ending, reason: None, proof, sample, record: None })))
}

#[tokio::test]
async fn proofs_and_promises_that_lapse_are_told_once_and_so_is_their_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = SetClock(Arc::new(Mutex::new("2026-11-01T04:00:00Z".parse()?)));
    {
        let journal = Journal::open(&folder.path().join("journal.db")).await?;
        a_run(&journal, "etc", "2026-11-01T02:00:00Z".parse()?, "L0", &["a1"]).await?;
    }
    let mut life = Life::begin(folder.path(), &clock).await?;
    life.drill_order().await?.end(proven("2026-10-27T00:00:00Z")?);
    life.after_events("drill-ended", 1).await?;
    clock.set("2026-11-06T00:00:00Z")?;
    life.status().await?;
    ensure!(life.after_events("proof-lapsed", 0).await?.rows[0].state == State::Protected);

    // The promise of ten days first, then the proof, which counts for two weeks.
    clock.set("2026-11-06T00:01:01Z")?;
    life.status().await?;
    let row = life.after_events("proof-lapsed", 1).await?.rows.remove(0);
    ensure!(row.state == State::Unproven && row.lapses[0].reason.contains("10 days are promised"), "{row:?}");
    ensure!(row.sampled.as_ref().is_some_and(|sampled| sampled.kept == Some(false)), "{row:?}");
    clock.set("2026-11-15T05:00:00Z")?;
    life.status().await?;
    let row = life.after_events("proof-lapsed", 2).await?.rows.remove(0);
    ensure!(row.reason.as_deref() == Some("the newest proof is 14 days old, and counts for 14 days"), "{row:?}");
    for hour in 6..9 {
        clock.set(&format!("2026-11-15T0{hour}:00:00Z"))?;
        life.status().await?;
    }
    ensure!(life.after_events("proof-lapsed", 2).await?.rows[0].lapses.len() == 2);
    ensure!(life.journal.untold().await? == 2);

    life.drill_order().await?.end(proven("2026-11-15T00:00:00Z")?);
    life.after_events("drill-ended", 2).await?;
    clock.set("2026-11-15T10:00:00Z")?;
    life.status().await?;
    ensure!(life.after_events("lapse-ended", 2).await?.rows[0].state == State::Protected);
    ensure!(life.journal.untold().await? == 4);
    life.journal.verify().await?;
    life.crash().await?;
    Ok(())
}

#[tokio::test]
async fn it_is_proven_by_a_rhythm_that_the_own_state_is_enough_to_begin_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = SetClock(Arc::new(Mutex::new("2026-11-01T02:00:00Z".parse()?)));
    let mut life = Life::begin(folder.path(), &clock).await?;
    ensure!(life.status().await?.own_state[0].next_proof.is_none() && life.due.state_proofs.try_recv().is_err());
    clock.set("2026-11-01T03:00:00Z")?;
    let stored = StoredState { snapshot: Some("ab12".into()), entry: 3, hash: "00".into(), files: 3, bytes: 9 };
    life.state_order().await?.end(Ok(stored));
    let order = life.proof_order().await?;
    ensure!((order.repository.as_str(), order.site.as_str()) == ("main", "test"));
    order.end(Err("its journal is damaged".into()));
    let kept = life.after_events("state-proven", 1).await?.own_state.remove(0);
    ensure!(kept.state == Keeping::Unproven && life.journal.untold().await? == 1, "{kept:?}");
    ensure!(kept.next_proof == Some("2026-12-01T03:00:00Z".parse()?), "{kept:?}");

    // Cut off, it has left no trace.
    clock.set("2026-12-01T03:00:00Z")?;
    drop(life.proof_order().await?);
    life.crash().await?;
    let mut life = Life::begin(folder.path(), &clock).await?;
    let (snapshot, time) = ("ab12".to_owned(), clock.now());
    let proven = ProvenState { snapshot, time, files: 3, entry: 3, plans: 1, hosts: 1, snapshots: 0 };
    life.proof_order().await?.end(Ok(proven.clone()));
    let kept = life.after_events("state-proven", 2).await?.own_state.remove(0);
    ensure!(kept.state != Keeping::Unproven && kept.proof.and_then(|proof| proof.proven) == Some(proven));
    ensure!(kept.next_proof == Some("2027-01-01T03:00:00Z".parse()?) && life.journal.untold().await? == 2);
    life.journal.verify().await?;
    life.crash().await?;
    Ok(())
}
