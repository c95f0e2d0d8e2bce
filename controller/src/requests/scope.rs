//! What an approval is for, and the hash that names it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_plans::{Host, Site, TargetClass};

use super::number::RequestNumber;
use crate::restores::RestoreScope;

/// All that must be the same when it is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalScope {
    /// For which request: no approval is for two.
    pub request: RequestNumber,
    /// Which snapshot, with its whole id; which paths, as the snapshot has them; which directory of which host, links followed; how; and how it is checked.
    pub restore: RestoreScope,
    /// How much that host matters.
    pub class: TargetClass,
    /// How many must agree.
    pub approvals: u32,
    /// Whether it is by break-glass.
    pub break_glass: bool,
}

/// Digits of a hash that show that somebody has seen it: nobody guesses twelve.
pub(super) const HASH_DIGITS_MIN: usize = 12;

/// So many must agree by break-glass.
const BREAK_GLASS_APPROVALS: u32 = 1;

impl ApprovalScope {
    /// What a restore on a host takes by the rules in force; where nobody is named, nobody has to agree.
    #[must_use]
    pub fn of(request: RequestNumber, restore: RestoreScope, site: &Site, host: &Host, break_glass: bool) -> Self {
        let rules = site.restores();
        let class = rules.class_of(host);
        let usual = if site.people().is_empty() { 0 } else { rules.approvals(class) };
        let approvals = if break_glass { usual.min(BREAK_GLASS_APPROVALS) } else { usual };
        Self { request, restore, class, approvals, break_glass }
    }

    /// BLAKE3, in hex, over one JSON object: every field, sorted by name, without spaces.
    #[must_use]
    pub fn hash(&self) -> String {
        blake3::hash(&self.canonical()).to_hex().to_string()
    }

    /// The bytes over which the hash is made.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        // BUG if it fails: names and values serialise.
        serde_json::to_vec(&self.fields()).expect("a scope serialises")
    }

    /// The fields in which another one differs, each with both values.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let (was, now) = (self.fields(), now.fields());
        let names: BTreeSet<&String> = was.keys().chain(now.keys()).collect();
        let differs = |name: &String| {
            let [was, is] = [&was, &now].map(|fields| fields.get(name).unwrap_or(&Value::Null));
            (was != is).then(|| format!("{name} was {was}, is {is}"))
        };
        names.into_iter().filter_map(differs).collect()
    }

    /// All fields side by side. Those that are empty are there as well, so that nothing is the same as something that was left out.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<String, Value> {
        let RestoreScope { repository, snapshot, time, source, paths, host, target, .. } = &self.restore;
        let RestoreScope { overwrite, set_aside, owners_by_name, checks, promote_to, part, .. } = &self.restore;
        let fields: [(&str, Value); 16] = [
            ("approvals", self.approvals.into()),
            ("break-glass", self.break_glass.into()),
            ("checks", checks.canonical()),
            ("class", self.class.word().into()),
            ("host", host.as_str().into()),
            ("overwrite", overwrite.as_str().into()),
            ("owners-by-name", (*owners_by_name).into()),
            ("paths", paths.as_slice().into()),
            ("promote-to", promote_to.as_deref().into()),
            ("repository", repository.as_str().into()),
            ("request", self.request.to_string().into()),
            ("set-aside", (*set_aside).into()),
            ("snapshot", snapshot.as_str().into()),
            ("source", source.as_str().into()),
            ("target", target.as_str().into()),
            ("time", time.to_string().into()),
        ];
        // Only where it is of a plan: other hashes stay what they were before there were plans.
        // BUG if it fails: names and commands serialise.
        let part = part.iter().map(|part| ("restore-plan", serde_json::to_value(part).expect("a part serialises")));
        fields.into_iter().chain(part).map(|(name, value): (&str, Value)| (name.to_owned(), value)).collect()
    }
}
