//! What a drill restores where that is not everything: `sample: 5 GiB`, `first: [/srv/ledger]`, `promise: 90d`.

use std::path::Path;

use serde::Serialize;

use crate::exclude::{ExcludeGlob, Excludes};
use crate::fault::Code;
use crate::fields::Fields;
use crate::findings::Findings;
use crate::prove::ProofRhythm;
use crate::size::ByteSize;
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::values::{self, Written};

/// A part of a restore point, another one by each drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sample {
    #[serde(rename = "size-bytes")]
    size: ByteSize,
    #[serde(skip_serializing_if = "Excludes::is_empty")]
    first: Excludes,
    #[serde(rename = "promise-seconds", skip_serializing_if = "Option::is_none")]
    promise: Option<TimeSpan>,
}

const KEYS_BESIDE: [&str; 2] = ["first", "promise"];

impl Sample {
    /// How much of it, beside what is always in it.
    pub fn size(&self) -> ByteSize {
        self.size
    }

    /// Within this time, every stored byte of the newest restore point is to have been restored by a drill.
    pub fn promise(&self) -> Option<TimeSpan> {
        self.promise
    }

    /// Whether each drill restores this file: a pattern of `first` matches its path, from the root on, or a directory above it.
    pub fn has_always(&self, path: &Path) -> bool {
        self.first.cover(path)
    }

    /// The patterns of what each drill restores.
    pub fn first(&self) -> &Excludes {
        &self.first
    }

    /// The most that all drills within the time of the promise restore; nothing where nothing is promised.
    pub fn reach_bytes(&self, every: ProofRhythm) -> Option<u64> {
        let drills = self.promise?.seconds() / every.longest()?.seconds();
        Some(self.size.bytes().saturating_mul(drills))
    }

    /// `every` is none where it cannot be read.
    pub(crate) fn read(fields: &Fields<'_>, every: Option<ProofRhythm>, findings: &mut Findings<'_>) -> Option<Self> {
        let Some(node) = fields.node("sample") else {
            for node in KEYS_BESIDE.iter().filter_map(|key| fields.node(key)) {
                let reason = "without a `sample`, each drill restores everything";
                findings.report(Code::KeyBeside, &node.span, reason, "add `sample: 5 GiB`, or take it out");
            }
            return None;
        };
        let size = values::written(node, findings);
        if every == Some(ProofRhythm::Run) {
            let reason = "samples are for drills, and here each run proves all that it stored";
            findings.report(Code::KeyBeside, &node.span, reason, "add `every: weekly`, or take it out");
        }
        let first = fields.optional("first", findings, |node, findings| {
            values::list(node, ExcludeGlob::WHAT, findings, values::written)
        });
        let promise = fields.optional("promise", findings, values::written);
        if let (Some(promise), Some(node)) = (promise, fields.node("promise")) {
            refuse_idle(promise, every, node, findings);
        }
        Some(Self { size: size?, first: Excludes::new(first.unwrap_or_default()), promise })
    }
}

/// A promise within which there may be no drill cannot be kept, whatever the size of the sample.
fn refuse_idle(promise: TimeSpan, every: Option<ProofRhythm>, node: &Node, findings: &mut Findings<'_>) {
    let Some((every, longest)) = every.and_then(|every| Some((every, every.longest()?))) else { return };
    if promise < longest {
        let reason = format!("within {promise} there may be no drill: they come {every}");
        findings.report(
            Code::BadTimeSpan,
            &node.span,
            reason,
            format!("promise {longest} or more, or drill more often"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(first: &[&str], promise: Option<u64>) -> Sample {
        let first = first.iter().map(|pattern| pattern.parse().unwrap()).collect();
        let size = "2 GiB".parse().unwrap();
        Sample { size, first: Excludes::new(first), promise: promise.map(TimeSpan::days) }
    }

    #[test]
    fn what_is_always_in_it_lies_at_or_below_a_path_that_matches() {
        let sample = sample(&["/srv/ledger", "*.key"], None);
        let always = |path: &str| sample.has_always(Path::new(path));
        assert!(always("/srv/ledger") && always("/srv/ledger/2026/day") && always("/etc/ssl/site.key"));
        assert!(!always("/srv/ledgers") && !always("/etc/ssl/site.pem"));
    }

    #[test]
    fn what_all_drills_of_a_promise_reach() {
        let reach = |days, every| sample(&[], days).reach_bytes(every).map(|bytes| bytes >> 30);
        assert_eq!(reach(Some(90), ProofRhythm::Weekly), Some(24));
        assert_eq!(reach(Some(90), ProofRhythm::Monthly), Some(4));
        assert_eq!([reach(None, ProofRhythm::Weekly), reach(Some(90), ProofRhythm::Run)], [None, None]);
    }
}
