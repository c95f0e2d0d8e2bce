//! What somebody asks for, before a host has looked at it.

use serde::{Deserialize, Serialize};
use strongroom_proto::operator::{RestoreOverwrite, RestoreRequest, RestoreUrgency};
use strongroom_repository::text::{escape, unescape};

use super::Request;
use crate::restores::PlanChecks;

/// What is to become of an order to restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// It is done at once.
    Restore,
    /// It is looked at, and becomes a request.
    File {
        /// How soon it is needed.
        urgency: Urgency,
        /// Whether it is by break-glass.
        break_glass: bool,
    },
    /// It is done as a request that was approved.
    Run(Box<Request>),
    /// What was restored as a request is put where it is used.
    Promote(Box<Request>),
}

/// How soon something is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// Some day.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// People wait for it.
    High,
}

impl From<RestoreUrgency> for Urgency {
    fn from(urgency: RestoreUrgency) -> Self {
        match urgency {
            RestoreUrgency::Low => Self::Low,
            RestoreUrgency::Normal => Self::Normal,
            RestoreUrgency::High => Self::High,
        }
    }
}

impl Request {
    /// The order that it comes to: for a look, the directory as it was asked for, so that a link that leads elsewhere by now is seen.
    #[must_use]
    pub fn order(&self, dry_run: bool) -> RestoreRequest {
        let scope = &self.application.scope.restore;
        let overwrite = match scope.overwrite.as_str() {
            "always" => RestoreOverwrite::Always,
            "changed" => RestoreOverwrite::Changed,
            _ => RestoreOverwrite::Never,
        };
        RestoreRequest {
            snapshot: format!("{}@{}", scope.snapshot, scope.source),
            repository: scope.repository.clone(),
            paths: scope.paths.iter().map(|path| unescape(path.trim_start_matches('/'))).collect(),
            host: scope.host.clone(),
            target: unescape(&self.application.target),
            overwrite: overwrite.into(),
            set_aside: scope.set_aside,
            owners_by_name: scope.owners_by_name,
            download_bytes_per_second: 0,
            reason: self.application.reason.clone(),
            dry_run,
            promote_to: scope.promote_to.as_deref().map(unescape).unwrap_or_default(),
            no_checks: matches!(scope.checks, PlanChecks::Unwanted { .. }),
            part: scope.part.as_ref().map(|part| part.reference()),
        }
    }
}

/// What a look on the host says that matters here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Looked {
    /// The paths as the snapshot has them; none for everything.
    pub paths: Vec<String>,
    /// Where the target lies, links followed. A worker of an earlier release does not say.
    pub target_real: Option<String>,
}

/// Everything that is wrong with what is asked, each with what to do; `hosts` are those of the site. A `*` is a letter like any other: nothing is matched.
#[must_use]
pub fn faults<'h>(request: &RestoreRequest, mut hosts: impl Iterator<Item = &'h str>) -> Vec<String> {
    let mut faults = Vec::new();
    if request.reason.trim().is_empty() {
        faults.push("it has no reason: say why with --reason, for those who decide".to_owned());
    }
    if !hosts.any(|host| host == request.host) {
        faults.push(format!("the site has no host '{}': `strongroom host list` names them", request.host));
    }
    let target = escape(&request.target);
    if !request.target.starts_with(b"/") {
        faults.push(format!("the target '{target}' is not absolute: write it from / on, as the host has it"));
    }
    if leads_up(&request.target) {
        faults.push(format!("the target '{target}' has '..' in it: write the directory that it leads to"));
    }
    for path in request.paths.iter().filter(|path| leads_up(path)) {
        let path = escape(path);
        faults.push(format!("the path '{path}' has '..' in it: write the path as the snapshot has it"));
    }
    if !request.promote_to.is_empty() {
        faults.extend(promotion_faults(request));
    }
    faults
}

/// What is wrong with the place at which the restored directory is to be put.
fn promotion_faults(request: &RestoreRequest) -> Vec<String> {
    let (mut faults, place) = (Vec::new(), escape(&request.promote_to));
    if !request.promote_to.starts_with(b"/") || leads_up(&request.promote_to) {
        faults.push(format!(
            "the place '{place}' is not absolute or has '..' in it: write it from / on, as the host has it"
        ));
    }
    if request.paths.len() != 1 || request.paths.iter().any(Vec::is_empty) {
        faults.push(format!("one directory is put at '{place}', so name one path of the snapshot"));
    }
    faults
}

fn leads_up(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|part| part == b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut RestoreRequest), expect: &[&str]) {
        let mut request = RestoreRequest {
            paths: vec![b"srv/billing".to_vec()],
            host: "web2".into(),
            target: b"/srv/back".to_vec(),
            reason: "INC-8841".into(),
            ..RestoreRequest::default()
        };
        change(&mut request);
        let found = faults(&request, ["web1", "web2"].into_iter());
        assert!(found.len() == expect.len(), "{found:?}");
        found.iter().zip(expect).for_each(|(found, expect)| assert!(found.contains(expect), "{found}"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_do() {
        check(|_| {}, &[]);
        check(|request| request.reason = " \n".into(), &["--reason"]);
        check(|request| request.host = "web3".into(), &["'web3'"]);
        check(|request| request.target = b"srv/back".to_vec(), &["from / on"]);
        check(|request| request.target = b"/srv/../etc".to_vec(), &["'..'"]);
        check(|request| request.target = b"/srv/..".to_vec(), &["'..'"]);
        check(|request| request.target = b"/srv/..back/a..".to_vec(), &[]);
        check(|request| request.paths = vec![b"../etc".to_vec(), b"a*".to_vec(), b"a/..".to_vec()], &["'..'", "'..'"]);
        let all =
            |request: &mut RestoreRequest| *request = RestoreRequest { target: b"..".to_vec(), ..Default::default() };
        check(|request| request.promote_to = b"/srv/billing".to_vec(), &[]);
        check(|request| request.promote_to = b"/srv/../etc".to_vec(), &["'..'"]);
        let everything = |request: &mut RestoreRequest| {
            (request.promote_to, request.paths) = (b"billing".to_vec(), Vec::new());
        };
        check(everything, &["not absolute", "one path"]);
        check(all, &["reason", "no host", "not absolute", "'..'"]);
    }
}
