//! Who may do what: pure, from the site's `people:` alone.
//!
//! Where a site names nobody, whoever may open the controller's socket (root, and the account that it runs as) may do everything, as it always was. Once it names people, everybody may open the
//! socket and each act needs a role. Root and the controller's own account keep what they could take anyway, by its files; but they are nobody in particular, so they review nothing.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use strongroom_plans::{Host, Name, Person, Role, Site};

use crate::journal::Who;

/// Something that a person does through the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Look at state, runs and hosts.
    See,
    /// Start, retry, halt or end runs.
    Run,
    /// Have a host restore: needed for the host whose data they are, and for the one that gets them.
    Restore,
    /// Ask for a restore to which others must agree: needed for the same two hosts.
    Request,
    /// Agree to such a restore, reject it, and look at it afterwards: needed for the same two hosts.
    Approve,
    /// Ask for a restore by break-glass, and be the second person who agrees to one.
    BreakGlass,
    /// Have a repository maintained, which forgets by its rules.
    Maintain,
    /// Put another site into force, and with it other people.
    LoadSite,
    /// Send test notices.
    TestNotices,
    /// Read the journal.
    ReadJournal,
}

/// What an act is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object<'s> {
    /// The site as a whole.
    Site,
    /// One host.
    Host(&'s Host),
    /// Whatever the actor has a role for: what he may not see is left out of the answer.
    Any,
}

/// Why somebody may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Nobody's account.
    #[error("{0} is the account of nobody whom the site names: `people:` in site.yaml says who may do what")]
    Stranger(String),
    /// Somebody without the role.
    #[error("{person} may not {act} {object}: that needs the role {roles}")]
    Role {
        /// Who.
        person: Name,
        /// What.
        act: Act,
        /// On what.
        object: String,
        /// Which roles would do, for people.
        roles: String,
    },
}

/// Which hosts somebody sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// All that there are, and what is known of those that are gone.
    Everything,
    /// These.
    Hosts(BTreeSet<Name>),
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::See,
        Self::Run,
        Self::Restore,
        Self::Request,
        Self::Approve,
        Self::BreakGlass,
        Self::Maintain,
        Self::LoadSite,
        Self::TestNotices,
        Self::ReadJournal,
    ];

    /// The roles that are enough for it.
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::See => &Role::ALL,
            Self::Run | Self::Restore => &[Role::Operator, Role::OnCall],
            Self::Request => &[Role::Operator, Role::OnCall, Role::Owner],
            Self::Approve => &[Role::Approver, Role::Owner],
            Self::BreakGlass => &[Role::OnCall],
            Self::Maintain => &[Role::Operator],
            Self::LoadSite | Self::TestNotices => &[Role::Security],
            Self::ReadJournal => &[Role::Auditor],
        }
    }

    /// As it stands in the journal and in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::See => "see",
            Self::Run => "run",
            Self::Restore => "restore",
            Self::Request => "request",
            Self::Approve => "approve",
            Self::BreakGlass => "break-glass",
            Self::Maintain => "maintain",
            Self::LoadSite => "load-site",
            Self::TestNotices => "test-notices",
            Self::ReadJournal => "read-journal",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::See => "look at",
            Self::Run => "start or end runs on",
            Self::Restore => "restore from or on",
            Self::Request => "ask for a restore from or on",
            Self::Approve => "decide about restores from or on",
            Self::BreakGlass => "break the glass for a restore from or on",
            Self::Maintain => "have repositories maintained on",
            Self::LoadSite => "load",
            Self::TestNotices => "send test notices of",
            Self::ReadJournal => "read the journal of",
        })
    }
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site => out.write_str("the whole site"),
            Self::Host(host) => out.write_str(host.name().as_str()),
            Self::Any => out.write_str("any host"),
        }
    }
}

impl Sight {
    /// Whether something of a host is seen.
    #[must_use]
    pub fn has(&self, host: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Hosts(hosts) => hosts.iter().any(|name| name.as_str() == host),
        }
    }
}

/// Whether somebody has the controller's files anyway.
fn owns_the_controller(who: &Who, controller: u32) -> bool {
    who.uid == 0 || who.uid == controller
}

/// The person behind an account.
#[must_use]
pub fn person<'s>(site: &'s Site, who: &Who) -> Option<&'s Person> {
    who.name.as_deref().and_then(|user| site.person_of(user))
}

/// Decides whether somebody may do something. `controller` is the uid that the controller runs as.
pub fn permit(site: &Site, who: &Who, controller: u32, act: Act, object: Object<'_>) -> Result<(), Forbidden> {
    if site.people().is_empty() {
        return Ok(());
    }
    let Some(person) = person(site, who) else {
        return match owns_the_controller(who, controller) {
            true => Ok(()),
            false => Err(Forbidden::Stranger(who.to_string())),
        };
    };
    let enough = |role: Role| act.roles().contains(&role);
    let may = match object {
        Object::Site => person.roles_everywhere().any(enough),
        Object::Host(host) => person.roles_on(host).any(enough),
        Object::Any => person.roles().keys().copied().any(enough),
    };
    if may || owns_the_controller(who, controller) {
        return Ok(());
    }
    let roles: Vec<&str> = act.roles().iter().map(|role| role.word()).collect();
    let roles = roles.join(" or ");
    Err(Forbidden::Role { person: person.name().clone(), act, object: object.to_string(), roles })
}

/// Whether a person has a role that is enough for an act on a host, or for the whole site where the site has no such host (any more). Only the role counts, not whose files somebody has.
#[must_use]
pub fn holds(site: &Site, person: &str, act: Act, host: &str) -> bool {
    let Some(person) = site.people().values().find(|found| found.name().as_str() == person) else { return false };
    let enough = |role: Role| act.roles().contains(&role);
    match site.hosts().values().find(|found| found.name().as_str() == host) {
        Some(host) => person.roles_on(host).any(enough),
        None => person.roles_everywhere().any(enough),
    }
}

/// What somebody sees who may see anything.
#[must_use]
pub fn sight(site: &Site, who: &Who, controller: u32) -> Sight {
    let Some(person) = person(site, who) else { return Sight::Everything };
    if owns_the_controller(who, controller) || person.roles_everywhere().next().is_some() {
        return Sight::Everything;
    }
    let seen = site.hosts().iter().filter(|(_, host)| person.roles_on(host).next().is_some());
    Sight::Hosts(seen.map(|(name, _)| name.clone()).collect())
}
