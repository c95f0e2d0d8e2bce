//! `strongroom status`: what is protected, overdue, unproven.

use std::io::{self, Write};

use clap::Args;
use serde::{Deserialize, Serialize};
use strongroom_controller::status::{
    FollowUp, Keeping, KeptState, Protection, State, StateProof, Status, UpkeepState, Upkept,
};
use strongroom_proto::operator::StatusRequest;

use super::ControllerArgs;
use crate::choice::short_id;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::repo::promised;
use crate::shown::{Align, Table, time};

/// Show what is protected, overdue or unproven, the worst first
#[derive(Debug, Args)]
#[command(after_help = "\
Asks the running controller. Ends with 0 when every plan has a restore point in time on each of its \
hosts, proven as the plan demands (or was not due yet), every repository that the controller maintains \
was maintained in time with nothing wrong, and each has the controller's own state of the last day, else with 4: fit for a monitoring check.

Examples:
  strongroom status
  strongroom status --json | jq -r '.rows[] | select(.state == \"overdue\") | .host'
  strongroom status --quiet || page-someone")]
pub(crate) struct StatusArgs {
    /// Print only what is not protected
    #[arg(long)]
    quiet: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(crate) fn run(args: &StatusArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let mut status: Status = controller.ask("show the status", context, client.status(StatusRequest {}))?;
    let exit = if status.is_good() { Exit::Success } else { Exit::Damaged };
    if args.quiet {
        status.rows.retain(|row| row.state < State::New);
        status.repositories.retain(|upkept| upkept.state < UpkeepState::New);
        status.own_state.retain(|kept| kept.state < Keeping::New);
    }
    context.output.answer(&Shown(status))?;
    Ok(exit)
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Shown(Status);

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("STATE", Align::Left),
            ("PLAN", Align::Left),
            ("HOST", Align::Left),
            ("RESTORE POINT", Align::Left),
            ("PROOF", Align::Left),
            ("NEXT", Align::Left),
            ("", Align::Left),
        ]);
        self.0.rows.iter().for_each(|row| table.row(cells(row)));
        table.write(out)?;
        let counts = self.0.counts();
        let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {}", word(*state))).collect();
        writeln!(out, "{}", if counts.is_empty() { "no plan has a host".into() } else { counts.join(", ") })?;
        write_upkeep(&self.0.repositories, out)?;
        write_own_state(&self.0.own_state, out)?;
        self.0.follow_ups.iter().try_for_each(|owed| write_follow_up(owed, out))
    }
}

/// Where the controller's own state is kept, and how old it is.
fn write_own_state(kept: &[KeptState], out: &mut dyn Write) -> io::Result<()> {
    if kept.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[
        ("STATE", Align::Left),
        ("CONTROLLER IN", Align::Left),
        ("OF", Align::Left),
        ("SNAPSHOT", Align::Left),
        ("PROVEN", Align::Left),
        ("NEXT", Align::Left),
        ("", Align::Left),
    ]);
    for kept in kept {
        let snapshot = kept.stored.as_ref().and_then(|stored| stored.snapshot.as_deref());
        table.row([
            keeping_word(kept.state).into(),
            kept.repository.clone(),
            kept.time.map_or("never".into(), time),
            snapshot.map_or("-".into(), short_id),
            kept.proof.as_ref().map_or("-".into(), proven),
            kept.next.map_or("now".into(), time),
            what_failed(kept),
        ]);
    }
    writeln!(out)?;
    table.write(out)
}

fn proven(proof: &StateProof) -> String {
    if proof.proven.is_some() { time(proof.began) } else { "NO".into() }
}

/// Storing it comes first: without that there is nothing to begin with.
fn what_failed(kept: &KeptState) -> String {
    let stored = kept.reason.as_ref().map(|reason| format!("the last attempt failed: {reason}"));
    let proof = kept.proof.as_ref().and_then(|proof| proof.reason.as_ref());
    stored.or_else(|| proof.map(|reason| format!("it cannot be begun again: {reason}"))).unwrap_or_default()
}

fn keeping_word(state: Keeping) -> &'static str {
    match state {
        Keeping::Overdue => "OVERDUE",
        Keeping::Unproven => "UNPROVEN",
        Keeping::New => "new",
        Keeping::Kept => "kept",
    }
}

fn write_follow_up(owed: &FollowUp, out: &mut dyn Write) -> io::Result<()> {
    let FollowUp { request, source, host, by, since } = owed;
    writeln!(
        out,
        "FOLLOW-UP OWED: {request}, a restore by break-glass from {source} to {host} that {by} asked for, begun {}: strongroom restore show {request}",
        time(*since)
    )
}

/// The repositories that the controller maintains, if there are any.
fn write_upkeep(repositories: &[Upkept], out: &mut dyn Write) -> io::Result<()> {
    if repositories.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[
        ("STATE", Align::Left),
        ("REPOSITORY", Align::Left),
        ("MAINTAINED", Align::Left),
        ("SCRUB", Align::Left),
        ("NEXT", Align::Left),
        ("", Align::Left),
    ]);
    for upkept in repositories {
        let promise = upkept.last.as_ref().and_then(|last| last.figures.scrub.as_ref()?.promise.as_ref());
        let running = upkept.running_since.map(|since| format!("running since {}", time(since)));
        table.row([
            upkeep_word(upkept.state).into(),
            upkept.repository.clone(),
            upkept.last.as_ref().map_or("never".into(), |last| time(last.began)),
            promise.map_or("-".into(), promised),
            upkept.next.map_or("-".into(), time),
            running.or_else(|| upkept.reason.clone()).unwrap_or_default(),
        ]);
    }
    writeln!(out)?;
    table.write(out)
}

fn upkeep_word(state: UpkeepState) -> &'static str {
    match state {
        UpkeepState::Failed => "FAILED",
        UpkeepState::Overdue => "OVERDUE",
        UpkeepState::New => "new",
        UpkeepState::Maintained => "maintained",
    }
}

fn cells(row: &Protection) -> [String; 7] {
    let point = row.restore_point.as_ref();
    let snapshots = point.map(|point| point.snapshots.iter().map(|id| short_id(id)).collect::<Vec<_>>().join(" "));
    let going_on = row.running.as_ref().map(|run| format!("running: {run}"));
    [
        word(row.state).into(),
        row.plan.clone(),
        row.host.clone(),
        point.map_or("none".into(), |point| format!("{} {}", time(point.time), snapshots.unwrap_or_default())),
        proof(row),
        row.next.map_or("-".into(), time),
        going_on.or_else(|| row.reason.clone()).unwrap_or_default(),
    ]
}

/// What is proven of the restore point; where that is less, the newest proof of another one, with its time.
fn proof(row: &Protection) -> String {
    let own = row.restore_point.as_ref().and_then(|point| point.proof.clone());
    match &row.newest_proof {
        Some(proof) if own.as_ref() != Some(&proof.level) => {
            let level = proof.sample.as_ref().map(|sample| sample.qualify(&proof.level));
            format!("{} {}", level.as_ref().unwrap_or(&proof.level), time(proof.at))
        }
        _ => own.unwrap_or_else(|| "-".into()),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Unprotected => "UNPROTECTED",
        State::Overdue => "OVERDUE",
        State::Unproven => "UNPROVEN",
        State::New => "new",
        State::Protected => "protected",
    }
}
