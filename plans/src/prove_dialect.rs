//! How `prove` is written, by who looks after the plan: its keys and words, and what holds where no rhythm is said.

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::prove::{ProofLevel, ProofRhythm};
use crate::tree::{Content, Node};
use crate::words::{self, Meaning, Word};

/// How one kind of file says how backups are proven.
pub(crate) struct Dialect {
    pub(crate) shape: Shape,
    rhythms: &'static [Word<ProofRhythm>],
    /// What holds where no rhythm is said; none where one must be said.
    unsaid: Option<ProofRhythm>,
}

/// The controller looks after the plan.
pub(crate) static OF_SITE: Dialect = Dialect {
    shape: Shape {
        title: "`prove`",
        keys: &[
            ("level", Meaning::Now("restored")),
            ("every", Meaning::Now("run")),
            ("checks", Meaning::Now("[[\"test\", \"-s\", \"etc/hostname\"], { files: srv/www, at-least: 100 }]")),
            ("limits", Meaning::Now("{ time: 30m, memory: 2 GiB }")),
            ("max-age", Meaning::Now("8d")),
            ("sample", Meaning::Now("5 GiB")),
            ("first", Meaning::Now("[/srv/ledger]")),
            ("promise", Meaning::Now("90d")),
        ],
    },
    rhythms: RHYTHMS,
    unsaid: Some(ProofRhythm::Run),
};

/// It does so by a file of its own, beside the plans: what runs do is said in the plans.
pub(crate) static OF_DRILL: Dialect = Dialect {
    shape: Shape {
        title: "`prove`",
        keys: &[
            ("level", Meaning::Now("restored")),
            ("every", Meaning::Now("quarterly")),
            ("checks", Meaning::Now("[[\"test\", \"-s\", \"etc/hostname\"], { files: srv/www, at-least: 100 }]")),
            ("limits", Meaning::Now("{ time: 30m, memory: 2 GiB }")),
            ("max-age", Meaning::Now("200d")),
            ("sample", Meaning::Now("5 GiB")),
            ("first", Meaning::Now("[/srv/ledger]")),
            ("promise", Meaning::Now("1100d")),
        ],
    },
    rhythms: RHYTHMS_OF_DRILLS,
    unsaid: None,
};

/// Nobody does.
pub(crate) static ALONE: Dialect = Dialect {
    shape: Shape {
        title: "`prove`",
        keys: &[
            ("level", Meaning::Now("restored")),
            ("every", Meaning::Now("run")),
            ("checks", Meaning::Now("[[\"test\", \"-s\", \"etc/hostname\"], { files: srv/www, at-least: 100 }]")),
            ("limits", Meaning::Now("{ time: 30m, memory: 2 GiB }")),
            ("max-age", Meaning::Now("8d")),
            ("sample", Meaning::InSite(WHOLE_RUN)),
            ("first", Meaning::InSite(WHOLE_RUN)),
            ("promise", Meaning::InSite(WHOLE_RUN)),
        ],
    },
    rhythms: RHYTHMS_ALONE,
    unsaid: Some(ProofRhythm::Run),
};

const ONLY_RESTORED: &str = "write `restored`: it includes the levels below";
const BY_CHECKS: &str = "write `restored`, and add `checks:` that open what was restored";
const AFTER_EACH_RUN: &str = "write `run`, or leave the key out: each run proves what it stored; drills are the controller's, for plans of a site";
const WHOLE_RUN: &str =
    "leave the key out: each run proves all that it stored; samples are for drills, which are the controller's";
const IN_THE_PLANS: &str =
    "write `daily`, `weekly`, `monthly`, `quarterly` or `yearly`; or give each of the plans a `prove:` of its own";

static LEVELS: &[Word<ProofLevel>] = &[
    ("restored", Meaning::Now(ProofLevel::Restored)),
    ("L3", Meaning::Now(ProofLevel::Restored)),
    ("present", Meaning::Later(ONLY_RESTORED)),
    ("L1", Meaning::Later(ONLY_RESTORED)),
    ("rehashed", Meaning::Later(ONLY_RESTORED)),
    ("L2", Meaning::Later(ONLY_RESTORED)),
    ("opened", Meaning::Later(BY_CHECKS)),
    ("L4", Meaning::Later(BY_CHECKS)),
    ("agreed", Meaning::Later(BY_CHECKS)),
    ("L5", Meaning::Later(BY_CHECKS)),
];

static RHYTHMS: &[Word<ProofRhythm>] = &[
    ("run", Meaning::Now(ProofRhythm::Run)),
    ("daily", Meaning::Now(ProofRhythm::Daily)),
    ("weekly", Meaning::Now(ProofRhythm::Weekly)),
    ("monthly", Meaning::Now(ProofRhythm::Monthly)),
    ("quarterly", Meaning::Now(ProofRhythm::Quarterly)),
    ("yearly", Meaning::Now(ProofRhythm::Yearly)),
];

static RHYTHMS_OF_DRILLS: &[Word<ProofRhythm>] = &[
    ("daily", Meaning::Now(ProofRhythm::Daily)),
    ("weekly", Meaning::Now(ProofRhythm::Weekly)),
    ("monthly", Meaning::Now(ProofRhythm::Monthly)),
    ("quarterly", Meaning::Now(ProofRhythm::Quarterly)),
    ("yearly", Meaning::Now(ProofRhythm::Yearly)),
];

/// Where no controller looks after the plan.
static RHYTHMS_ALONE: &[Word<ProofRhythm>] = &[
    ("run", Meaning::Now(ProofRhythm::Run)),
    ("daily", Meaning::InSite(AFTER_EACH_RUN)),
    ("weekly", Meaning::InSite(AFTER_EACH_RUN)),
    ("monthly", Meaning::InSite(AFTER_EACH_RUN)),
    ("quarterly", Meaning::InSite(AFTER_EACH_RUN)),
    ("yearly", Meaning::InSite(AFTER_EACH_RUN)),
];

impl Dialect {
    /// When a proof is made; none where that cannot be read, and is reported.
    pub(crate) fn every(&'static self, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<ProofRhythm> {
        match self.unsaid {
            Some(usual) if fields.node("every").is_none() => Some(usual),
            Some(_) => fields.optional("every", findings, |node, findings| self.rhythm(node, findings)),
            None => fields.required("every", findings, |node, findings| self.rhythm(node, findings)),
        }
    }

    fn rhythm(&'static self, node: &Node, findings: &mut Findings<'_>) -> Option<ProofRhythm> {
        let is_run = matches!(&node.content, Content::Scalar { text, .. } if text == ProofRhythm::Run.word());
        if is_run && self.unsaid.is_none() {
            let reason = "what each run proves is no drill";
            findings.report(Code::UnknownWord, &node.span, reason, IN_THE_PLANS);
            return None;
        }
        words::word(node, "time to prove", self.rhythms, findings)
    }
}

pub(crate) fn level(node: &Node, findings: &mut Findings<'_>) -> Option<ProofLevel> {
    words::word(node, "level of proof", LEVELS, findings)
}
