//! Notices that are posted to a web server: `webhook: { url: https://chat.example.org/hook, secret-file: /etc/strongroom/hook }`.

use serde::Serialize;

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::source_path::SourcePath;
use crate::tree::Node;
use crate::url::Url;
use crate::values;
use crate::words::{self, Meaning, Word};

/// Where to post, and in which shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Webhook {
    target: Target,
    secret_file: Option<SourcePath>,
    ca_file: Option<SourcePath>,
    format: WebhookFormat,
}

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The URL itself.
    Url(Url),
    /// A file of the controller's machine whose one line is the URL: those of chat robots hold their key.
    File(SourcePath),
}

/// The shape of what is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookFormat {
    /// The notices, signed in a header.
    Json,
    /// A text message of a robot of 企业微信.
    Wecom,
    /// A text message of a robot of 钉钉, signed in the URL.
    Dingtalk,
}

static SHAPE: Shape = Shape {
    title: "`webhook`",
    keys: &[
        ("url", Meaning::Now("https://chat.example.org/hook")),
        ("url-file", Meaning::Now("/etc/strongroom/hook-url")),
        ("secret-file", Meaning::Now("/etc/strongroom/hook-secret")),
        ("ca-file", Meaning::Now("/etc/strongroom/ca.pem")),
        ("format", Meaning::Now("json")),
    ],
};

static FORMATS: &[Word<WebhookFormat>] = &[
    ("json", Meaning::Now(WebhookFormat::Json)),
    ("wecom", Meaning::Now(WebhookFormat::Wecom)),
    ("dingtalk", Meaning::Now(WebhookFormat::Dingtalk)),
];

impl Webhook {
    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// A file with the secret by which what is posted is signed.
    pub fn secret_file(&self) -> Option<&SourcePath> {
        self.secret_file.as_ref()
    }

    /// A file of certificates (PEM) that are trusted besides the system's.
    pub fn ca_file(&self) -> Option<&SourcePath> {
        self.ca_file.as_ref()
    }

    /// The shape of what is posted.
    pub fn format(&self) -> WebhookFormat {
        self.format
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let target = match fields.node("url-file") {
            Some(file) => {
                if fields.node("url").is_some() {
                    let remedy = "take one of the two out";
                    findings.report(Code::TwoWays, &file.span, "the URL is given here and by `url`", remedy);
                }
                values::written(file, findings).map(Target::File)
            }
            None => fields.required("url", findings, values::written).map(Target::Url),
        };
        let secret_file = fields.optional("secret-file", findings, values::written);
        let ca_file = fields.optional("ca-file", findings, values::written);
        let format =
            fields.optional("format", findings, |node, findings| words::word(node, "format", FORMATS, findings));
        Some(Self { target: target?, secret_file, ca_file, format: format.unwrap_or(WebhookFormat::Json) })
    }
}
