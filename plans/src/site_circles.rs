//! Plans that wait for each other, and hosts that are reached through each other: they would wait for ever.

use std::collections::{BTreeMap, BTreeSet};

use crate::declared::Declared;
use crate::fault::Code;
use crate::findings::Findings;
use crate::host::PlacedHost;
use crate::name::Name;
use crate::site_reader::PlanFile;

/// Each circle once, at the plan whose name comes first.
pub(crate) fn report_circles_of_plans(plans: &mut [PlanFile<'_>]) {
    let edge = |plan: &PlanFile<'_>| {
        let ((name, _), (after, _)) = (plan.draft.name.clone()?, plan.draft.after.clone()?);
        Some((name, after))
    };
    let edges: BTreeMap<Name, Name> = plans.iter().filter_map(edge).collect();
    for circle in circles(&edges) {
        let is_first = |plan: &&mut PlanFile<'_>| plan.draft.name.as_ref().is_some_and(|(name, _)| *name == circle[0]);
        let Some(PlanFile { findings, draft, .. }) = plans.iter_mut().find(is_first) else { continue };
        let own = draft.after.as_ref().and_then(|(_, span)| span.clone());
        let Some(span) = own.or_else(|| draft.name.as_ref().map(|(_, span)| span.clone())) else { continue };
        let reason = format!("these plans wait for each other: {}", shown(&circle, "after"));
        findings.report(Code::Circle, &span, reason, "take one of the `after` out");
    }
}

/// Each circle once, at the host whose name comes first.
pub(crate) fn report_circles_of_hosts(hosts: &Declared<PlacedHost>, findings: &mut Findings<'_>) {
    let edge = |placed: &PlacedHost| Some((placed.host.name().clone(), placed.host.jump()?.clone()));
    let edges: BTreeMap<Name, Name> = hosts.values().filter_map(edge).collect();
    for circle in circles(&edges) {
        let first = hosts.values().find(|placed| *placed.host.name() == circle[0]);
        let Some(span) = first.and_then(|placed| placed.jump_span.as_ref()) else { continue };
        let reason = format!("these hosts are reached through each other: {}", shown(&circle, "through"));
        findings.report(Code::Circle, span, reason, "name a host as `jump` that is reached without this one");
    }
}

/// Circles of "each leads to one other", each from its first name on.
fn circles(edges: &BTreeMap<Name, Name>) -> Vec<Vec<Name>> {
    let mut settled: BTreeSet<&Name> = BTreeSet::new();
    let mut circles = Vec::new();
    for start in edges.keys() {
        let mut way: Vec<&Name> = Vec::new();
        let mut on_way = BTreeSet::new();
        let mut next = Some(start);
        while let Some(name) = next.filter(|name| !settled.contains(name) && on_way.insert(*name)) {
            way.push(name);
            next = edges.get(name);
        }
        if let Some(at) = next.and_then(|name| way.iter().position(|on_way| *on_way == name)) {
            let mut circle: Vec<Name> = way[at..].iter().map(|name| (*name).clone()).collect();
            let first = (0..circle.len()).min_by_key(|index| &circle[*index]).unwrap_or_default();
            circle.rotate_left(first);
            circles.push(circle);
        }
        settled.extend(way);
    }
    circles
}

/// `a after b after a`.
fn shown(circle: &[Name], word: &str) -> String {
    let names: Vec<&str> = circle.iter().chain(circle.first()).map(Name::as_str).collect();
    names.join(&format!(" {word} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(edges: &[(&str, &str)]) -> Vec<String> {
        let edges = edges.iter().map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap())).collect();
        circles(&edges).iter().map(|circle| shown(circle, ">")).collect()
    }

    #[test]
    fn each_circle_is_found_once() {
        assert_eq!(found(&[("a", "b"), ("b", "c")]), [""; 0]);
        assert_eq!(found(&[("a", "a")]), ["a > a"]);
        assert_eq!(found(&[("a", "c"), ("b", "c"), ("c", "d"), ("d", "c")]), ["c > d > c"]);
        assert_eq!(
            found(&[("b", "a"), ("a", "c"), ("c", "b"), ("x", "y"), ("y", "x")]),
            ["a > c > b > a", "x > y > x"]
        );
    }
}
