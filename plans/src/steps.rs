//! What a run of a plan does, as a list that is shown by `--dry-run` and is exactly what the executor gets.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::address::RepositoryAddress;
use crate::backup::BackupPlan;
use crate::load::LoadLimits;
use crate::name::{Line, Name};
use crate::prove::{CheckCommand, ProofDemand, ProofLevel, ProofRhythm};
use crate::report::listed;
use crate::retain::RetentionRules;
use crate::source::Source;
use crate::source_path::SourcePath;
use crate::time_span::TimeSpan;

/// One step of a run. Steps run in order; a step that fails leaves the ones after it undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Step {
    /// Store one source as one snapshot.
    Backup {
        /// The plan whose run this is.
        plan: Name,
        /// What is read.
        source: Box<Source>,
        /// Where it is stored.
        repository: RepositoryAddress,
        /// What the snapshot is marked with.
        tags: BTreeMap<Name, Line>,
        /// How much of the host it may take.
        limits: LoadLimits,
    },
    /// Restore every snapshot of this run into one new, empty directory.
    RestoreToScratch {
        /// The roots that must then be there.
        files: Vec<SourcePath>,
    },
    /// Compare what was restored with the hashes taken at the source, and run the checks in the scratch directory.
    Verify {
        /// What may be claimed if all agree.
        level: ProofLevel,
        /// What must agree besides.
        checks: Vec<CheckCommand>,
        /// For how long the proof counts; without end if absent.
        #[serde(rename = "max-age-seconds")]
        max_age: Option<TimeSpan>,
    },
    /// Nothing is proven by this run: drills prove the newest restore point, by a rhythm of their own.
    LeaveToDrills {
        /// Which.
        every: ProofRhythm,
    },
    /// Bring what the plan has stored for this host into a further copy of the repository.
    Copy {
        /// Which of the plan's copies, from 0.
        number: usize,
        /// Where it is.
        to: RepositoryAddress,
    },
    /// Show what the rules would keep and drop. Nothing is removed.
    PreviewRetention {
        /// The rules.
        rules: RetentionRules,
    },
}

/// The steps of one run of the plan.
pub fn steps(plan: &BackupPlan) -> Vec<Step> {
    let backups = plan.sources().iter().map(|source| Step::Backup {
        plan: plan.name().clone(),
        source: Box::new(source.clone()),
        repository: plan.repository().clone(),
        tags: plan.tags().clone(),
        limits: plan.limits(),
    });
    let mut steps: Vec<_> = backups.collect();
    match plan.prove() {
        Some(prove) if prove.every().is_drilled() => steps.push(Step::LeaveToDrills { every: prove.every() }),
        Some(prove) => steps.extend(proof(plan, prove)),
        None => {}
    }
    steps.extend(plan.copies().iter().cloned().enumerate().map(|(number, to)| Step::Copy { number, to }));
    steps.push(Step::PreviewRetention { rules: plan.retain().clone() });
    steps
}

/// The steps of a drill, which proves a restore point that is there: none for a plan that demands no proof.
pub fn drill_steps(plan: &BackupPlan) -> Vec<Step> {
    plan.prove().map(|prove| proof(plan, prove).to_vec()).unwrap_or_default()
}

fn proof(plan: &BackupPlan, prove: &ProofDemand) -> [Step; 2] {
    let files = plan.sources().iter().flat_map(Source::roots).cloned().collect();
    let (level, checks, max_age) = (prove.level(), prove.checks().to_vec(), prove.counts_for());
    [Step::RestoreToScratch { files }, Step::Verify { level, checks, max_age }]
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backup { source, repository, tags, limits, .. } => {
                write!(out, "back up {source} into {repository}")?;
                write_list(out, ", marked ", tags.iter().map(|(name, value)| format!("{name}={value}")))?;
                if *limits != LoadLimits::default() {
                    write!(out, ", with at most {limits}")?;
                }
                write_list(out, "; before it ", source.before().iter().map(ToString::to_string))?;
                write_list(out, "; after it ", source.after().iter().map(ToString::to_string))
            }
            Self::RestoreToScratch { files } => {
                let files: Vec<_> = files.iter().map(SourcePath::to_string).collect();
                write!(out, "restore {} to an empty scratch directory", listed(files.iter().map(String::as_str)))
            }
            Self::Verify { level, checks, max_age } => {
                write!(out, "verify to {level}: every file equals the hash taken at the source")?;
                write_list(out, ", and these agree: ", checks.iter().map(|check| format!("`{check}`")))?;
                max_age.map_or(Ok(()), |age| write!(out, "; the proof counts for {age}"))
            }
            Self::LeaveToDrills { every } => write!(out, "leave the proof to the drills, which come {every}"),
            Self::Copy { to, .. } => write!(out, "bring what the copy at {to} lacks there"),
            Self::PreviewRetention { rules } => {
                write!(out, "show what retention would keep ({rules}); nothing is removed")
            }
        }
    }
}

/// Writes nothing for an empty list.
fn write_list(out: &mut fmt::Formatter<'_>, before: &str, items: impl Iterator<Item = String>) -> fmt::Result {
    let items: Vec<_> = items.collect();
    if items.is_empty() {
        return Ok(());
    }
    write!(out, "{before}{}", items.join(", "))
}
