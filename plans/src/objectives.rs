//! How soon data have to be back, and how much of them may be lost: `objectives: { rto: 4h, rpo: 24h }`.

use serde::Serialize;

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::time_span::TimeSpan;
use crate::tree::{Content, Node};
use crate::values;
use crate::words::Meaning;

/// What a restore of a plan's data is measured against; nothing where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Objectives {
    #[serde(rename = "rto-seconds", skip_serializing_if = "Option::is_none")]
    rto: Option<TimeSpan>,
    #[serde(rename = "rpo-seconds", skip_serializing_if = "Option::is_none")]
    rpo: Option<TimeSpan>,
}

static SHAPE: Shape =
    Shape { title: "`objectives`", keys: &[("rto", Meaning::Now("4h")), ("rpo", Meaning::Now("24h"))] };

impl Objectives {
    /// From the begin of a restore to its end, at most.
    pub fn rto(&self) -> Option<TimeSpan> {
        self.rto
    }

    /// From the restore point to the begin of the restore, at most: what was written in that time is lost.
    pub fn rpo(&self) -> Option<TimeSpan> {
        self.rpo
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let rto = fields.optional("rto", findings, values::written);
        let rpo = fields.optional("rpo", findings, values::written);
        if matches!(&node.content, Content::Mapping(entries) if entries.is_empty()) {
            let remedy = "leave the key out for none";
            findings.report(Code::EmptyCollection, &node.span, "there are no objectives in it", remedy);
        }
        Some(Self { rto, rpo })
    }
}
