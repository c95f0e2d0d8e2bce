//! What the controller does about its own state, beside storing it: `own-state: { prove: monthly }`.

use serde::Serialize;

use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::prove::ProofRhythm;
use crate::tree::Node;
use crate::words::{self, Meaning, Word};

/// What is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OwnState {
    prove: Option<ProofRhythm>,
}

const A_RHYTHM: &str = "write `daily`, `weekly`, `monthly`, `quarterly` or `yearly`: it belongs to no run";

static SHAPE: Shape = Shape { title: "`own-state`", keys: &[("prove", Meaning::Now("monthly"))] };

static RHYTHMS: &[Word<ProofRhythm>] = &[
    ("daily", Meaning::Now(ProofRhythm::Daily)),
    ("weekly", Meaning::Now(ProofRhythm::Weekly)),
    ("monthly", Meaning::Now(ProofRhythm::Monthly)),
    ("quarterly", Meaning::Now(ProofRhythm::Quarterly)),
    ("yearly", Meaning::Now(ProofRhythm::Yearly)),
    ("run", Meaning::Later(A_RHYTHM)),
];

impl OwnState {
    /// How often it is proven, for each repository, that one can begin again from it; never if nothing is said.
    pub fn prove(&self) -> Option<ProofRhythm> {
        self.prove
    }

    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let prove =
            fields.required("prove", findings, |node, findings| words::word(node, "time to prove", RHYTHMS, findings));
        Some(Self { prove: Some(prove?) })
    }
}
