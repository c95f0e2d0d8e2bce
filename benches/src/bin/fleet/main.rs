//! `fleet`: what a controller of a thousand hosts costs, and how fast its gateway is.
//!
//! The script `benches/fleet` builds what this needs and starts it. Tables go to standard output and to `FLEET.md`, talk to standard error. Deliberately absent: any
//! judgement; whether a figure is good enough is for its reader.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a program at the terminal")]

mod gateway;
mod host_side;
mod hosts;
#[path = "../peers/machine.rs"]
#[expect(dead_code, reason = "the other program asks for more")]
mod machine;
mod process;
mod schedule;
#[path = "../../../../controller/tests/controller/simulated.rs"]
mod simulated;
mod spread;
mod sshd;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};

/// Measures the controller and its gateway.
#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All of it, into FLEET.md
    All(All),
    /// The host's end of the gateway; started by this program itself
    #[command(hide = true)]
    HostSide(host_side::Order),
}

#[derive(Debug, Args)]
struct All {
    /// The date that the results bear
    #[arg(long)]
    date: String,
    /// How many rounds
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Where packs are stored and the journal is kept
    #[arg(long, default_value = "/var/tmp")]
    folder: PathBuf,
    /// The worker's program, whose forced command is used
    #[arg(long)]
    worker: PathBuf,
    /// The file that the tables are put into
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/FLEET.md"))]
    results: PathBuf,
    /// Only these
    #[arg(long, value_delimiter = ',', default_values = ["schedule", "hosts", "gateway"])]
    only: Vec<String>,
}

fn main() -> Result<()> {
    match CommandLine::parse().command {
        Command::All(order) => all(&order),
        Command::HostSide(order) => host_side::run(&order),
    }
}

fn all(order: &All) -> Result<()> {
    let machine = machine::describe(&order.folder)?;
    let mut text = format!(
        "# A controller with many hosts, and its gateway\n\nWritten by `benches/fleet`. {}, {machine}\n",
        order.date
    );
    for name in &order.only {
        eprintln!("measuring: {name}");
        text.push('\n');
        text.push_str(&match name.as_str() {
            "schedule" => schedule::measure()?,
            "hosts" => hosts::measure(&order.folder)?,
            "gateway" => gateway::measure(&order.folder, &order.worker, order.runs)?,
            other => anyhow::bail!("there is no measurement '{other}'"),
        });
    }
    println!("{text}");
    fs::write(&order.results, text).with_context(|| format!("writing {}", order.results.display()))
}
