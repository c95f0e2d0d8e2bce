//! The journal: what is written stays as it was written, and what cannot have happened is not written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use strongroom_controller::drill_report::DrillEnding;
use strongroom_controller::journal::{Event, Journal, JournalError, Origin};
use strongroom_controller::runs::{Ending, Run, RunId};
use strongroom_plans::RunKind;

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal.db")
    }

    async fn journal(&self) -> Result<Journal, JournalError> {
        Journal::open(&self.path()).await
    }
}

fn at(hour: i8) -> Timestamp {
    format!("2026-11-22T{hour:02}:00:00Z").parse().expect("a time")
}

fn planned(due: Timestamp, host: &str) -> (RunId, Event) {
    let run = RunId::scheduled("nightly", host, due);
    let event = Event::RunPlanned {
        run: run.clone(),
        plan: "nightly".into(),
        plan_version: "v1".into(),
        host: host.into(),
        due,
        kind: RunKind::Incremental,
        origin: Origin::Schedule,
    };
    (run, event)
}

fn started(run: &RunId, attempt: u32) -> Event {
    Event::RunStarted { run: run.clone(), attempt }
}

fn ended(run: &RunId, ending: Ending) -> Event {
    let record =
        serde_json::json!({ "proof": "L3", "steps": [{ "outcome": { "snapshot": "ab12" } }, { "outcome": {} }] });
    Event::RunEnded { run: run.clone(), ending, reason: None, record: Some(record) }
}

/// A day of two hosts: one run each, and one that was missed.
async fn fill(journal: &Journal) -> Result<Vec<RunId>> {
    let mut runs = Vec::new();
    for host in ["web1", "web2"] {
        let (run, event) = planned(at(1), host);
        journal.append(at(1), event).await?;
        journal.append(at(1), started(&run, 1)).await?;
        journal.append(at(2), ended(&run, Ending::Done)).await?;
        runs.push(run);
    }
    let (missed, event) = planned(at(3), "web1");
    journal.append(at(3), event).await?;
    journal
        .append(
            at(4),
            Event::RunEnded {
                run: missed.clone(),
                ending: Ending::Missed,
                reason: Some("it was off".into()),
                record: None,
            },
        )
        .await?;
    runs.push(missed);
    Ok(runs)
}

#[tokio::test]
async fn runs_are_what_their_entries_say() -> Result<()> {
    let scene = Scene::new()?;
    let journal = scene.journal().await?;
    let runs = fill(&journal).await?;
    let first = journal.run(&runs[0]).await?.expect("a run");
    let end = first.ended.expect("an end");
    ensure!((first.attempts, first.started, end.ending) == (1, Some(at(1)), Ending::Done));
    ensure!((end.snapshots, end.proof, end.entry) == (vec!["ab12".to_owned()], Some("L3".to_owned()), 3));
    ensure!(journal.runs(None, None, 10).await?.len() == 3);
    ensure!(journal.runs(Some("nightly"), Some("web1"), 10).await?.iter().map(|run| &run.id).eq([&runs[2], &runs[0]]));
    let ids = |found: Vec<Run>| found.into_iter().map(|run| run.id).collect::<BTreeSet<_>>();
    ensure!(ids(journal.latest_good_of_each().await?) == [runs[0].clone(), runs[1].clone()].into());
    ensure!(ids(journal.latest_of_each().await?) == [runs[2].clone(), runs[1].clone()].into());
    ensure!(journal.open_runs().await?.is_empty());
    let latest: Vec<_> = journal.runs_to_go_on_from(at(3)).await?.into_iter().map(|run| run.id).collect();
    ensure!(latest == [runs[1].clone(), runs[2].clone()], "{latest:?}");
    Ok(())
}

