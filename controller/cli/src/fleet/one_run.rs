//! `strongroom runs show` and `runs retry`: one run.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_controller::daemon::Retried;
use strongroom_controller::journal::{Origin, Who};
use strongroom_controller::runs::Run;
use strongroom_proto::operator::{RetryRequest, RunReference};

use super::runs::{ChangeArgs, OneArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::{duration, size, time};

pub(super) fn show(args: &OneArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let call = client.show_run(RunReference { run: args.run.clone() });
    let view: View = controller.ask(&format!("show the run {}", args.run), context, call)?;
    context.output.answer(&view)?;
    Ok(Exit::Success)
}

pub(super) fn retry(ChangeArgs { one, dry_run }: &ChangeArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = one.controller.connect(context)?;
    let mut client = controller.client();
    let call = client.retry(RetryRequest { run: one.run.clone(), dry_run: *dry_run });
    let retried: Retried = controller.ask(&format!("repeat the run {}", one.run), context, call)?;
    context.output.answer(&Again(retried))?;
    Ok(Exit::Success)
}

/// A run with the journal's entries about it, which are shown as they were written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct View {
    run: Run,
    entries: Vec<Value>,
}

impl Answer for View {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let run = &self.run;
        let mut line = |name: &str, value: &str| writeln!(out, "{name:<12} {value}");
        line("run", run.id.as_str())?;
        line("plan", &format!("{} (version {})", run.plan, &run.plan_version[..12.min(run.plan_version.len())]))?;
        line("host", &run.host)?;
        line("reads", &run.kind.to_string())?;
        line("because", &because(&run.origin))?;
        line("due", &time(run.due))?;
        if let Some(started) = run.started {
            line("begun", &time(started))?;
        }
        line("attempts", &format!("{}, {} of them lost or failed, and tried again", run.attempts, run.lost))?;
        if let Some(why) = &run.postponed {
            line("waits", &format!("after {why}"))?;
        }
        match &run.ended {
            None if run.paused => line("state", "halted")?,
            None => line("state", if run.going { "running" } else { "waiting" })?,
            Some(ended) => {
                let took = run.started.map(|started| duration(ended.at.duration_since(started).unsigned_abs()));
                let took = took.map(|took| format!(", after {took}")).unwrap_or_default();
                line("ended", &format!("{}{took}: {}", time(ended.at), ended.ending))?;
                if let Some(reason) = &ended.reason {
                    line("reason", reason)?;
                }
                ended.snapshots.iter().try_for_each(|snapshot| line("snapshot", snapshot))?;
                line("proof", ended.proof.as_deref().unwrap_or("none"))?;
            }
        }
        self.write_steps(out)?;
        self.write_entries(out)
    }
}

impl View {
    /// The steps that the record of the end holds, with what came of each.
    fn write_steps(&self, out: &mut dyn Write) -> io::Result<()> {
        let record = self.entries.iter().map(|entry| &entry["record"]).find(|record| record.is_object());
        let steps = record.and_then(|record| record["steps"].as_array()).map(Vec::as_slice).unwrap_or_default();
        for (at, step) in steps.iter().enumerate() {
            let outcome = &step["outcome"];
            let totals = &outcome["totals"];
            let bytes = totals["bytes"].as_u64().map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
            let stored = totals["bytes-stored"].as_u64().map(|bytes| format!(", {} stored", size(bytes)));
            let fault = outcome["fault"].as_str().map(|fault| format!(": {fault}")).unwrap_or_default();
            let result = outcome["result"].as_str().unwrap_or("?");
            writeln!(out, "step {:<7} {result}{bytes}{}{fault}", at + 1, stored.unwrap_or_default())?;
        }
        Ok(())
    }

    fn write_entries(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        for entry in &self.entries {
            let at = entry["time"].as_str().and_then(|text| text.parse().ok()).map(time).unwrap_or_default();
            let event = entry["event"].as_str().unwrap_or("?");
            let attempt = entry["attempt"].as_u64().map(|attempt| format!(" attempt {attempt}")).unwrap_or_default();
            let reason = entry["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
            writeln!(out, "{:>8}  {at}  {event}{attempt}{reason}", entry["number"])?;
        }
        Ok(())
    }
}

fn because(origin: &Origin) -> String {
    let name = |who: &Who| who.name.clone().unwrap_or_else(|| format!("user {}", who.uid));
    match origin {
        Origin::Schedule => "it was due".into(),
        Origin::Asked(who) => format!("{} asked for it", name(who)),
        Origin::Retry { of, by } => format!("{} had the run {of} repeated", name(by)),
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Again(Retried);

impl Answer for Again {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Retried { repeats, run, plan, host, kind, .. } = &self.0;
        match run {
            Some(run) => {
                writeln!(out, "started {run}, which repeats {repeats}: strongroom runs watch {run} follows it")
            }
            None => {
                writeln!(out, "this would run {plan} ({kind}) on {host} now, and repeat {repeats}; nothing was done")
            }
        }
    }
}
