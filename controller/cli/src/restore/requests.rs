//! Requests for restores as people read them.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_controller::journal::Who;
use strongroom_controller::requests::{ApprovalScope, RequestView, Standing};
use strongroom_controller::restores::{RestoreScope, is_kept, typed};
use strongroom_worker::restore::PlanSummary;

use super::looks::shown;
use super::summary::Planned;
use crate::output::Answer;
use crate::shown::{Align, Table, duration, time};

/// One request, in short.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Asked(pub(super) RequestView);

/// Several of them, in short.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct SeveralAsked(pub(super) Vec<RequestView>);

/// Requests, the newest first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Listed(pub(super) Vec<RequestView>);

/// One request, with the journal's entries about it, which are shown as they were written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Told {
    view: RequestView,
    entries: Vec<Value>,
}

impl Answer for Asked {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write_head(&self.0, out)?;
        write_next(&self.0, out)
    }
}

impl Answer for SeveralAsked {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for view in &self.0 {
            write_head(view, out)?;
            write_next(view, out)?;
        }
        Ok(())
    }
}

impl Answer for Listed {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("REQUEST", Align::Left),
            ("STATE", Align::Left),
            ("AGREE", Align::Right),
            ("FROM", Align::Left),
            ("ON", Align::Left),
            ("ASKED", Align::Left),
            ("BY", Align::Left),
            ("REASON", Align::Left),
        ]);
        self.0.iter().for_each(|view| table.row(cells(view)));
        table.write(out)
    }
}

impl Answer for Told {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write_agreed(&self.view, out)?;
        self.write_entries(out)?;
        write_next(&self.view, out)
    }
}

impl Told {
    /// What those who agree to it agree to.
    pub(super) fn scope(&self) -> &ApprovalScope {
        &self.view.request.application.scope
    }

    /// Whether a host was ever told to do it.
    pub(super) fn was_begun(&self) -> bool {
        !self.view.request.begun.is_empty()
    }

    fn write_entries(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        for entry in &self.entries {
            let at = entry["time"].as_str().and_then(|text| text.parse().ok()).map(time).unwrap_or_default();
            let event = entry["event"].as_str().unwrap_or("?");
            let by =
                serde_json::from_value::<Who>(entry["by"].clone()).map(|by| format!(" by {by}")).unwrap_or_default();
            let until = entry["until"].as_str().and_then(|text| text.parse().ok());
            let until = until.map(|until| format!(" until {}", time(until))).unwrap_or_default();
            let words = ["ending", "comment", "reason", "note"].map(|name| entry[name].as_str());
            let words: String = words.into_iter().flatten().map(|words| format!(": {words}")).collect();
            writeln!(out, "{:>8}  {at}  {event}{by}{until}{words}", entry["number"])?;
        }
        Ok(())
    }
}

/// All that whoever agrees to it agrees to.
pub(super) fn write_agreed(view: &RequestView, out: &mut dyn Write) -> io::Result<()> {
    write_head(view, out)?;
    let plan = &view.request.application.plan;
    match serde_json::from_value::<PlanSummary>(plan.clone()) {
        Ok(plan) => Planned(plan).write_plan(out),
        // Of a release with another shape: better as it is than not at all.
        Err(_) => writeln!(out, "{plan}"),
    }
}

