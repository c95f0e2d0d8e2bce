//! `strongroom restore … --on HOST`: the running controller has one of its hosts restore.

use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use strongroom_controller::restores::{RestoreNews, RestoreScope};
use strongroom_proto::operator::{RestoreOverwrite, RestoreRequest};
use strongroom_worker::restore::{Overwrite, PlanSummary, Replaced, RestoreReport};

use super::RestoreArgs;
use super::summary::{Planned, Restored};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::fleet::{parse, refused};
use crate::output::Answer;
use crate::progress::{self, Reading};

/// What a host restored, as the journal has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct OnHost {
    restore: String,
    order: RestoreScope,
    #[serde(flatten)]
    restored: Restored,
    /// Bytes of packs that the host has read through the gateway.
    read_bytes: u64,
}

impl Answer for OnHost {
    fn write_text(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        writeln!(out, "on {}: {}", self.order.host, self.restore)?;
        self.restored.write_text(out)
    }
}

pub(super) fn run(args: &RestoreArgs, host: &str, context: &Context) -> Result<Exit, Failure> {
    let request = request(args, host, context)?;
    let controller = args.on_host.controller.connect(context)?;
    let what = format!("restore on {host}");
    let latest = Arc::new(Mutex::new(Reading::default()));
    let seen = Arc::clone(&latest);
    let bar =
        progress::watch(context, "restoring", move || seen.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let ended = context.wait(&what, async {
        let mut news = controller.client().restore(request).await.map_err(refused)?.into_inner();
        let mut last = None;
        while let Some(document) = news.message().await.map_err(refused)? {
            match parse(&document)? {
                RestoreNews::Begins { restore, .. } => context.say(&format!("{restore} begins")),
                RestoreNews::Doing { doing, bytes_done, bytes_total } => {
                    let reading = Reading { files_done: 0, bytes_done, bytes_total: Some(bytes_total), now: doing };
                    *latest.lock().unwrap_or_else(PoisonError::into_inner) = reading;
                }
                end => last = Some(end),
            }
        }
        last.ok_or_else(|| Cause::Absent("the controller ended before the restore: the same command goes on".into()))
    });
    bar.finish();
    answer(ended?, context)
}

fn answer(ended: RestoreNews, context: &Context) -> Result<Exit, Failure> {
    let understand = || "understand the host's report".to_owned();
    let program = |error: serde_json::Error| Cause::Program(Box::new(error));
    match ended {
        RestoreNews::Looked { plan, .. } => {
            let plan: PlanSummary = serde_json::from_value(plan).map_err(program).doing(understand)?;
            let exit = if plan.lacks_room() { Exit::StoreOutOfReach } else { Exit::Success };
            context.output.answer(&Planned(plan))?;
            Ok(exit)
        }
        RestoreNews::Ended { restore, order, report, read_bytes, .. } => {
            let report: RestoreReport = serde_json::from_value(report).map_err(program).doing(understand)?;
            let exit = Exit::from(&report);
            let restored = Restored { host: order.source.clone(), time: order.time, report, served: Vec::new() };
            context.output.answer(&OnHost { restore, order, restored, read_bytes })?;
            Ok(exit)
        }
        RestoreNews::Begins { .. } | RestoreNews::Doing { .. } => {
            // BUG if it comes here: only ends are kept.
            unreachable!("progress is no end")
        }
    }
}

fn request(args: &RestoreArgs, host: &str, context: &Context) -> Result<RestoreRequest, Failure> {
    if !args.target.is_absolute() {
        let why = Cause::Usage(format!("{} is not absolute", args.target.display()));
        return Err(
            Failure::new(format!("restore on {host}"), why).advise("give --target as the host has it, from / on")
        );
    }
    let options = args.options(context)?;
    Ok(RestoreRequest {
        snapshot: args.snapshot.snapshot.clone(),
        repository: args.on_host.from.clone().unwrap_or_default(),
        paths: options.paths,
        host: host.to_owned(),
        target: args.target.as_os_str().as_bytes().to_vec(),
        overwrite: match options.overwrite {
            Overwrite::Never => RestoreOverwrite::Never,
            Overwrite::Changed => RestoreOverwrite::Changed,
            Overwrite::Always => RestoreOverwrite::Always,
        }
        .into(),
        set_aside: options.replaced == Replaced::SetAside,
        owners_by_name: matches!(args.owners, super::OwnersArg::Name),
        download_bytes_per_second: 0,
        reason: args.on_host.reason.clone().unwrap_or_default(),
        dry_run: args.dry_run,
    })
}
