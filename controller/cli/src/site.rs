//! `strongroom site`: a site's directory.

mod load;
mod new;
mod people;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Make a site's directory, load it, or list its people
#[derive(Debug, Subcommand)]
pub(crate) enum SiteCommand {
    New(new::NewArgs),
    Load(load::LoadArgs),
    People(people::PeopleArgs),
}

impl SiteCommand {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::New(args) => new::run(args, context),
            Self::Load(args) => load::run(args, context),
            Self::People(args) => people::run(args, context),
        }
    }
}
