//! What several plans of a site have in common: when they run, what they keep, how they are proven, what they may take.
//!
//! A plan with `preset: nightly` takes from it each of the keys that it does not have itself, whole: a plan that says
//! `retain` has nothing of the preset's `retain`.

use crate::fault::Code;
use crate::fields::{Fields, Shape};
use crate::findings::Findings;
use crate::load::LoadLimits;
use crate::prove::ProofDemand;
use crate::retain::RetentionRules;
use crate::said::Said;
use crate::schedule::{PlacedSchedule, Schedule};
use crate::tree::Node;
use crate::words::Meaning;

/// Keys for plans that do not have them.
#[derive(Clone, Debug)]
pub(crate) struct Preset {
    pub(crate) schedule: Option<PlacedSchedule>,
    pub(crate) retain: Option<RetentionRules>,
    pub(crate) prove: Option<ProofDemand>,
    pub(crate) limits: Option<LoadLimits>,
    /// What it says, and where.
    pub(crate) said: Vec<Said>,
}

/// What a plan takes over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Inherited<'p> {
    /// It names no preset.
    Nothing,
    /// It names this one.
    From(&'p Preset),
    /// It names one that could not be read; what it would give is not called missing.
    Unknown,
}

static SHAPE: Shape = Shape {
    title: "a preset",
    keys: &[
        ("schedule", Meaning::Now("{ full: weekly sun 01:30, incremental: daily 01:30 }")),
        ("retain", Meaning::Now("{ daily: 14, weekly: 8, at-least: 3 }")),
        ("prove", Meaning::Now("{ level: restored }")),
        ("limits", Meaning::Now("{ upload: 20 MiB }")),
    ],
};

impl Preset {
    pub(crate) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<Self> {
        let fields = Fields::of(node, &SHAPE, findings)?;
        let schedule = fields.optional("schedule", findings, Schedule::read);
        let retain = fields.optional("retain", findings, RetentionRules::read);
        let prove = fields.optional("prove", findings, ProofDemand::read);
        let limits = fields.optional("limits", findings, LoadLimits::read);
        let keys = ["schedule", "retain", "prove", "limits"];
        if keys.iter().all(|key| fields.node(key).is_none()) && !fields.has_misspelt_key() {
            let remedy = "give it one of `schedule`, `retain`, `prove` and `limits`, or take it out";
            findings.report(Code::EmptyCollection, &node.span, "the preset holds nothing", remedy);
        }
        // One with a faulty part gives nothing: who takes it over is not told that the part is missing.
        let is_faulty = |key, is_read: bool| fields.node(key).is_some() && !is_read;
        let any_faulty = is_faulty("schedule", schedule.is_some())
            || is_faulty("retain", retain.is_some())
            || is_faulty("prove", prove.is_some())
            || is_faulty("limits", limits.is_some());
        let said = fields.said(findings.text());
        (!any_faulty).then_some(Self { schedule, retain, prove, limits, said })
    }
}

impl<'p> Inherited<'p> {
    /// The preset's part of what the plan does not say itself.
    pub(crate) fn part<T: Clone + 'p>(self, is_said: bool, part: impl Fn(&'p Preset) -> &'p Option<T>) -> Option<T> {
        match self {
            Self::From(preset) if !is_said => part(preset).clone(),
            _ => None,
        }
    }

    /// What it says of what the plan does not say itself.
    pub(crate) fn said(self, is_said: impl Fn(&str) -> bool) -> impl Iterator<Item = &'p Said> {
        let said = match self {
            Self::From(preset) => &preset.said[..],
            Self::Nothing | Self::Unknown => &[],
        };
        said.iter().filter(move |said| !is_said(said.top_key()))
    }
}
