//! `strongroom restore plan`: what an approval is for, as the hash has it.

use std::io::{self, Write};

use clap::Args;
use strongroom_controller::requests::ApprovalScope;
use strongroom_proto::operator::RestoreReference;

use super::decide::RequestArg;
use super::requests::Told;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// Show what those who agree to a request agree to: the fields over which the hash of its plan is made
#[derive(Debug, Args)]
#[command(after_help = "\
With --json the very bytes, without a line's end, so that any BLAKE3 tells the hash.

Examples:
  strongroom restore plan HF-2026-000001
  strongroom restore plan HF-2026-000001 --json | b3sum --no-names")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    request: RequestArg,
}

struct Fields<'s>(&'s ApprovalScope);

impl serde::Serialize for Fields<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.fields().serialize(serializer)
    }
}

impl Answer for Fields<'_> {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (name, value) in self.0.fields() {
            writeln!(out, "{name:<16} {value}")?;
        }
        writeln!(out, "{:<16} {}", "BLAKE3", self.0.hash())
    }
}

impl PlanArgs {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let controller = self.request.controller.connect(context)?;
        let mut client = controller.client();
        let call = client.show_restore(RestoreReference { request: self.request.number.clone() });
        let told: Told = controller.ask(&format!("show {}", self.request.number), context, call)?;
        let scope = told.scope();
        match context.output.format() {
            Format::Text => context.output.answer(&Fields(scope))?,
            Format::Json => {
                let mut out = context.output.items();
                out.bytes(&scope.canonical())?;
                out.finish()?;
            }
        }
        Ok(Exit::Success)
    }
}
