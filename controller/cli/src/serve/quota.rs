//! The quotas of a site, looked at before a run begins: one that is beyond its hard limit refuses the runs that would add to it, and no others.

use std::collections::BTreeSet;

use strongroom_controller::PLAN_TAG;
use strongroom_controller::daemon::RunOrder;
use strongroom_plans::{ByteSize, Quota, Site};
use strongroom_repository::{Manifest, shares};

use crate::access::Opened;
use crate::context::Context;
use crate::failure::Failure;
use crate::room;
use crate::shown::size;

/// Why the run must not begin, if it must not. What is beyond a soft limit is told to the log.
pub(super) fn refusal(order: &RunOrder, site: &Site, opened: &Opened, context: &Context) -> Option<String> {
    let host = site.hosts().iter().find(|(name, _)| name.as_str() == order.host)?.1;
    let covers = |quota: &&Quota| quota.covers(order.plan.repository(), host, order.plan.name());
    site.quotas().iter().filter(covers).find_map(|quota| {
        let taken = match taken_bytes(quota, site, opened, context) {
            Ok(taken) => taken,
            Err(failure) => {
                // What cannot be measured refuses nothing: a backup more is better than none.
                tracing::warn!(%failure, quota = whose(quota), "a quota could not be looked at");
                return None;
            }
        };
        let is_beyond = |limit: Option<ByteSize>| limit.filter(|limit| taken >= limit.bytes());
        if let Some(hard) = is_beyond(quota.hard()) {
            return Some(format!(
                "{} take {} of the quota of {hard}: forget snapshots and prune, or raise it in site.yaml",
                whose(quota),
                size(taken)
            ));
        }
        if let Some(soft) = is_beyond(quota.soft()) {
            tracing::warn!(run = %order.run, "{} take {}, which is beyond the soft quota of {soft}", whose(quota), size(taken));
        }
        None
    })
}

/// What counts towards a quota.
fn taken_bytes(quota: &Quota, site: &Site, opened: &Opened, context: &Context) -> Result<u64, Failure> {
    if quota.is_of_all() {
        return room::stored(opened, context);
    }
    let of_hosts = quota.hosts().map(|selector| {
        let matching = site.hosts().values().filter(|host| selector.matches(host));
        matching.map(|host| host.name().as_str()).collect::<BTreeSet<&str>>()
    });
    let belongs = |manifest: &Manifest| {
        of_hosts.as_ref().is_none_or(|hosts| hosts.contains(manifest.host.as_str()))
            && quota.plan().is_none_or(|plan| manifest.tags.get(PLAN_TAG).is_some_and(|tag| tag == plan.as_str()))
    };
    context.wait("look at a quota", shares::needed_bytes(&opened.repository, belongs))
}

fn whose(quota: &Quota) -> String {
    let hosts = quota.hosts().map(|hosts| format!("hosts {}", hosts.as_str()));
    let plan = quota.plan().map(|plan| format!("plan {plan}"));
    let said: Vec<String> = hosts.into_iter().chain(plan).collect();
    let of = format!("in repository {}", quota.repository());
    if said.is_empty() { format!("all snapshots {of}") } else { format!("the snapshots of {} {of}", said.join(", ")) }
}
