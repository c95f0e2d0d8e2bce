//! One run of a plan, or one drill: its steps in order, each recorded; the first failure leaves the rest undone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_plans::{
    BackupPlan, CheckCommand, Line, LoadLimits, Name, ProofDemand, ProofLevel, RetentionRules, Source, Step,
    drill_steps, steps,
};
use strongroom_repository::{ObjectId, RepositoryId};

use crate::executor::{BackupOrder, CheckResult, CopyOrder, Executor, StepPlace};
use crate::preview::{PLAN_TAG, preview};
use crate::record::{Outcome, RECORD_VERSION, RunRecord, StepRecord, Verdict};

/// Where the run gets the time from.
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;
    /// In which calendar days begin and end.
    fn zone(&self) -> TimeZone;
}

/// What is to be run, and where.
#[derive(Debug, Clone)]
pub struct RunRequest<'a> {
    /// The plan.
    pub plan: &'a BackupPlan,
    /// BLAKE3 of its text.
    pub plan_hash: String,
    /// This host.
    pub host: String,
    /// Program and version.
    pub program: String,
    /// The repository.
    pub repository: RepositoryId,
    /// Where it lies.
    pub location: String,
}

/// A run that is over.
#[derive(Debug)]
pub struct Ended<F> {
    /// What was done.
    pub record: RunRecord,
    /// What ended it early.
    pub fault: Option<F>,
}

/// Runs a plan to its end, or to its first failure. The scratch directory is gone afterwards, whatever happened.
pub fn run<E: Executor>(request: &RunRequest<'_>, executor: &mut E, clock: &impl Clock) -> Ended<E::Fault> {
    let steps = steps(request.plan);
    let runner =
        Runner { request, executor, clock, snapshots: Vec::new(), restored_equal: false, proof: None, fault: None };
    runner.go(steps)
}

/// Proves snapshots that are there, as a run proves those that it has made.
pub fn drill<E: Executor>(
    request: &RunRequest<'_>,
    snapshots: Vec<ObjectId>,
    executor: &mut E,
    clock: &impl Clock,
) -> Ended<E::Fault> {
    let steps = drill_steps(request.plan);
    // Until it is proven, it is what its backup said.
    let proof = Some(ProofLevel::Claimed);
    Runner { request, executor, clock, snapshots, restored_equal: false, proof, fault: None }.go(steps)
}

struct Runner<'a, E: Executor, C> {
    request: &'a RunRequest<'a>,
    executor: &'a mut E,
    clock: &'a C,
    /// Made by this run, or named by whoever drills.
    snapshots: Vec<ObjectId>,
    restored_equal: bool,
    proof: Option<ProofLevel>,
    fault: Option<E::Fault>,
}

impl<E: Executor, C: Clock> Runner<'_, E, C> {
    fn go(mut self, steps: Vec<Step>) -> Ended<E::Fault> {
        let (started, request) = (self.clock.now(), self.request);
        let of = steps.len();
        let mut records = Vec::with_capacity(of);
        for (at, step) in steps.into_iter().enumerate() {
            records.push(self.step(StepPlace { number: at + 1, of }, step));
        }
        if let Err(fault) = self.executor.discard_scratch() {
            self.blame_scratch(fault, &mut records);
        }
        let verdict = records.iter().map(|record| record.outcome.verdict()).max().unwrap_or(Verdict::Done);
        let record = RunRecord {
            record_version: RECORD_VERSION,
            plan: request.plan.name().to_string(),
            plan_hash: request.plan_hash.clone(),
            host: request.host.clone(),
            program: request.program.clone(),
            repository: request.repository,
            location: request.location.clone(),
            started,
            finished: self.clock.now(),
            verdict,
            proof: self.proof,
            steps: records,
        };
        Ended { record, fault: self.fault }
    }

    fn step(&mut self, place: StepPlace, step: Step) -> StepRecord {
        let started = self.clock.now();
        let outcome = match &self.fault {
            Some(_) => Outcome::NotBegun,
            None => {
                self.executor.beginning(place, &step);
                self.outcome(&step)
            }
        };
        StepRecord { step, started, finished: self.clock.now(), outcome }
    }

    fn outcome(&mut self, step: &Step) -> Outcome {
        let done = match step {
            Step::Backup { plan, source, tags, limits, .. } => self.back_up(plan, source, tags, *limits),
            Step::RestoreToScratch { .. } => self.restore(),
            Step::Verify { level, checks, .. } => self.verify(*level, checks),
            Step::LeaveToDrills { .. } => Ok(Outcome::LeftToDrills),
            Step::Copy { number, .. } => {
                let plan = self.request.plan.name().as_str();
                self.executor.copy(&CopyOrder { number: *number, plan }).map(Outcome::Copied)
            }
            Step::PreviewRetention { rules } => self.preview(rules),
        };
        done.unwrap_or_else(|fault| {
            let text = fault.to_string();
            self.fault = Some(fault);
            Outcome::Failed { fault: text }
        })
    }

    fn back_up(
        &mut self,
        plan: &Name,
        source: &Source,
        tags: &BTreeMap<Name, Line>,
        limits: LoadLimits,
    ) -> Result<Outcome, E::Fault> {
        let mut tags: BTreeMap<String, String> =
            tags.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        tags.insert(PLAN_TAG.to_owned(), plan.to_string());
        let done = self.executor.back_up(&BackupOrder { source, tags, limits })?;
        self.snapshots.push(done.snapshot);
        self.proof = Some(ProofLevel::Claimed);
        Ok(Outcome::BackedUp(done))
    }

    fn restore(&mut self) -> Result<Outcome, E::Fault> {
        let done = self.executor.restore(&self.snapshots)?;
        self.restored_equal = done.all_equal();
        Ok(Outcome::Restored(done))
    }

    /// All checks run, also after one that does not agree: who reads the record wants to know all of it.
    fn verify(&mut self, demanded: ProofLevel, checks: &[CheckCommand]) -> Result<Outcome, E::Fault> {
        let limits = self.request.plan.prove().map(ProofDemand::limits).unwrap_or_default();
        let checks: Vec<CheckResult> =
            checks.iter().map(|check| self.executor.check(check, limits)).collect::<Result<_, _>>()?;
        let reached = match self.restored_equal && checks.iter().all(CheckResult::agreed) {
            true => demanded.min(ProofLevel::Restored),
            false => ProofLevel::Claimed,
        };
        self.proof = Some(reached);
        Ok(Outcome::Verified { reached, demanded, checks })
    }

    fn preview(&mut self, rules: &RetentionRules) -> Result<Outcome, E::Fault> {
        let snapshots = self.executor.snapshots()?;
        let now = self.clock.now().to_zoned(self.clock.zone());
        let ours = (self.request.host.as_str(), self.request.plan.name().as_str());
        Ok(Outcome::Previewed { snapshots: preview(rules, &snapshots, ours, &now) })
    }

    /// What is left in the scratch directory is a copy of the backed-up data where nobody expects one: that is worth a failure. An earlier one counts more.
    fn blame_scratch(&mut self, fault: E::Fault, records: &mut [StepRecord]) {
        let restore = records.iter_mut().find(|record| matches!(record.step, Step::RestoreToScratch { .. }));
        if let (Some(record), None) = (restore, &self.fault) {
            record.outcome = Outcome::Failed { fault: fault.to_string() };
            self.fault = Some(fault);
        }
    }
}
