//! A restore that is one system of a restore plan: what the site's file says of it, never whoever asks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_plans::{Hook, Probe, RestorePlan, RestoreSystem, Site, TimeSpan};
use strongroom_proto::operator::{RestoreOverwrite, RestorePart, RestoreRequest};
use strongroom_proto::worker;

use crate::operator::Refused;
use crate::preview::PLAN_TAG;

/// Which system it is, what it needs, and what runs around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlanPart {
    /// The restore plan.
    pub plan: String,
    /// The system in it.
    pub system: String,
    /// From the newest restore points at or before this time, as somebody wrote it: the parts of one restore of a plan have it in common.
    pub at: String,
    /// The backup plan whose restore points are meant.
    pub of_plan: String,
    /// The systems that must be done and verified before.
    pub needs: Vec<String>,
    /// The addresses that hold after the restore, by those before it.
    pub addresses: BTreeMap<String, String>,
    /// Before anything is written.
    pub before: Vec<PartCommand>,
    /// Once everything is in place and checked.
    pub after: Vec<PartCommand>,
    /// And then.
    pub probes: Vec<PartCommand>,
}

/// A command of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartCommand {
    /// Program and arguments.
    pub run: Vec<String>,
    /// All that it must print, where it is a probe that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prints: Option<String>,
    /// How long it may run; as the worker has it where nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_max: Option<u64>,
    /// For how long it is made again, where it is a probe that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u64>,
}

impl PlanPart {
    /// What the site says by now; none for a restore of no plan, or of one that is gone.
    #[must_use]
    pub fn of(request: &RestoreRequest, site: &Site) -> Option<Box<Self>> {
        let asked = request.part.as_ref()?;
        let plan = plan(site, &asked.plan)?;
        let system = plan.system(&asked.system)?;
        let addresses = plan.addresses().iter().map(|(before, now)| (before.to_string(), now.to_string()));
        Some(Box::new(Self {
            plan: asked.plan.clone(),
            system: asked.system.clone(),
            at: asked.at.clone(),
            of_plan: system.plan().to_string(),
            needs: system.needs().iter().map(ToString::to_string).collect(),
            addresses: addresses.collect(),
            before: system.before().iter().map(PartCommand::from).collect(),
            after: system.after().iter().map(PartCommand::from).collect(),
            probes: system.probes().iter().map(PartCommand::from).collect(),
        }))
    }

    /// As it is asked for.
    #[must_use]
    pub fn reference(&self) -> RestorePart {
        RestorePart { plan: self.plan.clone(), system: self.system.clone(), at: self.at.clone() }
    }

    /// Why a snapshot with these tags is not one that is meant, if it is not.
    pub fn refuses(&self, tags: &BTreeMap<String, String>) -> Result<(), Refused> {
        let made_by = tags.get(PLAN_TAG).map_or("no plan", String::as_str);
        if made_by == self.of_plan {
            return Ok(());
        }
        let (at, of_plan, system) = (&self.at, &self.of_plan, &self.system);
        Err(Refused::Unknown(format!(
            "the newest restore point at or before {at} for {system} was made by {made_by}, and not by the plan {of_plan}"
        )))
    }

    /// For the worker, which tells the commands where they are; `source` is the host whose data they get.
    #[must_use]
    pub fn around(&self, source: &str, host: &str) -> worker::Around {
        let addresses: Vec<String> = self.addresses.iter().map(|(before, now)| format!("{before}={now}")).collect();
        let environment = [
            ("STRONGROOM_RESTORE_PLAN", self.plan.clone()),
            ("STRONGROOM_SYSTEM", self.system.clone()),
            ("STRONGROOM_SOURCE", source.to_owned()),
            ("STRONGROOM_HOST", host.to_owned()),
            ("STRONGROOM_ADDRESSES", addresses.join(" ")),
        ];
        let probe = |probe: &PartCommand| worker::Probe {
            run: Some(probe.hook()),
            prints: probe.prints.clone().unwrap_or_default(),
            wait_seconds: probe.wait_seconds.unwrap_or_default(),
        };
        worker::Around {
            before: self.before.iter().map(PartCommand::hook).collect(),
            after: self.after.iter().map(PartCommand::hook).collect(),
            probes: self.probes.iter().map(probe).collect(),
            environment: environment.map(|(name, value)| worker::Variable { name: name.to_owned(), value }).into(),
        }
    }

