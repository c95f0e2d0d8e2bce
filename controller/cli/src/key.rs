//! `strongroom key`: who can open a repository, who can add to it, and how a key survives on paper.

mod add;
mod list;
mod remove;
mod rotate;
mod sheet;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Let others in, or out; print a key on paper
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    Add(add::AddArgs),
    List(list::ListArgs),
    Remove(remove::RemoveArgs),
    Rotate(rotate::RotateArgs),
    Sheet(sheet::SheetArgs),
}

impl KeyCommand {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Add(args) => add::run(&args, context),
            Self::List(args) => list::run(&args, context),
            Self::Remove(args) => remove::run(&args, context),
            Self::Rotate(args) => rotate::run(&args, context),
            Self::Sheet(args) => sheet::run(&args, context),
        }
    }
}
