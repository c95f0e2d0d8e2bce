//! `strongroom restore … --on HOST`: the running controller has one of its hosts restore.

use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use strongroom_controller::restores::{RestoreNews, RestoreScope};
use strongroom_proto::operator::{Document, RestoreOverwrite, RestoreRequest};
use strongroom_worker::restore::{Overwrite, Owners, PlanSummary, Replaced, RestoreReport};
use tonic::{Response, Status, Streaming};

use super::checked::{write_around, write_checks};
use super::requests::Asked;
use super::summary::{Planned, Restored};
use super::{OnHostArgs, WhatArgs, bytes_per_second};
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
        self.restored.write_text(out)?;
        write_checks(&self.order.checks, &self.restored.report, out)?;
        self.order.part.as_ref().map_or(Ok(()), |part| write_around(part, &self.restored.report, out))
    }
}

pub(super) fn run(
    what: &WhatArgs,
    args: &OnHostArgs,
    host: &str,
    dry_run: bool,
    context: &Context,
) -> Result<Exit, Failure> {
    if !what.target.is_absolute() {
        let why = Cause::Usage(format!("{} is not absolute", what.target.display()));
        return Err(
            Failure::new(format!("restore on {host}"), why).advise("give --target as the host has it, from / on")
        );
    }
    let reason = args.reason.clone().unwrap_or_default();
    let (paths, no_checks) = (what.tree_paths()?, args.no_checks);
    let order = Order { host, from: args.from.as_deref(), reason, paths, dry_run, no_checks, promote_to: Vec::new() };
    let download_bytes_per_second = bytes_per_second(args.download);
    let request = RestoreRequest { download_bytes_per_second, ..order.request(what, context) };
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let ended = follow(&format!("restore on {host}"), client.restore(request), context)?;
    answer(ended, context)
}

/// Shows how far a restore is, and returns how it ended.
pub(super) fn follow(
    what: &str,
    call: impl Future<Output = Result<Response<Streaming<Document>>, Status>>,
    context: &Context,
) -> Result<RestoreNews, Failure> {
    follow_or(what, call, "the controller ended before the restore: the same command goes on", context)
}

/// The same; `cut_off` is said where nothing more is told, and it has not ended.
pub(super) fn follow_or(
    what: &str,
    call: impl Future<Output = Result<Response<Streaming<Document>>, Status>>,
    cut_off: &str,
    context: &Context,
) -> Result<RestoreNews, Failure> {
    let latest = Arc::new(Mutex::new(Reading::default()));
    let seen = Arc::clone(&latest);
    let bar =
        progress::watch(context, "restoring", move || seen.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let ended = context.wait(what, async {
        let mut news = call.await.map_err(refused)?.into_inner();
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
        last.ok_or_else(|| Cause::Absent(cut_off.to_owned()))
    });
    bar.finish();
    ended
}

/// What came of it, or would.
pub(super) fn answer(ended: RestoreNews, context: &Context) -> Result<Exit, Failure> {
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
        RestoreNews::Requested { view } | RestoreNews::Promoted { view } => {
            context.output.answer(&Asked(*view))?;
            Ok(Exit::Success)
        }
        RestoreNews::Begins { .. } | RestoreNews::Doing { .. } => {
            // BUG if it comes here: only ends are kept.
            unreachable!("progress is no end")
        }
    }
}

/// What an order says besides what the command line of every restore does.
pub(super) struct Order<'a> {
    pub(super) host: &'a str,
    /// The site's name of the repository.
    pub(super) from: Option<&'a str>,
    pub(super) reason: String,
    /// As the snapshot has them.
    pub(super) paths: Vec<Vec<u8>>,
    pub(super) dry_run: bool,
    pub(super) no_checks: bool,
    /// Where it may be put once it is verified; raw bytes.
    pub(super) promote_to: Vec<u8>,
}

impl Order<'_> {
    /// As the controller is asked for it.
    pub(super) fn request(self, what: &WhatArgs, context: &Context) -> RestoreRequest {
        let options = what.options(self.paths, context);
        RestoreRequest {
            snapshot: what.snapshot.snapshot.clone(),
            repository: self.from.unwrap_or_default().to_owned(),
            paths: options.paths,
            host: self.host.to_owned(),
            target: what.target.as_os_str().as_bytes().to_vec(),
            overwrite: match options.overwrite {
                Overwrite::Never => RestoreOverwrite::Never,
                Overwrite::Changed => RestoreOverwrite::Changed,
                Overwrite::Always => RestoreOverwrite::Always,
            }
            .into(),
            set_aside: options.replaced == Replaced::SetAside,
            owners_by_name: options.owners == Owners::ByName,
            download_bytes_per_second: 0,
            reason: self.reason,
            dry_run: self.dry_run,
            no_checks: self.no_checks,
            promote_to: self.promote_to,
            part: None,
        }
    }
}
