//! The dead man's switch: `dead-man: { url: https://monitor.example.org/ping, every: 5m }`. Its pings go out as long as the controller is well, and somebody outside alarms when they stop.

use serde::Serialize;

use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::url::Url;
use crate::values;
use crate::words::Meaning;

/// Where to ping, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeadMan {
    url: Url,
    #[serde(rename = "every-seconds")]
    every: TimeSpan,
}

static SHAPE: Shape = Shape {
    title: "`dead-man`",
    keys: &[("url", Meaning::Now("https://monitor.example.org/ping")), ("every", Meaning::Now("5m"))],
};

impl DeadMan {
    /// Where to ping.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How often.
    pub fn every(&self) -> TimeSpan {
        self.every
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let url = fields.required("url", findings, values::written);
        let every = fields.required("every", findings, values::written);
        Some(Self { url: url?, every: every? })
    }
}
