//! What a check may take: `limits: { time: 30m, cpu: 5m, memory: 2 GiB }` in `prove:`.

use std::fmt;

use serde::Serialize;

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::size::ByteSize;
use crate::time_span::TimeSpan;
use crate::tree::{Content, Node};
use crate::values;
use crate::words::Meaning;

/// What each check may take; ten minutes, and nothing else is bounded, where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckLimits {
    #[serde(rename = "time-seconds", skip_serializing_if = "Option::is_none")]
    time: Option<TimeSpan>,
    #[serde(rename = "cpu-seconds", skip_serializing_if = "Option::is_none")]
    cpu: Option<TimeSpan>,
    #[serde(rename = "memory-bytes", skip_serializing_if = "Option::is_none")]
    memory: Option<ByteSize>,
}

static SHAPE: Shape = Shape {
    title: "`limits` of checks",
    keys: &[("time", Meaning::Now("30m")), ("cpu", Meaning::Now("5m")), ("memory", Meaning::Now("2 GiB"))],
};

impl CheckLimits {
    /// When it is ended, by the clock.
    pub fn time(&self) -> Option<TimeSpan> {
        self.time
    }

    /// How long each of its processes may compute.
    pub fn cpu(&self) -> Option<TimeSpan> {
        self.cpu
    }

    /// How much memory each of its processes may have, as addresses.
    pub fn memory(&self) -> Option<ByteSize> {
        self.memory
    }

    /// Whether nothing is said.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let limits = Self {
            time: fields.optional("time", findings, values::written),
            cpu: fields.optional("cpu", findings, values::written),
            memory: fields.optional("memory", findings, values::written),
        };
        if matches!(&node.content, Content::Mapping(entries) if entries.is_empty()) {
            let reason = "there are no limits in it";
            findings.report(Code::EmptyCollection, &node.span, reason, "leave the key out for none");
        }
        Some(limits)
    }
}

impl fmt::Display for CheckLimits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.map(|time| format!("{time} of time"));
        let cpu = self.cpu.map(|cpu| format!("{cpu} of processor time"));
        let memory = self.memory.map(|memory| format!("{memory} of memory"));
        out.write_str(&time.into_iter().chain(cpu).chain(memory).collect::<Vec<_>>().join(", "))
    }
}
