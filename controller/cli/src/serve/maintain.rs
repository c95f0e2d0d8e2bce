//! The maintenance of one repository on a thread of its own: forget by the plans' rules, prune, make locks longer, scrub.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, Zoned};
use strongroom_controller::maintenance::{
    Figures, ForgetFigures, LockFigures, MaintenanceEnd, MaintenanceOrder, MaintenanceReport, PromiseFigures,
    PruneFigures, ScrubFigures,
};
use strongroom_controller::operator::Mode;
use strongroom_controller::own_state;
use strongroom_controller::{PLAN_TAG, SourceRetention};
use strongroom_plans::{FleetPlan, Name, PruneRules, ScrubRules, Site, TimeSpan, Verdict};
use strongroom_repository::prune::{self, PruneOptions, PruneProgress};
use strongroom_repository::rebuild::Act;
use strongroom_repository::scrub::{Scrub, ScrubOptions, Step};
use strongroom_repository::{ObjectId, Snapshot};

use super::runner::Runner;
use crate::access::Opened;
use crate::backup::host_name;
use crate::choice;
use crate::failure::Failure;
use crate::forget;
use crate::repo::{LedgerFile, extend_locks};

/// The ledger of a scrub is kept this often: what was verified since is verified again after a crash.
const KEPT_EVERY: Duration = Duration::from_secs(60);

/// What one maintenance has come to so far.
#[derive(Default)]
struct Progress {
    figures: Figures,
    /// Why something was not forgotten.
    refused: Vec<String>,
}

