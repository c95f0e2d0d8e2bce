//! What another site changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_plans::{Name, Site};

/// Plans and hosts that come, go, or are others under the same name. A plan is another one also when a preset of its is; calendars, limits and notifications are not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Changes {
    /// Plans.
    pub plans: Names,
    /// Hosts.
    pub hosts: Names,
}

/// Names by what becomes of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Names {
    /// Not there before.
    pub added: Vec<String>,
    /// Not there any more.
    pub removed: Vec<String>,
    /// There before, and not the same.
    pub changed: Vec<String>,
}

impl Changes {
    /// From one site to another.
    #[must_use]
    pub fn between(before: &Site, after: &Site) -> Self {
        Self { plans: names(before.plans(), after.plans()), hosts: names(before.hosts(), after.hosts()) }
    }
}

fn names<T: PartialEq>(before: &BTreeMap<Name, T>, after: &BTreeMap<Name, T>) -> Names {
    let text = |name: &Name| name.to_string();
    let is_other = |(name, value): &(&Name, &T)| before.get(name).is_some_and(|before| before != *value);
    Names {
        added: after.keys().filter(|name| !before.contains_key(name)).map(text).collect(),
        removed: before.keys().filter(|name| !after.contains_key(name)).map(text).collect(),
        changed: after.iter().filter(is_other).map(|(name, _)| name.to_string()).collect(),
    }
}
