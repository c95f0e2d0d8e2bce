//! `strongroom notify`: whether people would be told.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde::Serialize;
use strongroom_controller::notify::Tested;
use strongroom_proto::operator::TestNoticesRequest;

use super::ControllerArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::{Align, Table};

/// Test the ways by which people are told
#[derive(Debug, Subcommand)]
pub(crate) enum NotifyCommand {
    Test(TestArgs),
}

/// Send a test notice by each way of the site
#[derive(Debug, Args)]
#[command(after_help = "\
The running controller sends it, by its own account, files and network, and at once. Ends with 1 if a \
way did not take it.

Examples:
  strongroom notify test
  strongroom notify test --way on-call
  strongroom notify test --json | jq -r '.[] | select(.fault) | .way'")]
pub(crate) struct TestArgs {
    /// By this way only: its name in site.yaml, or its number if it has none
    #[arg(long, value_name = "NAME")]
    way: Option<String>,

    /// Only show the ways
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

impl NotifyCommand {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let Self::Test(args) = self;
        let controller = args.controller.connect(context)?;
        let mut client = controller.client();
        let request = TestNoticesRequest { way: args.way.clone().unwrap_or_default(), dry_run: args.dry_run };
        let call = client.test_notices(request);
        let tested: Vec<Tested> = controller.ask("send a test notice", context, call)?;
        let exit = if tested.iter().any(|tested| tested.fault.is_some()) { Exit::Failed } else { Exit::Success };
        if tested.is_empty() {
            context.say("site.yaml has no `notifications`: nobody is told of anything");
        }
        context.output.answer(&Shown(tested))?;
        Ok(exit)
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(Vec<Tested>);

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[("WAY", Align::Left), ("BY", Align::Left), ("", Align::Left)]);
        for tested in &self.0 {
            let became = match (&tested.fault, tested.sent) {
                (Some(fault), _) => format!("failed: {fault}"),
                (None, true) => "sent".into(),
                (None, false) => "not tried".into(),
            };
            table.row([tested.way.clone(), tested.by.clone(), became]);
        }
        table.write(out)
    }
}
