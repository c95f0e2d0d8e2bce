//! The `strongroom` program: the command line on top of the engine. It is the only package that knows both the controller and the worker's library.
//!
//! A command's way through this crate, which is also the order of the modules:
//!
//! 1. `command_line`: the arguments, as each command's own module declares them.
//! 2. `context`: what every command gets: folders, output, a runtime to wait with, the signals.
//! 3. `access`, `key_file`, `key_sheet`, `passphrase`: a location and a key become an open repository; `choice`: words become a snapshot and a path.
//! 4. One module for each family of commands.
//! 5. `output`, `shown`, `progress`: answers go to standard output, talk to standard error.
//! 6. `failure`, `advice`, `exit`: what could not be done, why, what to do next, and the exit code.
//!
//! Deliberately absent: a passphrase or key on the command line or plain in the environment; any output of a secret but that of `key sheet`, whose
//! purpose it is.

mod command_line;
mod confirm;
mod context;
mod copies;
mod places;
mod plan;
mod plan_file;
mod signals;
mod site_directory;

mod access;
mod choice;
mod key_file;
mod key_sheet;
mod passphrase;
mod place_memory;
mod room;
mod state_file;
mod store_place;

mod backup;
mod cat;
mod check;
mod diff;
mod find;
mod fleet;
mod forget;
mod hold;
mod host;
mod inspect;
mod key;
mod ls;
mod mount;
mod own_state;
mod record;
mod recover;
mod repo;
mod restore;
mod run;
mod serve;
mod site;
mod snapshots;

mod output;
mod progress;
mod shown;

mod advice;
mod exit;
mod failure;

use std::io::{Write, stderr};
use std::process::ExitCode;

use clap::Parser;

use command_line::CommandLine;
use context::Context;
use exit::Exit;
use failure::Failure;
use output::Format;

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let format = command_line.global.format();
    let exit = match run(command_line) {
        Ok(exit) => exit,
        Err(failure) if failure.is_closed_output() => Exit::Success,
        Err(failure) => {
            report(&failure, format);
            failure.exit()
        }
    };
    ExitCode::from(exit.code())
}

fn run(command_line: CommandLine) -> Result<Exit, Failure> {
    let context = Context::new(command_line.global)?;
    command_line.command.run(&context)
}

/// Says what went wrong; nobody is left to tell if standard error is closed too.
fn report(failure: &Failure, format: Format) {
    let mut out = stderr().lock();
    let _ = match format {
        Format::Text => failure.write_text(&mut out),
        Format::Json => failure.write_json(&mut out),
    };
    let _ = out.flush();
}
