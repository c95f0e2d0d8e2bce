//! Who may do what: `people: { wang: { organisation: "Operator A", users: [wang], roles: { operator: tenant=north } } }`.
//!
//! A person is named once and known by the accounts of the controller's machine that are his alone. A role is held for the hosts that a selector chooses; `"*"` is the whole site. Some
//! roles judge what others do, and nobody may hold both: see [`Role::excludes`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::declared::Declared;
use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::host::{Host, UserName};
use crate::name::{Line, Name};
use crate::report::quoted;
use crate::selector::Selector;
use crate::tree::Node;
use crate::values;
use crate::words::Meaning;

/// A person of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Person {
    name: Name,
    full_name: Option<Line>,
    organisation: Option<Line>,
    users: Vec<UserName>,
    roles: BTreeMap<Role, Selector>,
}

/// What somebody is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks, and answers users who ask.
    Viewer,
    /// Runs what plans say, and restores what was approved.
    Operator,
    /// The same at night, when nobody else is there.
    OnCall,
    /// Reviews what others ask for.
    Approver,
    /// Answers for the data.
    Owner,
    /// Decides who may do what, and in which way people are told.
    Security,
    /// Reads what everybody did.
    Auditor,
}

static SHAPE: Shape = Shape {
    title: "a person",
    keys: &[
        ("full-name", Meaning::Now("Wang Fang")),
        ("organisation", Meaning::Now("Operator A")),
        ("users", Meaning::Now("[wang]")),
        ("roles", Meaning::Now("{ operator: tenant=north }")),
    ],
};

static ROLES: Shape = Shape {
    title: "`roles`",
    keys: &[
        ("viewer", Meaning::Now("\"*\"")),
        ("operator", Meaning::Now("tenant=north")),
        ("on-call", Meaning::Now("\"*\"")),
        ("approver", Meaning::Now("env=prod")),
        ("owner", Meaning::Now("system=billing")),
        ("security", Meaning::Now("\"*\"")),
        ("auditor", Meaning::Now("\"*\"")),
    ],
};

impl Person {
    /// How the site calls the person.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The name for people to read.
    pub fn full_name(&self) -> &str {
        self.full_name.as_ref().map_or(self.name.as_str(), Line::as_str)
    }

    /// For whom the person works.
    pub fn organisation(&self) -> Option<&Line> {
        self.organisation.as_ref()
    }

    /// The accounts of the controller's machine that are this person's alone; at least one.
    pub fn users(&self) -> &[UserName] {
        &self.users
    }

    /// What the person is there for, and on which hosts; at least one role.
    pub fn roles(&self) -> &BTreeMap<Role, Selector> {
        &self.roles
    }

    /// The roles that the person holds for a host.
    pub fn roles_on<'p>(&'p self, host: &'p Host) -> impl Iterator<Item = Role> + 'p {
        self.roles.iter().filter(|(_, hosts)| hosts.matches(host)).map(|(role, _)| *role)
    }

    /// The roles that the person holds for the whole site, whatever hosts it will have.
    pub fn roles_everywhere(&self) -> impl Iterator<Item = Role> {
        self.roles.iter().filter(|(_, hosts)| hosts.is_everything()).map(|(role, _)| *role)
    }

    pub(crate) fn read_all(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Declared<Self> {
        let mut owners: BTreeMap<UserName, Name> = BTreeMap::new();
        Declared::read(fields, "people", findings, |name, node, findings| Self::read(name, node, &mut owners, findings))
    }

    fn read(
        name: &Name,
        node: &Node,
        owners: &mut BTreeMap<UserName, Name>,
        findings: &mut Findings<'_>,
    ) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let full_name = fields.optional("full-name", findings, values::written);
        let organisation = fields.optional("organisation", findings, values::written);
        let users = fields.required("users", findings, |node, findings| {
            values::list(node, "an account such as wang", findings, |node, findings| {
                let user = values::written(node, findings)?;
                claim(&user, name, node, owners, findings);
                Some(user)
            })
        });
        let roles = fields.required("roles", findings, read_roles);
        Some(Self { name: name.clone(), full_name, organisation, users: users?, roles: roles? })
    }
}

/// What is done with an account is written down as one person's.
fn claim(
    user: &UserName,
    name: &Name,
    node: &Node,
    owners: &mut BTreeMap<UserName, Name>,
    findings: &mut Findings<'_>,
) {
    if let Some(other) = owners.insert(user.clone(), name.clone()) {
        let reason = format!("the account {} is that of {other} already", quoted(user.as_str()));
        findings.report(Code::NameTwice, &node.span, reason, "give each person an account that nobody else uses");
    }
}

fn read_roles(node: &Node, findings: &mut Findings<'_>) -> Option<BTreeMap<Role, Selector>> {
    let fields = Fields::of(node, &ROLES, findings)?;
    let mut roles = BTreeMap::new();
    let mut is_sound = true;
    for role in Role::ALL {
        let Some(given) = fields.node(role.word()) else { continue };
        match values::written(given, findings) {
            Some(hosts) => drop(roles.insert(role, hosts)),
            None => is_sound = false,
        }
    }
    for (role, other) in Role::ALL.into_iter().flat_map(|role| Role::ALL.map(|other| (role, other))) {
        let held = fields.node(role.word()).and(fields.node(other.word()));
        if let Some(second) = held.filter(|_| role < other && role.excludes(other)) {
            let reason = format!("nobody can be {role} and {other}: one of them judges what the other does");
            findings.report(Code::RolesExclude, &second.span, reason, "give one of the two roles to another person");
        }
    }
    if roles.is_empty() && is_sound && !fields.has_misspelt_key() {
        let reason = "a person without a role may do nothing";
        findings.report(Code::EmptyCollection, &node.span, reason, "add one, such as `viewer: \"*\"`");
    }
    (is_sound && !roles.is_empty()).then_some(roles)
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Viewer, Self::Operator, Self::OnCall, Self::Approver, Self::Owner, Self::Security, Self::Auditor];

    /// As it is written in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::OnCall => "on-call",
            Self::Approver => "approver",
            Self::Owner => "owner",
            Self::Security => "security",
            Self::Auditor => "auditor",
        }
    }

    /// Whether nobody may hold both: the three administrators (of systems, of security, of the audit) are three people, and who operates does not review.
    pub fn excludes(self, other: Self) -> bool {
        let pair = [self.min(other), self.max(other)];
        let operates = |role| matches!(role, Self::Operator | Self::OnCall);
        match pair {
            [one, Self::Auditor] => !matches!(one, Self::Viewer | Self::Auditor),
            [one, Self::Security] => operates(one),
            [Self::Operator, Self::Approver] => true,
            _ => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a table, so that whoever changes it sees all of it.
    #[test]
    fn these_roles_are_for_different_people() {
        let excluded =
            |role: Role| Role::ALL.into_iter().filter(move |other| role.excludes(*other)).collect::<Vec<_>>();
        use Role::{Approver, Auditor, OnCall, Operator, Owner, Security, Viewer};
        assert_eq!(excluded(Viewer), []);
        assert_eq!(excluded(Operator), [Approver, Security, Auditor]);
        assert_eq!(excluded(OnCall), [Security, Auditor]);
        assert_eq!(excluded(Approver), [Operator, Auditor]);
        assert_eq!(excluded(Owner), [Auditor]);
        assert_eq!(excluded(Security), [Operator, OnCall, Auditor]);
        assert_eq!(excluded(Auditor), [Operator, OnCall, Approver, Owner, Security]);
    }
}
