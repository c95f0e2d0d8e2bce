//! How the store of a repository is reached: what its location does not say.
//!
//! Files with secrets are named here; the secrets themselves stand in no file of a site.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::fault::Code;
use crate::fields::Fields;
use crate::findings::Findings;
use crate::name::Name;
use crate::prove::CheckCommand;
use crate::report::quoted;
use crate::source_path::SourcePath;
use crate::store_url::StoreKind;
use crate::url;
use crate::values::{self, Refusal, Written};
use crate::words::{self, Meaning, Word};

/// How a store is reached. What is not said is as the environment of the controller says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// By its path.
    Folder,
    /// Through a server that speaks S3.
    S3(S3Reach),
    /// Through another machine's sshd.
    Sftp(SftpReach),
}

/// How a bucket is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct S3Reach {
    /// `https://host:port`.
    pub endpoint: Option<Endpoint>,
    /// The region, by which requests are signed.
    pub region: Option<Name>,
    /// Where the bucket's name stands in requests.
    pub addressing: Option<BucketName>,
    /// The certificates that the server's must be signed by.
    pub ca: Option<SourcePath>,
    /// Who asks.
    pub credentials: Option<S3Credentials>,
}

/// Where an access key comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum S3Credentials {
    /// A file in the shape of `~/.aws/credentials`.
    File {
        /// The file.
        path: SourcePath,
        /// The section of it; `default` where none is named.
        profile: Option<Name>,
    },
    /// A program that prints it.
    Command(CheckCommand),
}

/// How another machine is logged in to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SftpReach {
    /// The key to log in with.
    pub ssh_key: Option<SourcePath>,
    /// The file that the machine's own key must be in.
    pub known_hosts: Option<SourcePath>,
}

/// Where a bucket's name stands in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BucketName {
    /// In the path.
    Path,
    /// In the host's name.
    Host,
}

/// Scheme, host and port of a server that speaks S3. `http://` is taken: what is stored is sealed, and requests are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint(String);

/// The keys of a repository that only stores of one kind have.
const OF_S3: [&str; 8] =
    ["endpoint", "region", "addressing", "ca", "credentials-file", "credentials-command", "profile", "immutable"];
const OF_SFTP: [&str; 2] = ["ssh-key", "known-hosts"];

static BUCKET_NAMES: &[Word<BucketName>] =
    &[("path", Meaning::Now(BucketName::Path)), ("host", Meaning::Now(BucketName::Host))];

impl Reach {
    /// Reads what stands beside the location. Every key is read, also one that does not fit the kind of store.
    pub(crate) fn read(kind: Option<StoreKind>, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<Self> {
        let s3 = S3Reach::read(fields, findings);
        let ssh_key = fields.optional("ssh-key", findings, values::written);
        let known_hosts = fields.optional("known-hosts", findings, values::written);
        let sftp = SftpReach { ssh_key, known_hosts };
        let kind = kind?;
        report_unfit(kind, fields, findings);
        Some(match kind {
            StoreKind::Folder => Self::Folder,
            StoreKind::S3 => Self::S3(s3),
            StoreKind::Sftp => Self::Sftp(sftp),
        })
    }
}

fn report_unfit(kind: StoreKind, fields: &Fields<'_>, findings: &mut Findings<'_>) {
    let here = match kind {
        StoreKind::Folder => "a directory of the controller's machine",
        StoreKind::S3 => "a bucket",
        StoreKind::Sftp => "a directory of another machine",
    };
    for (of, keys, place) in
        [(StoreKind::S3, &OF_S3[..], "s3://bucket/prefix"), (StoreKind::Sftp, &OF_SFTP[..], "sftp://user@host/path")]
    {
        for (key, node) in keys.iter().filter_map(|key| Some((key, fields.node(key)?))).filter(|_| of != kind) {
            let reason = format!("{} means nothing for {here}", quoted(key));
            findings.report(Code::KeyBeside, &node.span, reason, format!("take it out; it goes with `at: {place}`"));
        }
    }
}

impl S3Reach {
    fn read(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Self {
        let endpoint = fields.optional("endpoint", findings, values::written);
        let region = fields.optional("region", findings, values::written);
        let addressing = fields.optional("addressing", findings, |node, findings| {
            words::word(node, "place for a bucket's name", BUCKET_NAMES, findings)
        });
        let ca = fields.optional("ca", findings, values::written);
        Self { endpoint, region, addressing, ca, credentials: S3Credentials::read(fields, findings) }
    }
}

impl S3Credentials {
    fn read(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<Self> {
        let path = fields.optional("credentials-file", findings, values::written);
        let command = fields.optional("credentials-command", findings, CheckCommand::read);
        let profile = fields.optional("profile", findings, values::written);
        let file = fields.node("credentials-file");
        if let Some(node) = fields.node("credentials-command").filter(|_| file.is_some()) {
            let reason = "the credentials are given here and by `credentials-file`";
            findings.report(Code::TwoWays, &node.span, reason, "take one of the two out");
        }
        if let Some(node) = fields.node("profile").filter(|_| file.is_none()) {
            let reason = "a profile is a section of a credentials file, and none is named";
            findings.report(Code::KeyBeside, &node.span, reason, "add `credentials-file: /path`, or take it out");
        }
        path.map(|path| Self::File { path, profile }).or(command.map(Self::Command))
    }
}

impl Endpoint {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refuse = |why: &str| {
            let remedy = "write https://host or https://host:port, without path and user";
            Err(Refusal::new(format!("the endpoint {why}"), remedy))
        };
        let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
            return refuse("does not begin with https://");
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return refuse("has more than a host and a port");
        }
        if url::host(authority).is_none() {
            return refuse("has no host, or no valid one");
        }
        Ok(Self(text.strip_suffix('/').unwrap_or(text).to_owned()))
    }
}

impl Written for Endpoint {
    const WHAT: &'static str = "an endpoint such as https://s3.example.org:9000";
    const CODE: Code = Code::BadUrl;

    fn pattern() -> Option<String> {
        Some("^https?://".to_owned())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
