//! The command line as a whole: options that every command has, and the list of commands.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use strongroom_worker::ready_check::ReadyCheck;

use crate::context::Context;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::output::Format;
use crate::{
    backup, cat, check, diff, find, fleet, forget, hold, host, inspect, key, ls, mount, plan, record, recover, repo,
    restore, run, serve, site, snapshots,
};

/// Backups that were proven to come back.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, max_term_width = 110)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::TABLE), subcommand_required = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  strongroom repo init /srv/backup
  strongroom backup --repo /srv/backup /etc /home
  strongroom snapshots --repo /srv/backup
  strongroom restore --repo /srv/backup latest /etc/hosts --target /tmp/restored";

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct GlobalArgs {
    /// Print the answer as JSON: one document, or one line for each item where there may be many
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Where repositories are cached; safe to delete [default: ${XDG_CACHE_HOME:-~/.cache}/strongroom]
    #[arg(long, global = true, value_name = "DIR", env = "STRONGROOM_CACHE_DIR", hide_env_values = true)]
    pub(crate) cache_dir: Option<PathBuf>,

    /// What this host remembers of its runs [default: ${XDG_STATE_HOME:-~/.local/state}/strongroom]
    #[arg(long, global = true, value_name = "DIR", env = "STRONGROOM_STATE_DIR", hide_env_values = true)]
    pub(crate) state_dir: Option<PathBuf>,

    /// Threads that cut, compress and encrypt [default: one for each processor]
    #[arg(long, global = true, value_name = "N", env = "STRONGROOM_THREADS", hide_env_values = true)]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Say more: -v for what is done, -vv for details
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Which log lines to print, such as `debug` or `strongroom_repository=trace`
    #[arg(long, global = true, value_name = "FILTER", env = "STRONGROOM_LOG", hide_env_values = true)]
    pub(crate) log: Option<String>,
}

impl GlobalArgs {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }
}

/// The commands, in the order in which one meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::RunArgs),
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    #[command(subcommand)]
    Site(site::SiteCommand),
    #[command(subcommand)]
    Host(host::HostCommand),
    Serve(serve::ServeArgs),
    #[command(subcommand)]
    Controller(fleet::ControllerCommand),
    Status(fleet::StatusArgs),
    Runs(fleet::RunsArgs),
    #[command(subcommand)]
    Drill(fleet::DrillCommand),
    #[command(subcommand)]
    Proof(fleet::ProofCommand),
    #[command(subcommand)]
    Journal(fleet::JournalCommand),
    #[command(subcommand)]
    Record(record::RecordCommand),
    #[command(subcommand)]
    Notify(fleet::NotifyCommand),
    #[command(subcommand)]
    Repo(repo::RepoCommand),
    Backup(backup::BackupArgs),
    Snapshots(snapshots::SnapshotsArgs),
    Ls(ls::LsArgs),
    Find(find::FindArgs),
    Diff(diff::DiffArgs),
    Cat(cat::CatArgs),
    Restore(restore::RestoreArgs),
    Forget(forget::ForgetArgs),
    #[command(subcommand)]
    Hold(hold::HoldCommand),
    Mount(mount::MountArgs),
    #[command(subcommand)]
    Check(ReadyCheck),
    #[command(subcommand)]
    Key(key::KeyCommand),
    Recover(recover::RecoverArgs),
    Inspect(inspect::InspectArgs),
}

impl Command {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Repo(command) => command.run(context),
            Self::Run(args) => run::run(&args, context),
            Self::Plan(command) => command.run(context),
            Self::Site(command) => command.run(context),
            Self::Host(command) => command.run(context),
            Self::Serve(args) => serve::run(&args, context),
            Self::Controller(command) => command.run(context),
            Self::Status(args) => fleet::status(&args, context),
            Self::Runs(args) => fleet::runs(&args, context),
            Self::Drill(command) => command.run(context),
            Self::Proof(command) => command.run(context),
            Self::Journal(command) => command.run(context),
            Self::Record(command) => command.run(context),
            Self::Notify(command) => command.run(context),
            Self::Backup(args) => backup::run(&args, context),
            Self::Snapshots(args) => snapshots::run(&args, context),
            Self::Ls(args) => ls::run(&args, context),
            Self::Find(args) => find::run(&args, context),
            Self::Diff(args) => diff::run(&args, context),
            Self::Cat(args) => cat::run(&args, context),
            Self::Restore(args) => restore::run(&args, context),
            Self::Forget(args) => forget::run(&args, context),
            Self::Hold(command) => command.run(context),
            Self::Mount(args) => mount::run(&args, context),
            Self::Check(check) => check::run(&check, context),
            Self::Key(command) => command.run(context),
            Self::Recover(args) => recover::run(&args, context),
            Self::Inspect(args) => inspect::run(&args, context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        let path = format!("{path} {}", command.get_name());
        if !command.has_subcommands() {
            found.push((path, command.clone()));
            return;
        }
        for below in command.get_subcommands() {
            leaves(below, &path, found);
        }
    }

    #[test]
    fn every_command_is_sound_and_its_help_has_examples() {
        CommandLine::command().debug_assert();
        let mut found = Vec::new();
        leaves(&CommandLine::command(), "", &mut found);
        assert!(found.len() >= 8);
        for (path, command) in found {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n  strongroom "), "{path}: {help}");
        }
    }
}
