//! `strongroom plan check`: everything that is wrong with plans, at once.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_plans::{Faults, decode, parse};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::plan_file;

/// Check plan files: all faults at once, each with its place, its reason and what to do
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom plan check plans/examples/*.yaml
  strongroom plan check billing.yaml --json | jq -r '.[].faults[].code'")]
pub(crate) struct CheckArgs {
    /// The plan files
    #[arg(value_name = "PLAN", required = true)]
    plans: Vec<PathBuf>,
}

pub(crate) fn run(args: &CheckArgs, context: &Context) -> Result<Exit, Failure> {
    let checked = args.plans.iter().map(|path| check(path)).collect::<Result<Vec<_>, _>>()?;
    let any_fault = checked.iter().any(|checked| checked.faults.is_some());
    context.output.answer(&CheckedPlans(checked))?;
    Ok(if any_fault { Exit::Usage } else { Exit::Success })
}

fn check(path: &Path) -> Result<Checked, Failure> {
    let text = plan_file::read(path, "check the plan")?;
    let file = path.display().to_string();
    let parsed = decode(&file, &text).and_then(|text| parse(&file, text));
    Ok(match parsed {
        Ok(plan) => Checked { file, name: Some(plan.name().to_string()), faults: None },
        Err(faults) => Checked { file, name: None, faults: Some(faults) },
    })
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct CheckedPlans(Vec<Checked>);

/// One file; either its plan's name or its faults.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    faults: Option<Faults>,
}

impl Answer for CheckedPlans {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for Checked { file, name, faults } in &self.0 {
            match faults {
                Some(faults) => writeln!(out, "{faults}\n")?,
                None => writeln!(out, "{file}: plan {} is sound", name.as_deref().unwrap_or_default())?,
            }
        }
        Ok(())
    }
}
