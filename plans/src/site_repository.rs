//! A repository that the site declares: `main: { at: /srv/strongroom/main }`, or at `s3://…`, `sftp://…` or `gateway://…`.
//!
//! The controller always opens it at `at`; what that does not say of a store stands beside it (`store_reach`). Hosts reach it through the controller (`access: gateway`), or,
//! where it is a directory, by themselves (`access: direct`) at `on-hosts`, which is `at` where nothing else is said.

use std::path::PathBuf;

use serde::Serialize;

use crate::address::RepositoryAddress;
use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::maintenance::Maintenance;
use crate::name::Name;
use crate::report::quoted;
use crate::store_reach::Reach;
use crate::store_url::StoreKind;
use crate::time_span::TimeSpan;
use crate::tree::Node;
use crate::values;
use crate::words::{self, Meaning, Word};

/// Where plans of the site store, and how their hosts get there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepositorySpec {
    name: Name,
    at: RepositoryAddress,
    reach: Reach,
    access: Access,
    site: Option<Name>,
    media: Media,
    #[serde(rename = "immutable-seconds")]
    immutable: Option<TimeSpan>,
    maintenance: Option<Maintenance>,
}

/// What the bytes of a repository lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Media {
    /// Disks of a machine.
    Disk,
    /// A store of objects.
    ObjectStorage,
    /// Tape.
    Tape,
}

/// How a host reaches a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Through the controller, which stores for it and never removes for it: the host holds no credential.
    Gateway,
    /// By itself, where the host has it; absolute. Faster, and whoever takes the host over can remove what is there.
    Direct(RepositoryAddress),
}

static SHAPE: Shape = Shape {
    title: "a repository",
    keys: &[
        ("at", Meaning::Now("/srv/strongroom/main")),
        (ACCESS, Meaning::Now("gateway")),
        (ON_HOSTS, Meaning::Now("/mnt/strongroom/main")),
        ("site", Meaning::Now("beijing-1")),
        ("media", Meaning::Now("disk")),
        (IMMUTABLE, Meaning::Now("30d")),
        ("maintenance", Meaning::Now("{ at: daily 05:00 }")),
        ("endpoint", Meaning::Now("\"https://s3.example.org:9000\"")),
        ("region", Meaning::Now("cn-north-1")),
        ("addressing", Meaning::Now("path")),
        ("ca", Meaning::Now("/etc/strongroom/s3-ca.pem")),
        ("credentials-file", Meaning::Now("/etc/strongroom/s3-credentials")),
        ("credentials-command", Meaning::Now("[/usr/local/bin/s3-credentials, main]")),
        ("profile", Meaning::Now("backup")),
        ("ssh-key", Meaning::Now("/etc/strongroom/nas-key")),
        ("known-hosts", Meaning::Now("/etc/strongroom/nas-known-hosts")),
    ],
};

const ACCESS: &str = "access";
const ON_HOSTS: &str = "on-hosts";
const IMMUTABLE: &str = "immutable";

/// What stands at `access`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Gateway,
    Direct,
}

static WAYS: &[Word<Way>] = &[("gateway", Meaning::Now(Way::Gateway)), ("direct", Meaning::Now(Way::Direct))];

static MEDIA: &[Word<Media>] = &[
    ("disk", Meaning::Now(Media::Disk)),
    ("object-storage", Meaning::Now(Media::ObjectStorage)),
    ("tape", Meaning::Now(Media::Tape)),
];

impl Access {
    /// The directory that hosts write to themselves, as they have it.
    pub fn directory_on_hosts(&self) -> Option<PathBuf> {
        match self {
            Self::Gateway => None,
            Self::Direct(address) => address.fixed(),
        }
    }
}

impl RepositorySpec {
    /// The name by which plans call it.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Where the controller opens it: a directory's whole path, or the URL as it was written.
    pub fn location(&self) -> String {
        self.directory().map_or_else(|| self.at.as_str().to_owned(), |path| path.display().to_string())
    }

    /// The directory on the controller's machine, if it is one; absolute.
    pub fn directory(&self) -> Option<PathBuf> {
        self.at.fixed()
    }

    /// How its store is reached.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The place where its bytes lie, if somebody named it: what befalls one repository there befalls the others.
    pub fn site(&self) -> Option<&Name> {
        self.site.as_ref()
    }

