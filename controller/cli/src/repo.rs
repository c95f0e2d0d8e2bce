//! `strongroom repo`: making a repository, and looking after one.

mod capacity;
mod check;
mod copy;
mod health;
mod init;
mod ledger;
mod list;
mod lock;
mod maintain;
mod probe;
mod protect;
mod prune;
mod quota;
mod rebuild;
mod repair;
mod scrub;
mod stats;
mod usage;

pub(crate) use init::{NewKey, create};
pub(crate) use ledger::LedgerFile;
pub(crate) use lock::extend as extend_locks;
pub(crate) use maintain::promised;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Make a repository, measure it, check it, repair it
#[derive(Debug, Subcommand)]
pub(crate) enum RepoCommand {
    Init(init::InitArgs),
    Probe(probe::ProbeArgs),
    Health(health::HealthArgs),
    Stats(stats::StatsArgs),
    List(list::ListArgs),
    Usage(usage::UsageArgs),
    Capacity(capacity::CapacityArgs),
    Quota(quota::QuotaArgs),
    Adopt(quota::AdoptArgs),
    Check(check::CheckArgs),
    Copy(copy::CopyArgs),
    Prune(prune::PruneArgs),
    Lock(lock::LockArgs),
    Protect(protect::ProtectArgs),
    Scrub(scrub::ScrubArgs),
    Repair(repair::RepairArgs),
    RebuildIndex(rebuild::RebuildArgs),
    Maintain(maintain::MaintainArgs),
}

impl RepoCommand {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Init(args) => init::run(&args, context),
            Self::Probe(args) => probe::run(&args, context),
            Self::Health(args) => health::run(&args, context),
            Self::Stats(args) => stats::run(&args, context),
            Self::List(args) => list::run(&args, context),
            Self::Usage(args) => usage::run(&args, context),
            Self::Capacity(args) => capacity::run(&args, context),
            Self::Quota(args) => quota::run(&args, context),
            Self::Adopt(args) => quota::adopt(&args, context),
            Self::Check(args) => check::run(&args, context),
            Self::Copy(args) => copy::run(&args, context),
            Self::Prune(args) => prune::run(&args, context),
            Self::Lock(args) => lock::run(&args, context),
            Self::Protect(args) => protect::run(&args, context),
            Self::Scrub(args) => scrub::run(&args, context),
            Self::Repair(args) => repair::run(&args, context),
            Self::RebuildIndex(args) => rebuild::run(&args, context),
            Self::Maintain(args) => maintain::run(&args, context),
        }
    }
}
