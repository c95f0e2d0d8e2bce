//! `strongroom site`: a site's directory.

mod check;
mod load;
mod new;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Make, check or load a site's directory
#[derive(Debug, Subcommand)]
pub(crate) enum SiteCommand {
    New(new::NewArgs),
    Check(check::CheckArgs),
    Load(load::LoadArgs),
}

impl SiteCommand {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::New(args) => new::run(args, context),
            Self::Check(args) => check::run(args, context),
            Self::Load(args) => load::run(args, context),
        }
    }
}
