//! `strongroom restore promote`: what was restored and verified is put where it is used.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;
use strongroom_proto::operator::PromoteRestoreRequest;

use super::decide::RequestArg;
use super::on_host::{answer, follow};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Put what was restored and verified where it is used, on the same host
#[derive(Debug, Args)]
#[command(after_help = "\
The place was agreed to with the request (`restore request … --promote-to DIR`). The host compares everything \
with the snapshot once more and then exchanges the two directories by one rename, so that DIR is all old or all \
new at every instant; what was there lies where the restored directory was. Both must be on one file system. Stop what \
uses DIR before, and start it after: open files stay those of the old directory.

Examples:
  strongroom restore request latest@db1 /srv/billing --on db2 --target /srv/restored --promote-to /srv/billing --reason 'INC-8841'
  strongroom restore promote HF-2026-000001 --to /srv/billing --dry-run
  strongroom restore promote HF-2026-000001 --to /srv/billing")]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    request: RequestArg,

    /// The place, as it was agreed to
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Only say whether it may be, and compare what was restored with the snapshot
    #[arg(long)]
    dry_run: bool,
}

impl PromoteArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let (request, to) = (self.request.number.clone(), self.to.as_os_str().as_bytes().to_vec());
        let what = format!("promote {request}");
        let mut client = self.request.controller.connect(context)?.client();
        let call = client.promote_restore(PromoteRestoreRequest { request, to, dry_run: self.dry_run });
        let ended = follow(&what, call, context)?;
        answer(ended, context)
    }
}
