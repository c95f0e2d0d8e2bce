//! `strongroom proof`: how far each restore point is proven, by what, and how long ago.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use strongroom_controller::proofs::{Attempt, Checked, Proof, ProofStory, Prover};
use strongroom_controller::sampling::Sampled;
use strongroom_proto::operator::{ProofsRequest, SnapshotReference};

use super::ControllerArgs;
use super::drill::{come_so_far, point};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::{Align, Table, count, duration, size, time, write_listed};

/// Show how far restore points are proven
#[derive(Debug, Subcommand)]
pub(crate) enum ProofCommand {
    List(ListArgs),
    Show(ShowArgs),
}

/// List restore points with the level of their proof, by what, and its age
#[derive(Debug, Args)]
#[command(after_help = "\
Asks the running controller. Only L3 and above is a verified restore. The newest attempt counts, also \
where it failed after one that had not.

Examples:
  strongroom proof list
  strongroom proof list --plan billing --host db1
  strongroom proof list --json | jq -r '.[] | select(.level < \"L3\") | .snapshots[]'")]
pub(crate) struct ListArgs {
    /// Of this plan only
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,

    /// Of this host only
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// Show all that was done to prove a restore point: every check with what it was to say, and said
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom proof show 4f2a9c1e
  strongroom proof show 4f2a9c1e --json | jq '.attempts[0].checks'")]
pub(crate) struct ShowArgs {
    /// A snapshot of it, or the first letters of its name
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,

    #[command(flatten)]
    controller: ControllerArgs,
}

impl ProofCommand {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::List(args) => list(args, context),
            Self::Show(args) => show(args, context),
        }
    }
}

fn list(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let request =
        ProofsRequest { plan: args.plan.clone().unwrap_or_default(), host: args.host.clone().unwrap_or_default() };
    let proofs: Vec<Proof> = controller.ask("list what is proven", context, client.proofs(request))?;
    context.output.answer(&Listed(proofs))?;
    Ok(Exit::Success)
}

fn show(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let call = client.show_proof(SnapshotReference { snapshot: args.snapshot.clone() });
    let story: ProofStory = controller.ask(&format!("show what is proven of {}", args.snapshot), context, call)?;
    context.output.answer(&Shown(story))?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Listed(Vec<Proof>);

impl Answer for Listed {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let now = Timestamp::now();
        let mut table = Table::new(&[
            ("PLAN", Align::Left),
            ("HOST", Align::Left),
            ("RESTORE POINT", Align::Left),
            ("PROOF", Align::Left),
            ("BY", Align::Left),
            ("AGE", Align::Right),
            ("", Align::Left),
        ]);
        for proof in &self.0 {
            table.row([
                proof.plan.clone(),
                proof.host.clone(),
                point(Some(proof.time), &proof.snapshots),
                level(proof.level.as_deref(), proof.sample.as_ref()),
                by(&proof.by),
                duration(now.duration_since(proof.at).unsigned_abs()),
                proof.reason.clone().unwrap_or_default(),
            ]);
        }
        table.write(out)
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(ProofStory);

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let ProofStory { proof, attempts } = &self.0;
        let Proof { plan, host, run, .. } = proof;
        writeln!(out, "{plan} on {host}, {}, of the run {run}", point(Some(proof.time), &proof.snapshots))?;
        let proven = level(proof.level.as_deref(), proof.sample.as_ref());
        writeln!(out, "proof: {proven} by {}, {}", by(&proof.by), time(proof.at))?;
        if attempts.is_empty() {
            writeln!(out, "nobody has tried to prove it: strongroom drill run {plan} --host {host}")?;
        }
        attempts.iter().try_for_each(|attempt| write_attempt(attempt, out))
    }
}

fn write_attempt(attempt: &Attempt, out: &mut dyn Write) -> io::Result<()> {
    let Attempt { at, ending, reason, restored, checks, .. } = attempt;
    let sample = restored.as_ref().and_then(|restored| restored.sample.as_ref());
    let level = level(attempt.level.as_deref(), sample);
    writeln!(out, "\n{}, ended {}: {ending}, {level}", by(&attempt.by), time(*at))?;
    if let Some(reason) = reason {
        writeln!(out, "  reason    {reason}")?;
    }
    if let Some(restored) = restored {
        let proven = restored.verification;
        let (files, bytes) = (count(proven.files_equal), size(proven.bytes_equal));
        writeln!(out, "  restored  {files} files, {bytes}, equal to the hashes taken at the source")?;
        let different = restored.differences.iter().map(|problem| (problem.path.as_str(), problem.error.clone()));
        write_listed(out, "            NOT EQUAL", different, restored.differences_total)?;
    }
    if let Some(sample) = sample {
        let (files, bytes) = (count(sample.coverage.files), size(sample.coverage.bytes));
        writeln!(out, "  sample    of {files} files, {bytes}, by the seed {}", sample.seed)?;
        writeln!(out, "            all drills: {}", come_so_far(&sample.coverage))?;
    }
    checks.iter().try_for_each(|check| write_check(check, out))
}

fn write_check(check: &Checked, out: &mut dyn Write) -> io::Result<()> {
    let Checked { expected, actual, result } = check;
    writeln!(out, "  check     {}", result.command)?;
    writeln!(out, "            expected  {expected}")?;
    let how = if result.isolated { "isolated" } else { "not isolated" };
    writeln!(out, "            actual    {actual} ({how})")?;
    result.output.lines().try_for_each(|line| writeln!(out, "            | {line}"))
}

fn level(level: Option<&str>, sample: Option<&Sampled>) -> String {
    let level = level.unwrap_or("none");
    sample.map_or_else(|| level.to_owned(), |sample| sample.qualify(level))
}

fn by(prover: &Prover) -> String {
    match prover {
        Prover::Run(run) => format!("run {run}"),
        Prover::Drill(drill) => format!("drill {drill}"),
    }
}
