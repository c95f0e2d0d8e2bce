//! What a change of `site.yaml` itself protects less: who may do more, what is looked after no more, and what can be deleted sooner.

use std::collections::BTreeMap;

use crate::name::Name;
use crate::people::{Person, Role};
use crate::report::listed;
use crate::site::Site;
use crate::site_repository::RepositorySpec;
use crate::weaker::{Loss, Weaker};

pub(crate) fn of_site(old: &Site, new: &Site) -> Vec<Weaker> {
    let access = |what: String| Weaker { plan: None, loss: Loss::Access, what };
    let mut weaker = Vec::new();
    for (name, before) in old.repositories() {
        let now = new.repositories().get(name);
        weaker.extend(now.and_then(|now| looked_after_less(before, now)).map(|what| {
            let what = format!("{name} {what}");
            Weaker { plan: None, loss: Loss::Proof, what }
        }));
        weaker.extend(now.and_then(|now| locked_less(before, now)).map(|what| access(format!("{name} {what}"))));
    }
    if !old.people().is_empty() && new.people().is_empty() {
        weaker.push(access("the site names nobody any more: whoever may open the socket may do everything".to_owned()));
    }
    // Where nobody was named before, naming somebody opens the socket to him.
    weaker.extend(new.people().values().flat_map(|person| granted(old, person)).map(access));
    // Where nobody was named, nobody had to agree.
    if !old.people().is_empty() && !new.people().is_empty() {
        weaker.extend(agreed_less(old, new).into_iter().map(access));
    }
    weaker
}

/// To which restores fewer people have to agree, and for how much longer what they said counts.
fn agreed_less(old: &Site, new: &Site) -> Vec<String> {
    let approvals = |site: &Site, host: &Name| {
        let host = site.hosts().get(host)?;
        Some(site.restores().approvals(site.restores().class_of(host)))
    };
    let mut fewer: BTreeMap<(u32, u32), Vec<&str>> = BTreeMap::new();
    for host in new.hosts().keys() {
        if let (Some(before), Some(now)) = (approvals(old, host), approvals(new, host))
            && now < before
        {
            fewer.entry((now, before)).or_default().push(host.as_str());
        }
    }
    let fewer = fewer.into_iter().map(|((now, before), hosts)| {
        format!("{now} must agree to a restore on {} now, was {before}", listed(hosts.into_iter()))
    });
    let [before, now] = [old, new].map(|site| site.restores());
    let spans = [
        ("an approval of a restore counts for", before.valid(), now.valid()),
        ("a request for a restore stays open for", before.expires(), now.expires()),
    ];
    let longer = spans.into_iter().filter(|(_, before, now)| now > before);
    fewer.chain(longer.map(|(what, before, now)| format!("{what} {now}, was {before}"))).collect()
}

/// What is done less for a repository.
fn looked_after_less(before: &RepositorySpec, now: &RepositorySpec) -> Option<&'static str> {
    let scrubs = |spec: &RepositorySpec| spec.maintenance().is_some_and(|maintenance| maintenance.scrub().is_some());
    match (before.maintenance().is_some(), now.maintenance().is_some()) {
        (true, false) => Some("is not maintained any more: nothing is forgotten, pruned or scrubbed"),
        _ if scrubs(before) && !scrubs(now) => {
            Some("is not scrubbed any more: what rots there is found when it is needed")
        }
        _ => None,
    }
}

/// What can be deleted sooner.
fn locked_less(before: &RepositorySpec, now: &RepositorySpec) -> Option<String> {
    match (before.immutable()?, now.immutable()) {
        (_, None) => {
            Some("is not kept immutable any more: what is stored there can be deleted once its locks end".into())
        }
        (before, Some(now)) if now < before => Some(format!("is kept immutable for {now}, was {before}")),
        _ => None,
    }
}

/// Roles that a person did not have so, and accounts that were not his.
fn granted(old: &Site, person: &Person) -> Vec<String> {
    let before = old.people().get(person.name());
    let was = |role: Role| before.and_then(|before| before.roles().get(&role));
    let roles = person.roles().iter().filter(|(role, hosts)| was(**role) != Some(*hosts));
    let roles = roles.map(|(role, hosts)| format!("{} is {role} on {hosts} now", person.name()));
    let is_new = |user: &&_| before.is_some_and(|before| !before.users().contains(user));
    let users = person.users().iter().filter(is_new);
    let users = users.map(|user| format!("the account {} is {} now", user.as_str(), person.name()));
    roles.chain(users).collect()
}
