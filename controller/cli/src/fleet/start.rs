//! `strongroom run PLAN` where PLAN is a plan of the site: the controller runs it, and this follows.

use std::time::Duration;

use futures::future::join_all;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use strongroom_controller::daemon::Standing;
use strongroom_controller::runs::{Ending, Run};
use strongroom_proto::operator::{RunReference, StartRequest};

use super::history::Runs;
use super::{Controller, ControllerArgs, parse, refused};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::progress;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) plan: &'a str,
    pub(crate) host: Option<&'a str>,
    pub(crate) full: bool,
    pub(crate) watch: bool,
}

/// Has a plan run, on all of its hosts or on one.
pub(crate) fn start(asked: &Asked<'_>, controller: &ControllerArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = controller.connect(context)?;
    let request =
        StartRequest { plan: asked.plan.to_owned(), host: asked.host.unwrap_or_default().to_owned(), full: asked.full };
    let mut client = controller.client();
    let what = format!("run the plan {}", asked.plan);
    let started = context.wait(&what, async { client.start(request).await.map_err(refused) })?.into_inner();
    if asked.watch {
        return watch(&controller, &started.runs, context);
    }
    for run in &started.runs {
        context.say(&format!("started: strongroom runs watch {run} follows it"));
    }
    Ok(Exit::Success)
}

/// Follows runs until they have ended; the worst end decides.
pub(super) fn watch(controller: &Controller, runs: &[String], context: &Context) -> Result<Exit, Failure> {
    let bars = MultiProgress::with_draw_target(progress::target(context));
    let follow = runs.iter().map(|run| follow(controller.clone(), run, bars.add(bar(run))));
    let followed = context.wait("follow the runs", async { Ok::<_, Cause>(join_all(follow).await) })?;
    let ended = followed.into_iter().collect::<Result<Vec<Run>, Cause>>();
    let ended = ended.map_err(|cause| Failure::new("follow the runs", cause))?;
    let exit = ended.iter().map(exit_of).max_by_key(|exit| exit.code()).unwrap_or(Exit::Success);
    context.output.answer(&Runs(ended))?;
    Ok(exit)
}

async fn follow(controller: Controller, run: &str, bar: ProgressBar) -> Result<Run, Cause> {
    let reference = RunReference { run: run.to_owned() };
    let mut states = controller.client().watch(reference).await.map_err(refused)?.into_inner();
    let mut last = None;
    while let Some(document) = states.message().await.map_err(refused)? {
        let standing: Standing = parse(&document)?;
        bar.set_length(standing.doing.bytes_total);
        bar.set_position(standing.doing.bytes_done);
        bar.set_message(standing.doing.step.clone());
        last = Some(standing.run);
    }
    bar.finish_and_clear();
    last.ok_or_else(|| Cause::Absent(format!("the controller said nothing of the run {run}")))
}

fn bar(run: &str) -> ProgressBar {
    let bar = ProgressBar::no_length().with_prefix(run.to_owned());
    let template = "{prefix} {bar:20} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
    // BUG if it fails: the template is fixed.
    bar.set_style(ProgressStyle::with_template(template).expect("a template"));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn exit_of(run: &Run) -> Exit {
    match run.ended.as_ref().map(|ended| ended.ending) {
        Some(Ending::Done) => Exit::Success,
        Some(Ending::Partial) => Exit::Partial,
        Some(Ending::Unproven) => Exit::Damaged,
        _ => Exit::Failed,
    }
}
