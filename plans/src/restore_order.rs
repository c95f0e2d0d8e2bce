//! What the systems of a restore plan say about each other: names, needs and places.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::Code;
use crate::findings::Findings;
use crate::name::Name;
use crate::report::{listed, quoted};
use crate::restore_system::PlacedSystem;
use crate::words::nearest_of;

/// Reports all that does not fit together.
pub(crate) fn report_between(systems: &[PlacedSystem], findings: &mut Findings<'_>) {
    report_names_twice(systems, findings);
    report_unknown_needs(systems, findings);
    report_circles(systems, findings);
    report_places_twice(systems, findings);
    report_put_onto_each_other(systems, findings);
}

fn report_names_twice(systems: &[PlacedSystem], findings: &mut Findings<'_>) {
    for (number, system) in systems.iter().enumerate() {
        let (name, span) = &system.name;
        if systems[..number].iter().any(|other| other.name.0 == *name) {
            let reason = format!("another system of the plan is called {}", quoted(name.as_str()));
            findings.report(Code::NameTwice, span, reason, "give one of the two another name");
        }
    }
}

fn report_unknown_needs(systems: &[PlacedSystem], findings: &mut Findings<'_>) {
    let names = || systems.iter().map(|system| system.name.0.as_str());
    for (need, span) in systems.iter().flat_map(|system| &system.needs) {
        if names().any(|name| name == need.as_str()) {
            continue;
        }
        let remedy = match nearest_of(need.as_str(), names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("name a system of this plan: {}", listed(names())),
        };
        let reason = format!("the plan has no system {}", quoted(need.as_str()));
        findings.report(Code::UnknownName, span, reason, remedy);
    }
}

fn report_circles(systems: &[PlacedSystem], findings: &mut Findings<'_>) {
    let needs = |system: &PlacedSystem| system.needs.iter().map(|(name, _)| name.clone()).collect();
    let needs: BTreeMap<Name, Vec<Name>> =
        systems.iter().map(|system| (system.name.0.clone(), needs(system))).collect();
    for circle in circles(needs) {
        let next = circle.get(1).unwrap_or(&circle[0]);
        let first = systems.iter().find(|system| system.name.0 == circle[0]);
        let span = first.and_then(|system| system.needs.iter().find(|(need, _)| need == next));
        let Some((_, span)) = span else { continue };
        let shown: Vec<&str> = circle.iter().chain(circle.first()).map(Name::as_str).collect();
        let reason = format!("these systems wait for each other: {}", shown.join(" needs "));
        findings.report(Code::Circle, span, reason, "take one of the `needs` out");
    }
}

fn report_places_twice(systems: &[PlacedSystem], findings: &mut Findings<'_>) {
    for (number, placed) in systems.iter().enumerate() {
        let (Some(system), Some(span)) = (&placed.system, &placed.to_span) else { continue };
        let before = systems[..number].iter().filter_map(|other| other.system.as_ref());
        if let Some(other) = before.into_iter().find(|other| system.meets(other)) {
            let reason = format!("{} is restored to the same place", quoted(other.name().as_str()));
            let remedy = "give each system a directory of its own: what one puts there is in the other's way";
            findings.report(Code::TargetTwice, span, reason, remedy);
        }
    }
}

fn report_put_onto_each_other(systems: &[PlacedSystem], findings: &mut Findings<'_>) {
    for (number, placed) in systems.iter().enumerate() {
        let (Some(system), Some(span)) = (&placed.system, &placed.promote_span) else { continue };
        let others = systems.iter().enumerate().filter(|(other, _)| *other != number);
        let mut others = others.filter_map(|(number, other)| Some((number, other.system.as_ref()?)));
        // Where both are put somewhere, it is told of the second.
        let met =
            others.find(|(other, met)| system.is_put_onto(met) && (met.promote_to().is_none() || *other < number));
        if let Some((_, other)) = met {
            let reason = format!("{} is used there, too", quoted(other.name().as_str()));
            findings.report(Code::TargetTwice, span, reason, "put each where nothing of another lies");
        }
    }
}

/// Circles that have no system in common, each from its first name on.
fn circles(mut needs: BTreeMap<Name, Vec<Name>>) -> Vec<Vec<Name>> {
    let mut circles = Vec::new();
    loop {
        // What waits for nobody that is left is in no circle.
        while let Some(free) = needs.iter().find(|(_, of)| !of.iter().any(|need| needs.contains_key(need))) {
            let free = free.0.clone();
            needs.remove(&free);
        }
        let Some(start) = needs.keys().next().cloned() else { return circles };
        let circle = circle_from(start, &needs);
        circle.iter().for_each(|name| drop(needs.remove(name)));
        circles.push(circle);
    }
}

/// Where everybody waits for somebody, a way along the needs comes to a circle.
fn circle_from(start: Name, needs: &BTreeMap<Name, Vec<Name>>) -> Vec<Name> {
    let (mut way, mut on_way, mut next) = (Vec::new(), BTreeSet::new(), Some(start));
    while let Some(name) = next.take_if(|name| on_way.insert(name.clone())) {
        next = needs.get(&name).and_then(|of| of.iter().find(|need| needs.contains_key(*need))).cloned();
        way.push(name);
    }
    let mut circle = way.split_off(way.iter().position(|name| Some(name) == next.as_ref()).unwrap_or_default());
    let first = (0..circle.len()).min_by_key(|index| &circle[*index]).unwrap_or_default();
    circle.rotate_left(first);
    circle
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(needs: &[(&str, &[&str])]) -> Vec<String> {
        let name = |name: &&str| name.parse::<Name>().unwrap();
        let needs = needs.iter().map(|(system, of)| (name(system), of.iter().map(name).collect())).collect();
        let shown = |circle: &Vec<Name>| circle.iter().map(Name::as_str).collect::<Vec<_>>().join(" > ");
        circles(needs).iter().map(shown).collect()
    }

    #[test]
    fn circles_are_found_whatever_leads_to_them() {
        assert_eq!(found(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]), [""; 0]);
        assert_eq!(found(&[("a", &["a"])]), ["a"]);
        assert_eq!(found(&[("a", &["x"]), ("b", &["d", "c"]), ("c", &["b"]), ("d", &[]), ("e", &["b"])]), ["b > c"]);
        assert_eq!(
            found(&[("c", &["a"]), ("b", &["c"]), ("a", &["b"]), ("x", &["y"]), ("y", &["x"])]),
            ["a > b > c", "x > y"]
        );
    }
}