fn write_head(view: &RequestView, out: &mut dyn Write) -> io::Result<()> {
    let (request, application) = (&view.request, &view.request.application);
    let scope = &application.scope;
    let glass = if scope.break_glass { " BY BREAK-GLASS" } else { "" };
    writeln!(out, "{}{glass}  {}", request.number, state(view))?;
    let organisation = request.by.organisation.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    let mut line = |name: &str, value: &str| writeln!(out, "  {name:<8} {value}");
    line("asked", &format!("{} by {}{organisation}", time(request.at), request.by))?;
    line("because", &application.reason)?;
    let what = if scope.restore.paths.is_empty() { "everything".into() } else { scope.restore.paths.join(" ") };
    line("what", &format!("{what} of {}, backed up {}", scope.restore.source, time(scope.restore.time)))?;
    line("loses", &loss(request.at, &scope.restore))?;
    line("where", &format!("{} on {}, which is {}", scope.restore.target, scope.restore.host, scope.class))?;
    if let Some(place) = &scope.restore.promote_to {
        line("then", &format!("may be put at {place}"))?;
    }
    let aside = if scope.restore.set_aside { ", and keep that beside" } else { "" };
    line("how", &format!("overwrite {}{aside}", scope.restore.overwrite))?;
    if let Some(part) = &scope.restore.part {
        let needs = if part.needs.is_empty() { String::new() } else { format!(", after {}", part.needs.join(", ")) };
        line("system", &format!("{} of {}{needs}", part.system, part.plan))?;
        for (before, now) in &part.addresses {
            line("address", &format!("{before} becomes {now}"))?;
        }
        for (when, command) in part.commands() {
            line(when, &shown(command))?;
        }
    }
    for command in scope.restore.checks.commands() {
        line("checked", &typed(command))?;
    }
    if let Some(why) = scope.restore.checks.left_out() {
        line("checked", &format!("NOT AT ALL: {why}"))?;
    }
    line("agree", &agreement(view))?;
    for approval in &request.approvals {
        let comment = approval.comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
        line("", &format!("{} at {}, until {}{comment}", approval.by, time(approval.at), time(approval.until)))?;
    }
    line("expires", &time(application.expires))?;
    line("plan", &application.hash)?;
    if let Some(promotion) = &request.promotion {
        line("in place", &format!("at {} since {}, by {}", promotion.to, time(promotion.at), promotion.by))?;
    }
    if let Some(aside) = request.promotion.as_ref().and_then(|promotion| promotion.aside.as_ref()) {
        line("", &format!("what was there lies in {aside}"))?;
    }
    match &request.closed {
        Some(closed) => line("closed", &format!("{} by {}: {}", time(closed.at), closed.by, closed.note)),
        None => Ok(()),
    }
}

/// What was written since the restore point is not in it.
fn loss(asked: Timestamp, restore: &RestoreScope) -> String {
    let seconds = asked.duration_since(restore.time).as_secs();
    let lost = duration(Duration::from_secs(seconds.try_into().unwrap_or_default()));
    let objective = restore.objectives.rpo_seconds.map_or_else(String::new, |rpo| {
        let verdict = if is_kept(seconds, rpo) { "kept" } else { "MISSED" };
        format!("; RPO of at most {}: {verdict}", duration(Duration::from_secs(rpo)))
    });
    let rto = restore.objectives.rto_seconds.map(|rto| format!("; RTO {}", duration(Duration::from_secs(rto))));
    format!("what was written in the {lost} from then to the request{objective}{}", rto.unwrap_or_default())
}

fn agreement(view: &RequestView) -> String {
    let needed = view.request.application.scope.approvals;
    let who = if view.agree.is_empty() { String::new() } else { format!(": {}", view.agree.join(", ")) };
    format!("{} of {needed} who must{who}", view.agree.len())
}

fn write_next(view: &RequestView, out: &mut dyn Write) -> io::Result<()> {
    view.next.iter().try_for_each(|command| writeln!(out, "  next     {command}"))
}

fn state(view: &RequestView) -> String {
    let more = match &view.request.standing {
        Standing::Rejected { by, reason } => format!(" by {by}: {reason}"),
        Standing::Withdrawn { by } => format!(" by {by}"),
        Standing::Interrupted { reason: Some(reason), .. } => format!(": {reason}"),
        Standing::Finished { ending, at } => format!(" {}: {}", time(*at), ending.word()),
        Standing::Open | Standing::Running { .. } | Standing::Interrupted { .. } => String::new(),
    };
    let owed = if view.follow_up_owed { ", FOLLOW-UP OWED" } else { "" };
    format!("{}{more}{owed}", view.state.word())
}

fn cells(view: &RequestView) -> [String; 8] {
    let (request, application) = (&view.request, &view.request.application);
    let owed = if view.follow_up_owed { ", FOLLOW-UP OWED" } else { "" };
    [
        request.number.to_string(),
        format!("{}{owed}", view.state.word()),
        format!("{}/{}", view.agree.len(), application.scope.approvals),
        application.scope.restore.source.clone(),
        application.scope.restore.host.clone(),
        time(request.at),
        request.by.to_string(),
        application.reason.clone(),
    ]
}
