//! `strongroom host list`: the site's hosts, and what covers them.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_controller::hosts::HostView;
use strongroom_proto::operator::HostsRequest;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::ControllerArgs;
use crate::output::Answer;
use crate::shown::{Align, Table, time};

use super::facts::plain;

/// List the hosts, the plans that cover them, and when each was last seen
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom host list
  strongroom host list --json | jq -r '.[].host | select(.plans == []) | .name'")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    controller: ControllerArgs,
}

pub(super) fn run(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let controller = args.controller.connect(context)?;
    let mut client = controller.client();
    let hosts = controller.ask("list the hosts", context, client.hosts(HostsRequest::default()))?;
    context.output.answer(&Hosts(hosts))?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Hosts(Vec<HostView>);

impl Answer for Hosts {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("HOST", Align::Left),
            ("ADDRESS", Align::Left),
            ("LABELS", Align::Left),
            ("WORKER", Align::Left),
            ("LAST SEEN", Align::Left),
            ("PLANS", Align::Left),
        ]);
        for HostView { host, known, .. } in &self.0 {
            let labels: Vec<String> = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let plans = if host.plans.is_empty() { "none: it is not backed up".into() } else { host.plans.join(" ") };
            let address = format!("{}:{}", host.address, host.port);
            let worker = known.as_ref().map_or_else(|| "?".into(), |known| plain(&known.worker));
            let seen = known.as_ref().map_or_else(|| "never".into(), |known| time(known.seen));
            table.row([host.name.clone(), address, labels.join(" "), worker, seen, plans]);
        }
        table.write(out)
    }
}
