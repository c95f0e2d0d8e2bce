//! The candidates, as data: how each creates a repository, and the command for each operation.
//!
//! Settings are those that make the candidates comparable: encryption on, zstd at about level 3, owners and times kept, the
//! password or key from a file or the environment, all state under one folder. Where two ways do the same, the faster one was taken:
//! a peer should look as good here as it can.

mod commands;

use crate::site::Site;
use std::path::PathBuf;
use std::process::Command;

/// What is measured, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    FirstBackup,
    Unchanged,
    Changed,
    FullReread,
    RestoreAll,
    RestoreOne,
}

impl Operation {
    pub(crate) const ALL: [Operation; 6] = [
        Operation::FirstBackup,
        Operation::Unchanged,
        Operation::Changed,
        Operation::FullReread,
        Operation::RestoreAll,
        Operation::RestoreOne,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Operation::FirstBackup => "first backup",
            Operation::Unchanged => "unchanged run",
            Operation::Changed => "1 % changed run",
            Operation::FullReread => "full re-read",
            Operation::RestoreAll => "restore of everything",
            Operation::RestoreOne => "restore of one file",
        }
    }

    /// A word for archive names and log files.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Operation::FirstBackup => "first",
            Operation::Unchanged => "unchanged",
            Operation::Changed => "changed",
            Operation::FullReread => "full",
            Operation::RestoreAll => "restore-all",
            Operation::RestoreOne => "restore-one",
        }
    }

    pub(crate) fn is_restore(self) -> bool {
        matches!(self, Operation::RestoreAll | Operation::RestoreOne)
    }
}

/// What a candidate is to the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Ours,
    Peer,
    /// Not a backup tool, but the least that such an operation costs.
    Floor,
}

/// One candidate.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// The folder of the peers' own installations that holds it, when no package does.
    pub(crate) installed: Option<&'static str>,
    /// The settings, for the reader of the results.
    pub(crate) settings: &'static str,
    pub(crate) version: &'static [&'static str],
    pub(crate) create: fn(&Site) -> Vec<Command>,
    pub(crate) step: fn(&Site, Operation) -> Option<Step>,
}

/// One command to measure, and where its standard output goes when that is the restored file.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) command: Command,
    pub(crate) output: Option<PathBuf>,
}

impl From<Command> for Step {
    fn from(command: Command) -> Self {
        Step { command, output: None }
    }
}

impl Step {
    /// For tools whose way to restore one file is to print it.
    fn printing(command: Command, site: &Site) -> Self {
        Step { command, output: Some(site.printed_file()) }
    }
}

pub(crate) const TOOLS: [Tool; 6] = [
    Tool {
        name: "strongroom",
        role: Role::Ours,
        installed: None,
        settings: "defaults; restores are flushed, read back and compared",
        version: &["--version"],
        create: commands::create_strongroom,
        step: commands::strongroom,
    },
    Tool {
        name: "restic",
        role: Role::Peer,
        installed: None,
        settings: "repository format 2, `--compression auto` (zstd); one file by `dump`; this version restores no holes",
        version: &["version"],
        create: commands::create_restic,
        step: commands::restic,
    },
    Tool {
        name: "borg",
        role: Role::Peer,
        installed: None,
        settings: "`repokey-blake2` (as fast as `repokey` here), `zstd,3`, `extract --sparse`",
        version: &["--version"],
        create: commands::create_borg,
        step: commands::borg,
    },
    Tool {
        name: "rustic",
        role: Role::Peer,
        installed: Some("rustic-0.11.4"),
        settings: "`--set-compression 3`, `--no-scan`, `restore --sparse by-content`; one file by `dump`",
        version: &["--version"],
        create: commands::create_rustic,
        step: commands::rustic,
    },
    Tool {
        name: "bupstash",
        role: Role::Peer,
        installed: Some("bupstash-0.12.0"),
        settings: "`zstd:3`, no xattrs (its default and faster), send log; `restore --ownership`; one file by `get --pick`",
        version: &["version"],
        create: commands::create_bupstash,
        step: commands::bupstash,
    },
    Tool {
        name: "floor",
        role: Role::Floor,
        installed: None,
        settings: "first backup `tar --sparse | zstd -3 -T2`, unchanged run `find -printf` of stat fields, restore of everything `cp -a`",
        version: &["-c", "tar --version | head -n 1; zstd --version | grep -o 'v[0-9.]*'"],
        create: |_| Vec::new(),
        step: commands::floor,
    },
];
