//! Who is told what became of runs, and the ping whose absence tells that the controller itself is gone.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::prove::CheckCommand;
use crate::report::quoted;
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::values::{self, Refusal, Written};
use crate::words::{self, Meaning, Word};

/// Where to tell what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notification {
    to: NotifyBy,
    on: Vec<Occasion>,
}

/// The way by which something is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyBy {
    /// A POST of JSON.
    Webhook(WebAddress),
    /// A program on the controller's machine that gets the same JSON as its input.
    Command(CheckCommand),
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A run failed.
    Failed,
    /// A run was due, and never began.
    Missed,
    /// A plan has had no good run for longer than its schedule allows.
    Overdue,
    /// A good run after one of the above.
    Recovered,
}

/// A ping that says "I am here": who waits for it elsewhere knows by its absence that nobody watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeadMan {
    url: WebAddress,
    #[serde(rename = "every-seconds")]
    every: TimeSpan,
}

/// A web address, `http` or `https`. It may hold a token, so it is not for logs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebAddress(String);

/// As long as servers take.
const URL_BYTES_MAX: usize = 2048;

static SHAPE: Shape = Shape {
    title: "a notification",
    keys: &[
        ("webhook", Meaning::Now("https://chat.example.org/hook")),
        ("command", Meaning::Now("[\"/usr/local/bin/page\", \"backup\"]")),
        ("on", Meaning::Now("[failed, missed, overdue, recovered]")),
        ("smtp", Meaning::Later("let a command send the mail until then, such as [\"sendmail\", \"ops@example.org\"]")),
    ],
};

static DEAD_MAN_SHAPE: Shape = Shape {
    title: "`dead-man`",
    keys: &[("url", Meaning::Now("https://watch.example.org/ping/site")), ("every", Meaning::Now("5m"))],
};

static OCCASIONS: &[Word<Occasion>] = &[
    ("failed", Meaning::Now(Occasion::Failed)),
    ("missed", Meaning::Now(Occasion::Missed)),
    ("overdue", Meaning::Now(Occasion::Overdue)),
    ("recovered", Meaning::Now(Occasion::Recovered)),
];

impl Notification {
    /// By which way.
    pub fn to(&self) -> &NotifyBy {
        &self.to
    }

    /// On which occasions; at least one.
    pub fn on(&self) -> &[Occasion] {
        &self.on
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let webhook = fields.optional("webhook", findings, values::written).map(NotifyBy::Webhook);
        let command = fields.optional("command", findings, CheckCommand::read).map(NotifyBy::Command);
        let ways = ["webhook", "command"].iter().filter(|key| fields.node(key).is_some()).count();
        if ways != 1 && !fields.has_misspelt_key() && !fields.has_later_key() {
            let (reason, remedy) = match ways {
                0 => ("the notification goes nowhere", "add `webhook:` or `command:`"),
                _ => ("the notification goes two ways", "make two notifications of it"),
            };
            findings.report(Code::MissingKey, &node.span, reason, remedy);
        }
        let on = fields.required("on", findings, |node, findings| {
            values::list(node, "an occasion such as failed", findings, |node, findings| {
                words::word(node, "occasion", OCCASIONS, findings)
            })
        });
        Some(Self { to: webhook.or(command)?, on: on? })
    }
}

impl DeadMan {
    /// Where the ping goes.
    pub fn url(&self) -> &WebAddress {
        &self.url
    }

    /// How often.
    pub fn every(&self) -> TimeSpan {
        self.every
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &DEAD_MAN_SHAPE, findings)?;
        let url = fields.required("url", findings, values::written);
        let every = fields.required("every", findings, values::written);
        Some(Self { url: url?, every: every? })
    }
}

impl WebAddress {
    /// The address as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host with its port: what may be shown of it.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    }
}

impl FromStr for WebAddress {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let address = Self(text.to_owned());
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_web && is_plain && !address.host().is_empty() && text.len() <= URL_BYTES_MAX {
            return Ok(address);
        }
        let remedy = "write the whole address, such as https://chat.example.org/hook";
        Err(Refusal::new(format!("{} is no web address", quoted(text)), remedy))
    }
}

impl Written for WebAddress {
    const WHAT: &'static str = "a web address such as https://chat.example.org/hook";
    const CODE: Code = Code::BadUrl;
}

impl fmt::Debug for WebAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "WebAddress({})", self.host())
    }
}

impl Serialize for WebAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.host())
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Overdue => "overdue",
            Self::Recovered => "recovered",
        })
    }
}
