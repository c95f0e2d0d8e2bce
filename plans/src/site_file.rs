//! One file of a site: its text, with what it includes and its variables put in, on its way to be read.

use crate::declared::Declared;
use crate::drill_plan::DrillDraft;
use crate::fault::Code;
use crate::findings::Findings;
use crate::fleet::{FleetDraft, FleetPlan};
use crate::grow::{FileKind, grow};
use crate::host::PlacedHost;
use crate::include::PartFiles;
use crate::plan_kind::{self, PlanKind};
use crate::report::quoted;
use crate::restore_plan::RestoreDraft;
use crate::restore_system::Known;
use crate::site_reader::{DrillFile, PlanFile, RestoreFile, SiteDraft};
use crate::text::Text;
use crate::tree::Node;
use crate::variables::Variables;

/// A file that is there, or is missing.
pub(crate) struct SiteFile<'t> {
    pub(crate) path: &'t str,
    pub(crate) shown: String,
    pub(crate) content: Option<&'t [u8]>,
}

/// A plan, of whichever kind, whose tree is whole, and not read yet.
pub(crate) struct BegunPlan<'t> {
    file: (&'t str, &'t [u8]),
    findings: Findings<'t>,
    root: Option<Node>,
}

/// What the files of the site have in common besides names.
pub(crate) struct Shared<'t> {
    pub(crate) parts: PartFiles<'t>,
    pub(crate) variables: Variables,
    /// Whether every file was read that could use one of them.
    pub(crate) is_all_read: bool,
}

impl<'t> BegunPlan<'t> {
    /// One that cannot be read is taken for the usual.
    pub(crate) fn kind(&self) -> PlanKind {
        self.root.as_ref().map_or(PlanKind::Backup, |root| plan_kind::of(root).0)
    }

    pub(crate) fn read(mut self, site: &SiteDraft, hosts: &Declared<PlacedHost>) -> PlanFile<'t> {
        let draft = self.root.map(|root| FleetDraft::read(&root, self.file, site, hosts, &mut self.findings));
        let draft = draft.unwrap_or_else(FleetDraft::unreadable);
        PlanFile { path: self.file.0, findings: self.findings, draft }
    }

    pub(crate) fn read_restore(mut self, known: Known<'_>) -> RestoreFile<'t> {
        let draft = self.root.map(|root| RestoreDraft::read(&root, self.file, known, &mut self.findings));
        let draft = draft.unwrap_or(RestoreDraft { name: None, plan: None });
        RestoreFile { path: self.file.0, findings: self.findings, draft }
    }

    pub(crate) fn read_drill(mut self, plans: &Declared<&FleetPlan>) -> DrillFile<'t> {
        let draft = self.root.map(|root| DrillDraft::read(&root, self.file, plans, &mut self.findings));
        DrillFile { path: self.file.0, findings: self.findings, draft: draft.unwrap_or_default() }
    }
}

impl<'t> SiteFile<'t> {
    /// The tree of the file, if it is there and can be read.
    pub(crate) fn begin(&'t self, kind: FileKind) -> (Findings<'t>, Option<Node>) {
        let decoded = self.content.map(|content| crate::decode(&self.shown, content));
        let text = decoded.as_ref().and_then(|decoded| decoded.as_ref().ok().copied()).unwrap_or_default();
        let mut findings = Findings::new(Text::new(&self.shown, text));
        let root = match decoded {
            Some(Ok(_)) => grow(kind, &mut findings),
            Some(Err(faults)) => {
                findings.take_over(faults);
                None
            }
            None => {
                let reason = format!("the site has no file {}", quoted(self.path));
                let remedy = "add it; `plans/examples/site` is a site to begin with";
                findings.report(Code::MissingFile, &(0..0), reason, remedy);
                None
            }
        };
        (findings, root)
    }

    /// The tree of the file and of the parts that it includes.
    fn begin_with_parts(&'t self, kind: FileKind, shared: &mut Shared<'t>) -> (Findings<'t>, Option<Node>) {
        let (mut findings, mut root) = self.begin(kind);
        shared.is_all_read &= match &mut root {
            Some(root) => shared.parts.merge_into(root, &mut findings),
            None => false,
        };
        (findings, root)
    }

    pub(crate) fn read_site(&'t self, shared: &mut Shared<'t>) -> (Findings<'t>, SiteDraft) {
        let (mut findings, root) = self.begin_with_parts(FileKind::SITE, shared);
        let draft = root.and_then(|mut root| {
            shared.variables = Variables::read(&root, &mut findings);
            shared.variables.put_into(&mut root, &mut findings);
            SiteDraft::read(&root, &mut findings)
        });
        (findings, draft.unwrap_or_else(SiteDraft::unreadable))
    }

    /// The tree of a plan, of whichever kind it is.
    pub(crate) fn begin_plan(&'t self, shared: &mut Shared<'t>) -> BegunPlan<'t> {
        let (mut findings, mut root) = self.begin_with_parts(FileKind::PLAN, shared);
        if let Some(root) = &mut root {
            shared.variables.put_into(root, &mut findings);
        }
        BegunPlan { file: (self.path, self.content.unwrap_or_default()), findings, root }
    }

    pub(crate) fn refuse_stray(&'t self) -> Findings<'t> {
        let mut findings = Findings::new(Text::new(&self.shown, ""));
        let reason = format!("the file {} would not be read", quoted(self.path));
        findings.report(Code::StrayFile, &(0..0), reason, "call it .yaml, or move it out of the site");
        findings
    }

    pub(crate) fn refuse_unused(&'t self) -> Findings<'t> {
        let mut findings = Findings::new(Text::new(&self.shown, ""));
        let reason = format!("nothing includes {}", quoted(self.path));
        let remedy = format!("write `include: [{}]` where it is meant, or move it out of the site", self.path);
        findings.report(Code::StrayFile, &(0..0), reason, remedy);
        findings
    }
}