#[tokio::test]
async fn another_start_goes_on_with_the_same_chain() -> Result<()> {
    let scene = Scene::new()?;
    let runs = fill(&scene.journal().await?).await?;
    let journal = scene.journal().await?;
    let (count, before) = journal.verify().await?;
    ensure!(count == 8);
    journal.append(at(5), Event::ControllerStopped {}).await?;
    ensure!(journal.entries(9, 10).await?[0].previous == before);
    ensure!(journal.run(&runs[0]).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn what_cannot_have_happened_is_not_written() -> Result<()> {
    let scene = Scene::new()?;
    let journal = scene.journal().await?;
    let runs = fill(&journal).await?;
    let (unknown, _) = planned(at(9), "web9");
    let (_, again) = planned(at(1), "web1");
    for event in [
        started(&runs[0], 2),
        ended(&runs[0], Ending::Failed),
        started(&unknown, 1),
        ended(&unknown, Ending::Done),
        again,
    ] {
        let refused = journal.append(at(6), event.clone()).await;
        ensure!(matches!(refused, Err(JournalError::Impossible(_))), "{event:?}: {refused:?}");
    }
    // A refusal is no failure of the disk: the journal goes on.
    journal.append(at(6), Event::ControllerStopped {}).await?;
    ensure!(journal.verify().await?.0 == 9);
    Ok(())
}

/// Whoever can write the file can do anything with it; it shows.
async fn tampered(statement: &'static str) -> Result<String> {
    let scene = Scene::new()?;
    drop(fill(&scene.journal().await?).await?);
    sqlite(&scene.path(), "drop trigger entries_are_not_changed; drop trigger entries_are_not_removed;").await?;
    scene.journal().await?.verify().await?;
    sqlite(&scene.path(), statement).await?;
    match scene.journal().await?.verify().await {
        Ok(_) => Ok("it was not noticed".into()),
        Err(error) => Ok(strongroom_repository::chain(&error)),
    }
}

async fn sqlite(path: &Path, statements: &'static str) -> Result<()> {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await?;
    sqlx::raw_sql(statements).execute(&mut connection).await?;
    Ok(())
}

#[tokio::test]
async fn what_was_changed_later_is_found() -> Result<()> {
    for (statement, expect) in [
        (
            "update entries set text = replace(text, 'missed', 'done') where number = 8",
            "entry 8 is not what was written",
        ),
        ("update entries set time = '2026-11-22T05:00:00Z' where number = 2", "entry 2 is not what was written"),
        ("delete from entries where number = 4", "entry 5 stands where entry 4 should be"),
        ("delete from entries where number = 1", "entry 2 stands where entry 1 should be"),
        ("update entries set hash = zeroblob(32) where number = 3", "entry 3 is not what was written"),
        ("update runs set run = replace(run, 'missed', 'done')", "entry 8 is not what was written"),
        ("delete from runs where host = 'web2'", "entry 8 is not what was written"),
    ] {
        let found = tampered(statement).await?;
        ensure!(found.contains(expect), "{statement}: {found}");
    }
    Ok(())
}

#[tokio::test]
async fn the_database_refuses_changes_by_itself() -> Result<()> {
    let scene = Scene::new()?;
    drop(fill(&scene.journal().await?).await?);
    for statement in ["update entries set text = '' where number = 1", "delete from entries where number = 1"] {
        let refused = sqlite(&scene.path(), statement).await.expect_err(statement).to_string();
        ensure!(refused.contains("entries are not"), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn a_later_layout_is_refused() -> Result<()> {
    let scene = Scene::new()?;
    drop(scene.journal().await?);
    sqlite(&scene.path(), "pragma user_version = 99").await?;
    let refused = scene.journal().await;
    ensure!(matches!(refused, Err(JournalError::TooNew { found: 99, .. })), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_copy_is_whole_while_others_go_on_writing() -> Result<()> {
    let scene = Scene::new()?;
    let journal = scene.journal().await?;
    fill(&journal).await?;
    let path = scene.folder.path().join("copy.db");
    let (copied, appended) = tokio::join!(journal.copy_to(&path), journal.append(at(20), Event::ControllerStopped {}));
    appended?;
    let (entry, hash) = copied?;
    ensure!(entry == journal.newest().await? || entry + 1 == journal.newest().await?);
    let copy = Journal::open(&path).await?;
    ensure!(copy.verify().await? == (entry, hash));
    copy.close().await?;
    let left: BTreeSet<_> =
        std::fs::read_dir(scene.folder.path())?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    ensure!(!left.contains(std::ffi::OsStr::new("copy.db-wal")), "{left:?}");
    // Never into what is there already.
    ensure!(journal.copy_to(&path).await.is_err());
    Ok(())
}

/// A drill of web1 that begins at an hour, and its end.
fn drill(hour: i8, ending: DrillEnding) -> [Event; 2] {
    let (drill, snapshots) = (RunId::drilled("nightly", "web1", at(hour)), vec!["cd34".to_owned()]);
    let (plan, host) = ("nightly".to_owned(), "web1".to_owned());
    let started = Event::DrillStarted {
        drill: drill.clone(),
        plan: plan.clone(),
        plan_version: "v1".into(),
        host: host.clone(),
        snapshots: snapshots.clone(),
        due: Some(at(hour)),
        origin: Origin::Schedule,
    };
    let (began, proof) = (at(hour), Some("L3".to_owned()));
    let record = Some(serde_json::json!({ "steps": [] }));
    [
        started,
        Event::DrillEnded { drill, plan, host, began, ending, reason: None, snapshots, proof, sample: None, record },
    ]
}

#[tokio::test]
async fn drills_are_what_their_entries_say_and_go_on_one_at_a_time() -> Result<()> {
    let scene = Scene::new()?;
    let journal = scene.journal().await?;
    let runs = fill(&journal).await?;
    ensure!(journal.known_drills("nightly", "web1").await? == Default::default());
    let [first, first_end] = drill(5, DrillEnding::Proven);
    let [second, second_end] = drill(6, DrillEnding::Unproven);
    let [third, third_end] = drill(7, DrillEnding::Interrupted);
    let refused = journal.append(at(5), first_end.clone()).await;
    ensure!(matches!(refused, Err(JournalError::Impossible(_))), "an end without a start: {refused:?}");
    journal.append(at(5), first.clone()).await?;
    let refused = journal.append(at(5), second.clone()).await;
    ensure!(matches!(refused, Err(JournalError::Impossible(_))), "two at once: {refused:?}");
    ensure!(journal.open_drill().await? == Some((at(5), first)));
    ensure!(journal.known_drills("nightly", "web1").await?.was_cut_off);
    ensure!(journal.proven_snapshots("nightly").await? == ["ab12"]);
    journal.append(at(6), first_end).await?;
    ensure!(journal.proven_snapshots("nightly").await? == ["ab12", "cd34"]);
    journal.append_all(at(7), vec![second, second_end, third, third_end]).await?;

    let known = journal.known_drills("nightly", "web1").await?;
    let ending =
        |drill: &Option<strongroom_controller::drill_report::PastDrill>| drill.as_ref().map(|drill| drill.ending);
    ensure!((ending(&known.last), ending(&known.good)) == (Some(DrillEnding::Unproven), Some(DrillEnding::Proven)));
    ensure!(known.was_cut_off && journal.open_drill().await?.is_none(), "the interrupted one is due again");
    ensure!(ending(&journal.newest_drill("nightly", "web1").await?) == Some(DrillEnding::Interrupted));
    ensure!(journal.drills(None, Some("web2")).await?.is_empty() && journal.drills(None, None).await?.len() == 3);
    let record = journal.drill_record(&known.last.expect("a drill")).await?;
    ensure!(record == Some(serde_json::json!({ "steps": [] })));
    ensure!(journal.newest_point("nightly", "web1").await?.map(|run| run.id) == Some(runs[0].clone()));
    ensure!(journal.runs_of_snapshot("ab1").await?.len() == 2 && journal.runs_of_snapshot("b1").await?.is_empty());
    journal.verify().await?;
    Ok(())
}