    /// All commands in their order, each with when it is run.
    pub fn commands(&self) -> impl Iterator<Item = (&'static str, &PartCommand)> {
        let all = [("before", &self.before), ("after", &self.after), ("probe", &self.probes)];
        all.into_iter().flat_map(|(when, commands)| commands.iter().map(move |command| (when, command)))
    }
}

impl PartCommand {
    fn hook(&self) -> worker::Hook {
        worker::Hook { arguments: self.run.clone(), seconds_max: self.seconds_max.unwrap_or_default() }
    }
}

impl From<&Hook> for PartCommand {
    fn from(hook: &Hook) -> Self {
        let run = hook.run().words().map(str::to_owned).collect();
        Self { run, prints: None, seconds_max: hook.time_out().map(TimeSpan::seconds), wait_seconds: None }
    }
}

impl From<&Probe> for PartCommand {
    fn from(probe: &Probe) -> Self {
        let run = probe.run().words().map(str::to_owned).collect();
        let prints = probe.prints().map(ToString::to_string);
        let seconds = |span: Option<TimeSpan>| span.map(TimeSpan::seconds);
        Self { run, prints, seconds_max: seconds(probe.time_out()), wait_seconds: seconds(probe.wait()) }
    }
}

/// A restore plan of the site.
#[must_use]
pub fn plan<'s>(site: &'s Site, name: &str) -> Option<&'s RestorePlan> {
    site.restore_plans().values().find(|plan| plan.name().as_str() == name)
}

/// A request that names a system of a restore plan becomes the restore that the site's file says: whose data, where to, and how. One that names none stays as it is.
pub fn with_system_resolved(request: RestoreRequest, site: &Site) -> Result<RestoreRequest, Refused> {
    let Some(part) = &request.part else { return Ok(request) };
    let system = system(site, part)?;
    Ok(RestoreRequest {
        snapshot: format!("{}@{}:{}", part.at, system.host(), system.source_path()),
        repository: site.plans().get(system.plan()).map(|plan| plan.repository().to_string()).unwrap_or_default(),
        paths: system.paths().iter().map(|path| in_snapshot(path.as_path())).collect(),
        host: system.target_host().to_string(),
        target: system.directory().as_os_str().as_encoded_bytes().to_vec(),
        // What stands there is of an earlier try, or in the way; either way somebody may want it back.
        overwrite: RestoreOverwrite::Changed.into(),
        set_aside: true,
        owners_by_name: false,
        download_bytes_per_second: 0,
        reason: request.reason.clone(),
        dry_run: request.dry_run,
        no_checks: false,
        promote_to: system
            .promote_to()
            .map(|place| place.as_path().as_os_str().as_encoded_bytes().to_vec())
            .unwrap_or_default(),
        part: request.part.clone(),
    })
}

fn system<'s>(site: &'s Site, part: &RestorePart) -> Result<&'s RestoreSystem, Refused> {
    let found = plan(site, &part.plan).ok_or_else(|| unknown_plan(site, &part.plan))?;
    found
        .system(&part.system)
        .ok_or_else(|| Refused::Unknown(format!("the restore plan {} has no system '{}'", part.plan, part.system)))
}

/// That there is none, and which there are.
#[must_use]
pub fn unknown_plan(site: &Site, name: &str) -> Refused {
    let names: Vec<&str> = site.restore_plans().keys().map(|name| name.as_str()).collect();
    let there = if names.is_empty() { "it has none yet".to_owned() } else { format!("there are {}", names.join(", ")) };
    Refused::Unknown(format!("the site has no restore plan '{name}': {there}"))
}

fn in_snapshot(path: &std::path::Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.strip_prefix(b"/").unwrap_or(bytes).to_vec()
}
