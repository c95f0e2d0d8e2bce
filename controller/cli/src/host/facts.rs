//! `strongroom host show` and `host facts`: what is known of a host.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use strongroom_controller::hosts::HostView;
use strongroom_proto::operator::HostFactsRequest;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::ControllerArgs;
use crate::output::Answer;
use crate::shown::{Align, Table, size, time};

/// Show what the site and the controller know of a host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom host show web1
  strongroom host show web1 --json | jq .uncovered")]
pub(crate) struct ShowArgs {
    /// The host
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    controller: ControllerArgs,
}

/// Show what a host is and has, as its worker told it
#[derive(Debug, Args)]
#[command(after_help = "\
The controller asks each host once a day, after a boot, and when its worker was exchanged. A database \
counts as backed up when a plan of the host reads its data directory.

Examples:
  strongroom host facts web1
  strongroom host facts web1 --refresh
  strongroom host facts web1 --packages
  strongroom host facts web1 --json | jq -r '.known.gathered.facts.packages[] | \"\\(.name) \\(.version)\"'")]
pub(crate) struct FactsArgs {
    /// The host
    #[arg(value_name = "NAME")]
    name: String,

    /// Ask the host now
    #[arg(long)]
    refresh: bool,

    /// List the packages, too
    #[arg(long)]
    packages: bool,

    #[command(flatten)]
    controller: ControllerArgs,
}

pub(super) fn show(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let view = ask(&args.name, false, &args.controller, context)?;
    context.output.answer(&Overview(view))?;
    Ok(Exit::Success)
}

pub(super) fn facts(args: &FactsArgs, context: &Context) -> Result<Exit, Failure> {
    let view = ask(&args.name, args.refresh, &args.controller, context)?;
    context.output.answer(&Facts { view, lists_packages: args.packages })?;
    Ok(Exit::Success)
}

fn ask(host: &str, refresh: bool, controller: &ControllerArgs, context: &Context) -> Result<HostView, Failure> {
    let controller = controller.connect(context)?;
    let mut client = controller.client();
    let call = client.host_facts(HostFactsRequest { host: host.to_owned(), refresh });
    controller.ask(&format!("show the host {host}"), context, call)
}

/// Has a controller ask a host, if one runs here that knows it. One that does not is told nothing: its controller asks once a day.
pub(super) fn try_refresh(host: &str, controller: &ControllerArgs, context: &Context) {
    let Ok(running) = controller.connect(context) else { return };
    let mut client = running.client();
    let call = client.host_facts(HostFactsRequest { host: host.to_owned(), refresh: true });
    if let Err(failure) = running.ask::<HostView>("ask the host for its facts", context, call) {
        context.say(&failure.to_string());
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Overview(HostView);

impl Answer for Overview {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let host = &self.0.host;
        let labels: Vec<String> = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let or = |text: String, none: &str| if text.is_empty() { none.to_owned() } else { text };
        line(out, "host", &host.name)?;
        line(out, "address", &format!("{}:{}", host.address, host.port))?;
        line(out, "labels", &or(labels.join(" "), "none"))?;
        line(out, "plans", &or(host.plans.join(" "), "none: it is not backed up"))?;
        write_known(&self.0, out)
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Facts {
    view: HostView,
    #[serde(skip)]
    lists_packages: bool,
}

impl Answer for Facts {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        line(out, "host", &self.view.host.name)?;
        write_known(&self.view, out)?;
        let Some(gathered) = self.view.known.as_ref().and_then(|known| known.gathered.as_ref()) else { return Ok(()) };
        write_listening(&gathered.facts, out)?;
        let packages = list(&gathered.facts["packages"]);
        if !self.lists_packages || packages.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&[("PACKAGE", Align::Left), ("VERSION", Align::Left), ("FOR", Align::Left)]);
        let cells = |package: &Value| ["name", "version", "architecture"].map(|key| text(&package[key]));
        packages.iter().for_each(|package| table.row(cells(package)));
        writeln!(out)?;
        table.write(out)
    }
}

/// What both commands show: who answers there, what it runs, its disks, and what is wrong.
fn write_known(view: &HostView, out: &mut dyn Write) -> io::Result<()> {
    let Some(known) = &view.known else { return line(out, "seen", "never") };
    line(out, "seen", &time(known.seen))?;
    line(out, "worker", &plain(&known.worker))?;
    line(out, "boot id", &plain(&known.boot_id))?;
    let Some(gathered) = &known.gathered else {
        return line(out, "facts", "none yet: strongroom host facts NAME --refresh asks for them");
    };
    let facts = &gathered.facts;
    line(out, "facts of", &time(gathered.at))?;
    line(out, "system", &text(&facts["os"]["name"]))?;
    line(out, "kernel", &format!("{} {}", text(&facts["kernel"]["release"]), text(&facts["kernel"]["machine"])))?;
    line(out, "clock", &clock(gathered.clock_ahead_ms, gathered.clock_error_ms, &facts["clock"]))?;
    line(out, "packages", &list(&facts["packages"]).len().to_string())?;
    let failed = list(&facts["units"]).iter().filter(|unit| unit["state"] == "failed");
    let failed: Vec<String> = failed.map(|unit| text(&unit["name"])).collect();
    line(out, "failed units", if failed.is_empty() { "none".into() } else { failed.join(" ") }.as_str())?;
    for database in &view.uncovered {
        let place = match &database.data_directory {
            Some(directory) => format!("no plan of this host backs up {}", plain(directory)),
            None => "where its data are is not known, so no plan is known to back them up".into(),
        };
        line(out, "NOT BACKED UP", &format!("{} (process {}): {place}", plain(&database.engine), database.pid))?;
    }
    write_mounts(facts, out)
}

fn write_mounts(facts: &Value, out: &mut dyn Write) -> io::Result<()> {
    let columns = [("MOUNT", Align::Left), ("KIND", Align::Left), ("SIZE", Align::Right), ("FREE", Align::Right)];
    let mut table = Table::new(&columns);
    let bytes = |value: &Value| value.as_u64().map_or_else(|| "?".into(), size);
    for mount in list(&facts["mounts"]) {
        let cells = [text(&mount["path"]), text(&mount["kind"])];
        table.row(cells.into_iter().chain([bytes(&mount["bytes-total"]), bytes(&mount["bytes-free"])]));
    }
    writeln!(out)?;
    table.write(out)
}

fn write_listening(facts: &Value, out: &mut dyn Write) -> io::Result<()> {
    let columns = [("LISTENING", Align::Left), ("PORT", Align::Right), ("BY", Align::Left)];
    let mut table = Table::new(&columns);
    for socket in list(&facts["listening"]) {
        let place = format!("{} {}", text(&socket["protocol"]), text(&socket["address"]));
        table.row([place, socket["port"].to_string(), text(&socket["process"])]);
    }
    writeln!(out)?;
    table.write(out)
}

fn clock(ahead_ms: i64, error_ms: i64, facts: &Value) -> String {
    let kept = match facts["is-synchronised"].as_bool() {
        Some(true) => "kept right",
        Some(false) => "not kept right by any service",
        None => "not known whether it is kept right",
    };
    let side = if ahead_ms < 0 { "behind" } else { "ahead" };
    format!("{} ms {side} (± {error_ms} ms), {kept}", ahead_ms.unsigned_abs())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    plain(value.as_str().unwrap_or("?"))
}

/// What a host says is printed on our terminal: it must not steer that.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char }).collect()
}

fn line(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{name:<14} {value}")
}
