//! The command lines of the candidates.
//!
//! Everybody is started in the source and backs up `.`, where that is possible, so that restored trees lie where they are looked for.

use super::{Operation, Step};
use crate::site::Site;
use std::path::Path;
use std::process::Command;

pub(super) fn create_strongroom(site: &Site) -> Vec<Command> {
    let mut init = site.command();
    init.args(["repo", "init"]).arg(site.repository_url()).arg("--key-file").arg(site.key());
    vec![init]
}

pub(super) fn strongroom(site: &Site, operation: Operation) -> Option<Step> {
    let mut command = site.command();
    command.arg(if operation.is_restore() { "restore" } else { "backup" });
    command.arg("--repo").arg(site.repository_url()).arg("--key").arg(site.key());
    match operation {
        Operation::FirstBackup | Operation::Unchanged | Operation::Changed => command.arg(site.source()),
        Operation::FullReread => command.arg("--full").arg(site.source()),
        Operation::RestoreAll => command.arg("latest").arg("--target").arg(site.target()),
        Operation::RestoreOne => {
            command.arg("latest").arg(site.source().join(site.one_file())).arg("--target").arg(site.target())
        }
    };
    Some(command.into())
}

fn restic_command(site: &Site) -> Command {
    let mut command = site.command();
    command.args(["--quiet", "--compression", "auto", "--repo"]).arg(site.repository());
    command.arg("--cache-dir").arg(site.cache()).arg("--password-file").arg(site.password());
    command
}

pub(super) fn create_restic(site: &Site) -> Vec<Command> {
    let mut init = restic_command(site);
    init.arg("init");
    vec![init]
}

pub(super) fn restic(site: &Site, operation: Operation) -> Option<Step> {
    let mut command = restic_command(site);
    match operation {
        Operation::FirstBackup | Operation::Unchanged | Operation::Changed => command.args(["backup", "."]),
        Operation::FullReread => command.args(["backup", "--force", "."]),
        Operation::RestoreAll => command.args(["restore", "latest", "--target"]).arg(site.target()),
        Operation::RestoreOne => {
            command.args(["dump", "latest"]).arg(Path::new("/").join(site.one_file()));
            return Some(Step::printing(command, site));
        }
    };
    Some(command.into())
}

fn borg_command(site: &Site) -> Command {
    let mut command = site.command();
    command.env("BORG_BASE_DIR", site.cache()).env("BORG_PASSCOMMAND", site.print_password());
    command
}

fn borg_archive(site: &Site, operation: Operation) -> std::ffi::OsString {
    let mut archive = site.repository().into_os_string();
    archive.push(format!("::{}", operation.word()));
    archive
}

pub(super) fn create_borg(site: &Site) -> Vec<Command> {
    let mut init = borg_command(site);
    init.args(["init", "--encryption", "repokey-blake2"]).arg(site.repository());
    vec![init]
}

pub(super) fn borg(site: &Site, operation: Operation) -> Option<Step> {
    let mut command = borg_command(site);
    if operation.is_restore() {
        // The newest archive is the one of the full re-read; borg extracts into its working directory.
        command.args(["extract", "--sparse"]).arg(borg_archive(site, Operation::FullReread));
        command.current_dir(site.target());
        if operation == Operation::RestoreOne {
            command.arg(site.one_file());
        }
    } else {
        command.args(["create", "--compression", "zstd,3"]);
        if operation == Operation::FullReread {
            command.arg("--files-cache=disabled");
        }
        command.arg(borg_archive(site, operation)).arg(".");
    }
    Some(command.into())
}

fn rustic_command(site: &Site) -> Command {
    let mut command = site.command();
    command.args(["--log-level", "warn", "--no-progress", "--repository"]).arg(site.repository());
    command.arg("--cache-dir").arg(site.cache()).arg("--password-file").arg(site.password());
    command
}

pub(super) fn create_rustic(site: &Site) -> Vec<Command> {
    let mut init = rustic_command(site);
    init.args(["init", "--set-compression", "3"]);
    vec![init]
}

pub(super) fn rustic(site: &Site, operation: Operation) -> Option<Step> {
    let mut command = rustic_command(site);
    match operation {
        Operation::FirstBackup | Operation::Unchanged | Operation::Changed => {
            command.args(["backup", "--no-scan", "."])
        }
        Operation::FullReread => command.args(["backup", "--no-scan", "--force", "."]),
        Operation::RestoreAll => command.args(["restore", "--sparse", "by-content", "latest"]).arg(site.target()),
        Operation::RestoreOne => {
            command.arg("dump").arg(format!("latest:{}", site.one_file().display()));
            return Some(Step::printing(command, site));
        }
    };
    Some(command.into())
}

pub(super) fn create_bupstash(site: &Site) -> Vec<Command> {
    let (mut key, mut init) = (site.command(), site.command());
    key.args(["new-key", "--output"]).arg(site.key());
    init.args(["init", "--quiet", "--repository"]).arg(site.repository());
    vec![key, init]
}

pub(super) fn bupstash(site: &Site, operation: Operation) -> Option<Step> {
    let mut command = site.command();
    command.arg(match operation {
        Operation::RestoreAll => "restore",
        Operation::RestoreOne => "get",
        _ => "put",
    });
    command.args(["--quiet", "--repository"]).arg(site.repository()).arg("--key").arg(site.key());
    if operation.is_restore() {
        command.arg("--query-cache").arg(site.cache().join("queries"));
    } else {
        command.args(["--compression", "zstd:3", "--send-log"]).arg(site.cache().join("send-log"));
    }
    let newest = format!("step={}", Operation::FullReread.word());
    match operation {
        Operation::RestoreAll => command.args(["--ownership", "--into"]).arg(site.target()).arg(newest),
        Operation::RestoreOne => {
            command.arg("--pick").arg(site.one_file()).arg(newest);
            return Some(Step::printing(command, site));
        }
        Operation::FullReread => command.args(["--no-stat-caching", &newest, "::", "."]),
        _ => command.arg(format!("step={}", operation.word())).args(["::", "."]),
    };
    Some(command.into())
}

pub(super) fn floor(site: &Site, operation: Operation) -> Option<Step> {
    let mut command = site.command();
    command.arg("-c");
    match operation {
        Operation::FirstBackup => {
            command.arg(r#"mkdir "$0" && tar --sparse -cf - . | zstd -q -3 -T2 -o "$0/tar.zst""#).arg(site.repository())
        }
        Operation::Unchanged => command.arg(r"find . -printf '%i %n %m %U %G %s %C@ %T@\n' > /dev/null"),
        Operation::RestoreAll => command.arg(r#"cp -a . "$0""#).arg(site.target()),
        Operation::Changed | Operation::FullReread | Operation::RestoreOne => return None,
    };
    Some(command.into())
}
