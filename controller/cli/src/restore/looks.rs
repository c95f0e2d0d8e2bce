//! What a restore by a plan would do: the order, what is lost, and what each host says.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_controller::restore_plans::PlanStanding;
use strongroom_controller::restores::{PartCommand, RestoreScope, typed};
use strongroom_worker::restore::PlanSummary;

use crate::output::Answer;
use crate::shown::{count, duration, size, time};

/// All systems, in the order in which they would begin.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Looks {
    plan: String,
    at: String,
    on_failure: String,
    /// Those of a group begin together, if all goes well.
    groups: Vec<Vec<String>>,
    systems: Vec<Look>,
    #[serde(skip)]
    now: Timestamp,
}

/// One system.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Look {
    pub(super) system: String,
    pub(super) order: RestoreScope,
    /// What its host would do.
    pub(super) plan: PlanSummary,
    /// How many must agree.
    pub(super) approvals: u32,
}

impl Looks {
    pub(super) fn of(standing: &PlanStanding, at: &str, systems: Vec<Look>) -> Self {
        Self {
            plan: standing.plan.clone(),
            at: at.to_owned(),
            on_failure: standing.on_failure.clone(),
            groups: standing.course().groups(),
            systems,
            now: Timestamp::now(),
        }
    }

    /// Whether one of the targets has too little room.
    pub(super) fn lack_room(&self) -> bool {
        self.systems.iter().any(|look| look.plan.lacks_room())
    }

    fn group_of(&self, system: &str) -> usize {
        self.groups.iter().position(|group| group.iter().any(|name| name == system)).unwrap_or_default() + 1
    }
}

impl Answer for Looks {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { plan, at, on_failure, .. } = self;
        writeln!(out, "{plan}, from the newest restore points at or before {at}; on failure: {on_failure}")?;
        for look in &self.systems {
            look.write_text(self.group_of(&look.system), self.now, out)?;
        }
        writeln!(out, "nothing was written, and nobody was asked")
    }
}

impl Look {
    fn write_text(&self, group: usize, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
        let Self { system, order, plan, approvals } = self;
        let part = order.part.as_ref();
        let needs = part.map(|part| part.needs.join(", ")).filter(|needs| !needs.is_empty());
        let needs = needs.map_or_else(String::new, |needs| format!(", after {needs}"));
        writeln!(out, "{group}. {system}{needs}")?;
        let mut line = |name: &str, value: String| writeln!(out, "     {name:<7} {value}");
        line("from", format!("{}, backed up {}", order.source, time(order.time)))?;
        let lost = now.duration_since(order.time).as_secs().try_into().unwrap_or_default();
        line("loses", format!("what was written in the {} since", duration(Duration::from_secs(lost))))?;
        line("into", format!("{} on {}", order.target, order.host))?;
        let (files, bytes, replaced) = (count(plan.files), size(plan.bytes), count(plan.replaced));
        line("writes", format!("{files} files, {bytes}; {replaced} are replaced and kept beside"))?;
        line("room", format!("needs {}, {} are free", size(plan.needed_bytes), size(plan.free_bytes)))?;
        line("agree", format!("{approvals} must"))?;
        for command in order.checks.commands() {
            line("check", typed(command))?;
        }
        for (when, command) in part.into_iter().flat_map(|part| part.commands()) {
            line(when, shown(command))?;
        }
        plan.warnings.iter().try_for_each(|warning| write!(out, "{warning}"))
    }
}

/// A command, and what it must print.
pub(super) fn shown(command: &PartCommand) -> String {
    let prints = command.prints.as_ref().map(|prints| format!(", which must print {prints:?}"));
    format!("{}{}", typed(&command.run), prints.unwrap_or_default())
}