    /// What its bytes lie on.
    pub fn media(&self) -> Media {
        self.media
    }

    /// How hosts reach it.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// For how long nobody may be able to delete what is in force there: each maintenance makes the locks longer that end sooner.
    pub fn immutable(&self) -> Option<TimeSpan> {
        self.immutable
    }

    /// What the controller does for it by itself, and when; without this, nothing.
    pub fn maintenance(&self) -> Option<&Maintenance> {
        self.maintenance.as_ref()
    }

    pub(crate) fn at(&self) -> &RepositoryAddress {
        &self.at
    }

    pub(crate) fn read(name: &Name, node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let at = fields.required("at", findings, |node, findings| {
            let remedy =
                "write the whole path of a directory on the controller's machine, from / on; or s3://…, sftp://… or gateway://…";
            let address: RepositoryAddress = values::written(node, findings)?;
            is_same_for_all(&address, node, remedy, findings);
            Some(address)
        });
        let kind = at.as_ref().map(RepositoryAddress::kind);
        let access = read_access(at.as_ref(), &fields, findings);
        let reach = Reach::read(kind, &fields, findings);
        let site = fields.optional("site", findings, values::written);
        let media = fields.optional("media", findings, |node, findings| words::word(node, "medium", MEDIA, findings));
        let immutable = read_immutable(&fields, findings);
        let maintenance = fields.optional("maintenance", findings, Maintenance::read);
        let usual = if kind == Some(StoreKind::S3) { Media::ObjectStorage } else { Media::Disk };
        Some(Self {
            name: name.clone(),
            at: at?,
            reach: reach?,
            access,
            site,
            media: media.unwrap_or(usual),
            immutable,
            maintenance,
        })
    }
}

/// Locks end: without somebody who makes them longer, what it says is true for a while only.
fn read_immutable(fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<TimeSpan> {
    if let Some(node) = fields.node(IMMUTABLE).filter(|_| fields.node("maintenance").is_none()) {
        let reason = "locks end, and it is the repository's maintenance that makes them longer";
        findings.report(Code::KeyBeside, &node.span, reason, "add `maintenance: { at: daily 05:00 }`, or take it out");
    }
    fields.optional(IMMUTABLE, findings, values::written)
}

fn read_access(at: Option<&RepositoryAddress>, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Access {
    let way =
        fields.optional(ACCESS, findings, |node, findings| words::word(node, "way to a repository", WAYS, findings));
    let on_hosts = fields.optional(ON_HOSTS, findings, |node, findings| {
        let remedy = "write the whole path of the directory as the hosts have it mounted, from / on";
        let address: RepositoryAddress = values::written(node, findings)?;
        match address.kind() {
            StoreKind::Folder => is_same_for_all(&address, node, remedy, findings),
            _ => findings.report(Code::BadRepository, &node.span, "hosts open directories alone themselves", remedy),
        }
        Some(address)
    });
    let is_unread = fields.node(ACCESS).is_some() && way.is_none();
    if let Some(node) = fields.node(ON_HOSTS).filter(|_| way != Some(Way::Direct) && !is_unread) {
        let reason = "hosts that store through the controller do not open the repository themselves";
        let remedy = "take `on-hosts` out; or write `access: direct`, if hosts are to write to that directory";
        findings.report(Code::KeyBeside, &node.span, reason, remedy);
    }
    if way != Some(Way::Direct) {
        return Access::Gateway;
    }
    if let Some(node) = fields.node(ACCESS).filter(|_| at.is_some_and(|at| at.kind() != StoreKind::Folder)) {
        let reason = "hosts reach only directories by themselves: a store's credentials are the controller's alone";
        findings.report(Code::NotYet, &node.span, reason, "write `access: gateway`, or leave the key out");
    }
    let said = fields.node(ON_HOSTS).is_some();
    on_hosts.or_else(|| at.filter(|_| !said).cloned()).map_or(Access::Gateway, Access::Direct)
}

/// A directory must not be another one for everybody who opens it.
fn is_same_for_all(address: &RepositoryAddress, node: &Node, remedy: &str, findings: &mut Findings<'_>) {
    if address.kind() == StoreKind::Folder && address.fixed().is_none() {
        let reason = format!("the repository {} is not the same for everybody", quoted(address.as_str()));
        findings.report(Code::BadRepository, &node.span, reason, remedy);
    }
}