impl Runner<'_> {
    /// Forgetting and pruning are commits of the owner: a key that only adds cannot make them.
    pub(super) fn may_maintain(&self, site: &Site) -> Result<(), String> {
        let maintained = site.repositories().iter().filter(|(_, spec)| spec.maintenance().is_some());
        let is_writer =
            |name: &Name| self.repositories.get(name).is_some_and(|found| !found.repository.key().can_read());
        match maintained.map(|(name, _)| name).find(|name| is_writer(name)) {
            None => Ok(()),
            Some(name) => {
                Err(format!("the controller's key of the repository {name} adds backups and removes nothing"))
            }
        }
    }

    /// Maintains a repository, and reports the end.
    pub(super) fn maintain(&self, order: MaintenanceOrder) {
        let mut progress = Progress::default();
        let done = self.do_maintain(&order, &mut progress);
        let end = match done {
            Err(_) if self.context.signals.received().is_some() => MaintenanceEnd::Interrupted,
            Err(failure) => {
                MaintenanceEnd::Over(Box::new(MaintenanceReport::failed(failure.to_string(), progress.figures)))
            }
            Ok(()) => MaintenanceEnd::Over(Box::new(MaintenanceReport::concluded(progress.figures, &progress.refused))),
        };
        order.end(end);
    }

    fn do_maintain(&self, order: &MaintenanceOrder, progress: &mut Progress) -> Result<(), Failure> {
        let Some(opened) = self.repositories.get(&order.repository) else {
            progress.refused.push("it is not open".into());
            return Ok(());
        };
        // What hosts committed is newer than what is known here.
        self.context.wait("read what hosts committed", opened.repository.refresh())?;
        let now = Timestamp::now().to_zoned(order.site.zone().clone());
        progress.refused = forget::clock_fault(opened, &now, self.context)?;
        if !progress.refused.is_empty() {
            // By a wrong clock, sessions would be fenced and promises broken, too.
            return Ok(());
        }
        self.forget(order, opened, &now, progress)?;
        let spec = order.site.repositories().get(&order.repository);
        let maintenance = spec.and_then(|spec| spec.maintenance());
        let usual = PruneRules::default();
        let pruned = match maintenance.map_or(Some(&usual), |maintenance| maintenance.prune()) {
            Some(rules) => self.prune(opened, rules, order.mode).map(|figures| progress.figures.prune = Some(figures)),
            None => Ok(()),
        };
        // After the prune, so that nothing is locked that goes; and also where that fails, for locks end all the same.
        if let Some(lasting) = spec.and_then(|spec| spec.immutable()) {
            progress.figures.lock = Some(self.lock(opened, lasting, order.mode)?);
        }
        pruned?;
        if let Some(rules) = maintenance.and_then(|maintenance| maintenance.scrub()) {
            progress.figures.scrub = Some(self.scrub(opened, rules, order.mode)?);
        }
        Ok(())
    }

    /// Drops what the rules of each plan let go: all of it in one commit, or nothing.
    fn forget(
        &self,
        order: &MaintenanceOrder,
        opened: &Opened,
        now: &Zoned,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let snapshots = choice::all(opened, self.context)?.readable;
        let mut by_plan: BTreeMap<&str, Vec<Snapshot>> = BTreeMap::new();
        for snapshot in &snapshots {
            if let Some(plan) = snapshot.manifest.tags.get(PLAN_TAG) {
                by_plan.entry(plan).or_default().push(snapshot.clone());
            }
        }
        let mut sources: Vec<SourceRetention> = Vec::new();
        // In a copy hold the same rules as where the plan stores.
        let stores_here =
            |plan: &&FleetPlan| *plan.repository() == order.repository || plan.copies().contains(&order.repository);
        for plan in order.site.plans().values().filter(stores_here) {
            let Some(snapshots) = by_plan.get(plan.name().as_str()) else { continue };
            let proven = self.proven(plan, opened)?;
            sources.extend(forget::judge(plan.plan().retain(), snapshots, proven, opened, now));
        }
        let told = |excess| format!("{excess}: if that is meant, `strongroom forget --allow-many` does it by hand");
        progress.refused.extend(sources.iter().filter_map(forget::excess).map(told));
        sources.extend(own_states(order, opened, &snapshots, now));
        let all = || sources.iter().flat_map(|source| &source.snapshots);
        let going = all().filter(|kept| kept.verdict == Verdict::Drop).map(|kept| kept.snapshot);
        let going: Vec<ObjectId> = going.collect();
        let mut figures =
            ForgetFigures { forgotten: going.len() as u64, kept: (all().count() - going.len()) as u64, commit: None };
        if order.mode == Mode::Earnest && !going.is_empty() && progress.refused.is_empty() {
            let what = format!("forget snapshots of {}", opened.location);
            let forgotten = self.context.wait(&what, opened.repository.forget(&going))?;
            if forgotten.reserve_used_bytes > 0 {
                tracing::error!(location = %opened.location, "the store was full: the reserve was used to forget");
            }
            figures.commit = Some(forgotten.commit);
        }
        progress.figures.forget = Some(figures);
        Ok(())
    }

    /// What the journal's runs have proven, and those that this machine did by hand.
    fn proven(&self, plan: &FleetPlan, opened: &Opened) -> Result<HashSet<ObjectId>, Failure> {
        let proven = self.context.wait("read what was proven", self.journal.proven_snapshots(plan.name().as_str()))?;
        let mut proven: HashSet<ObjectId> = proven.iter().filter_map(|id| id.parse().ok()).collect();
        proven.extend(forget::proven(&self.context.state_dir()?, opened.repository.id()));
        Ok(proven)
    }

    fn prune(&self, opened: &Opened, rules: &PruneRules, mode: Mode) -> Result<PruneFigures, Failure> {
        let options = PruneOptions {
            now: Timestamp::now(),
            unused_percent_max: rules.max_unused.get(),
            moved_bytes_max: rules.max_moved.map(|size| size.bytes()),
            fence_after: rules.fence_after.into(),
            reserve: opened.reserve_upkeep(),
        };
        let what = format!("prune {}", opened.location);
        let plan = self.context.wait(&what, prune::plan(&opened.repository, &options))?;
        if mode == Mode::DryRun {
            let (deleted_bytes, moved_bytes) = (plan.freed_bytes(), plan.moved.bytes);
            return Ok(PruneFigures { deleted_bytes, moved_bytes, ..PruneFigures::default() });
        }
        let progress = Arc::new(PruneProgress::default());
        let hidden_before = opened.measured.hidden_count();
        let report = self.context.wait(&what, prune::execute(&opened.repository, &plan, &options, &progress))?;
        if report.reserve_used_bytes > 0 {
            tracing::error!(location = %opened.location, "the store was full: the reserve was used to prune");
        }
        for fault in &report.faults {
            tracing::error!(location = %opened.location, fault, "damage, left where it is");
        }
        if let Some(why) = &report.denied {
            let objects = report.not_deleted.len();
            tracing::warn!(location = %opened.location, objects, why, "not deleted: locked, or not for this key to delete");
        }
        Ok(PruneFigures {
            deleted_bytes: report.deleted_bytes,
            moved_bytes: report.moved.bytes,
            waiting: report.waiting,
            damaged: report.faults.len() as u64,
            hidden: opened.measured.hidden_count() - hidden_before,
        })
    }

    fn lock(&self, opened: &Opened, lasting: TimeSpan, mode: Mode) -> Result<LockFigures, Failure> {
        let act = if mode == Mode::DryRun { Act::DryRun } else { Act::ForReal };
        let report = extend_locks(opened, lasting, act, self.context)?;
        for exposed in &report.exposed {
            tracing::error!(location = %opened.location, object = exposed.object, why = exposed.why, "not locked");
        }
        Ok(LockFigures {
            for_seconds: lasting.seconds(),
            objects: report.objects,
            extended: report.extended,
            exposed: report.exposed.len() as u64,
            mode: report.mode,
            until: report.until,
            from_the_first: report.newest.is_some(),
        })
    }

    fn scrub(&self, opened: &Opened, rules: &ScrubRules, mode: Mode) -> Result<ScrubFigures, Failure> {
        let what = format!("scrub {}", opened.location);
        let file = LedgerFile::of(opened, self.context)?;
        let options = ScrubOptions {
            bytes: rules.bytes.map(|size| size.bytes()),
            time: rules.time.map(Duration::from),
            every: rules.every.into(),
            now: Timestamp::now(),
            by: host_name()?,
            act: if mode == Mode::DryRun { Act::DryRun } else { Act::ForReal },
        };
        let begun = Scrub::begin(Arc::clone(&opened.repository), file.read(self.context)?, options);
        let mut scrub = self.context.wait(&what, begun)?;
        if mode == Mode::DryRun {
            let (objects, bytes) = (scrub.plan().len() as u64, scrub.plan().bytes);
            return Ok(ScrubFigures { objects, bytes, damaged: 0, promise: None });
        }
        loop {
            let step = self.context.wait(&what, scrub.go_on(KEPT_EVERY));
            // Also when a signal ended it: what was verified until then stays verified.
            file.keep(&scrub.ledger)?;
            if step? == Step::Done {
                break;
            }
        }
        let (report, _) = self.context.wait(&what, scrub.finish())?;
        for finding in &report.findings {
            tracing::error!(location = %opened.location, ?finding, "damage");
        }
        // What was lost before costs files still, though nothing new was found.
        let damaged = if report.findings.is_empty() { report.affected.len() } else { report.findings.len() };
        let promise = &report.promise;
        Ok(ScrubFigures {
            objects: report.objects,
            bytes: report.bytes,
            damaged: damaged as u64,
            promise: Some(PromiseFigures {
                every_seconds: promise.every_seconds,
                broken_since: promise.broken_since,
                kept: promise.kept,
                oldest: promise.oldest,
            }),
        })
    }
}

/// The controller's own snapshots. That many go at once means no more than that nothing was maintained for long: the newest stay by their number.
fn own_states(order: &MaintenanceOrder, opened: &Opened, snapshots: &[Snapshot], now: &Zoned) -> Vec<SourceRetention> {
    let site = order.site.name().as_str();
    let is_own = |snapshot: &&Snapshot| {
        let manifest = &snapshot.manifest;
        manifest.host == own_state::HOST && manifest.tags.get(own_state::SITE_TAG).is_some_and(|tag| tag == site)
    };
    let own: Vec<Snapshot> = snapshots.iter().filter(is_own).cloned().collect();
    forget::judge(&own_state::retention(), &own, HashSet::new(), opened, now)
}
