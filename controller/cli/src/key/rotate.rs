//! `strongroom key rotate`: a new key pair for everything that is stored from now on.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use crate::access::RepositoryArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::output::Answer;

/// Seal new data to a new key pair
#[derive(Debug, Args)]
#[command(after_help = "\
Every present holder gets the new one; nobody has to be asked. What is stored already stays as it \
is.

Examples:
  strongroom key rotate --repo /srv/backup")]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    repository: RepositoryArgs,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &RotateArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let what = format!("rotate the keys of {}", opened.location);
    let newest =
        opened.repository.history().epochs.keys().next_back().copied().unwrap_or(opened.repository.config().epoch);
    if !opened.repository.key().can_read() {
        let why = Cause::Key("this is a writer's key".into());
        return Err(Failure::new(what, why).advise("use the key of a holder"));
    }
    let epoch = if args.dry_run { newest + 1 } else { context.wait(&what, opened.repository.rotate())? };
    context.output.answer(&Rotated { epoch, dry_run: args.dry_run })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Rotated {
    epoch: u32,
    dry_run: bool,
}

impl Answer for Rotated {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.dry_run {
            true => writeln!(out, "would begin epoch {}", self.epoch),
            false => {
                writeln!(out, "epoch {} has begun: what is stored from now on is sealed to a new key pair", self.epoch)
            }
        }
    }
}
