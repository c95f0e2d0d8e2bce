//! `strongroom restore HOST-OR-PLAN --at TIME --to HOST:DIR --reason TEXT`: the restore point is picked and named, and then it goes the way that the site's rules want.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use strongroom_controller::restores::{RestoreNews, RestoreScope};
use strongroom_proto::operator::{RestoreRequest, RestoreWish};

use super::on_host::{Order, answer, follow};
use super::{OnHostArgs, WhatArgs, bytes_per_second};
use crate::choice::short_id;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::shown::{duration, time};

/// A restore in one line, which the running controller has a host do.
#[derive(Debug, Args)]
#[command(next_help_heading = "In one line")]
pub(super) struct OneLineArgs {
    /// From the newest restore point at or before this time; SNAP is then a host, or a plan, whose data are meant
    #[arg(long, value_name = "TIME", requires_all = ["to", "reason"], conflicts_with = "urls")]
    pub(super) at: Option<String>,

    /// The host of the site that restores, and the directory there
    #[arg(long, value_name = "HOST:DIR", requires = "at", conflicts_with_all = ["on", "target"])]
    to: Option<String>,

    /// As of `restore request`: once restored and verified, the one PATH may be put at this place
    #[arg(long, value_name = "DIR", requires = "at")]
    promote_to: Option<PathBuf>,
}

/// What the controller's rules want where the restore is to be done.
enum Way {
    AtOnce,
    ByRequest(u32),
}

pub(super) fn run(
    (what, one, more): (&WhatArgs, &OneLineArgs, &OnHostArgs),
    at: &str,
    dry_run: bool,
    context: &Context,
) -> Result<Exit, Failure> {
    let (host, directory) = one.target()?;
    let what = WhatArgs { target: directory, snapshot: what.at(at), ..what.clone() };
    let looking = Order {
        host: &host,
        from: more.from.as_deref(),
        reason: more.reason.clone().unwrap_or_default(),
        paths: what.tree_paths()?,
        dry_run: true,
        no_checks: more.no_checks,
        promote_to: one.promote_to.as_ref().map(|place| place.as_os_str().as_bytes().to_vec()).unwrap_or_default(),
    };
    let download_bytes_per_second = bytes_per_second(more.download);
    let look = RestoreRequest { download_bytes_per_second, ..looking.request(&what, context) };
    let mut client = more.controller.connect(context)?.client();
    let looked = follow(&format!("look at {host}"), client.restore(look.clone()), context)?;
    let RestoreNews::Looked { order, approvals, .. } = &looked else { return answer(looked, context) };
    context.say(&picked(order, at, Timestamp::now()));
    if dry_run {
        return answer(looked, context);
    }
    // That very snapshot, also if there is a newer one by now.
    let snapshot = format!("{}@{}", order.snapshot, order.source);
    let request = RestoreRequest { snapshot, repository: order.repository.clone(), dry_run: false, ..look };
    let ended = match Way::of(*approvals, &request) {
        Way::AtOnce => follow(&format!("restore on {host}"), client.restore(request), context)?,
        Way::ByRequest(approvals) => {
            context.say(&format!("{approvals} must agree to a restore on {host}: this becomes a request"));
            let wish = RestoreWish { restore: Some(request), ..RestoreWish::default() };
            follow(&format!("ask for a restore on {host}"), client.request_restore(wish), context)?
        }
    };
    answer(ended, context)
}

impl Way {
    fn of(approvals: Option<u32>, request: &RestoreRequest) -> Self {
        match approvals {
            Some(approvals) if approvals > 0 => Self::ByRequest(approvals),
            // What is to be put in place is agreed to, if by nobody else.
            Some(none) if !request.promote_to.is_empty() => Self::ByRequest(none),
            _ => Self::AtOnce,
        }
    }
}

impl OneLineArgs {
    fn target(&self) -> Result<(String, PathBuf), Failure> {
        let to = self.to.as_deref().unwrap_or_default();
        match to.split_once(':') {
            Some((host, directory)) if !host.is_empty() && directory.starts_with('/') => {
                Ok((host.to_owned(), directory.into()))
            }
            _ => {
                let why = Cause::Usage(format!("'{to}' is no host and directory"));
                Err(Failure::new("restore", why).advise("write --to HOST:DIR, as in --to db2:/srv/restored"))
            }
        }
    }
}

/// Which restore point, why, and what is lost by it.
fn picked(order: &RestoreScope, at: &str, now: Timestamp) -> String {
    let lost = Duration::from_secs(now.duration_since(order.time).as_secs().try_into().unwrap_or_default());
    format!(
        "the newest restore point of {} at or before {at} is {}, of {}: what was written in the {} since is not in it",
        order.source,
        short_id(&order.snapshot),
        time(order.time),
        duration(lost)
    )
}
