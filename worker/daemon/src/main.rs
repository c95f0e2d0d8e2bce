//! `strongroom-worker`: the command line of the program on a host.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use strongroom_worker::ready_check::{Finding, ReadyCheck};
use strongroom_worker_daemon::connect::{self, ConnectError};
use strongroom_worker_daemon::facts;
use strongroom_worker_daemon::serve::{self, Folders};
use strongroom_worker_daemon::storage::{self, Rights};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The part of Strongroom that runs on a host: backs it up for the controller, and is told what to do by nobody else
#[derive(Debug, Parser)]
#[command(name = "strongroom-worker", version, after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  strongroom-worker serve
  strongroom-worker facts
  In authorized_keys, the key that the controller comes with:
  restrict,command=\"/usr/bin/strongroom-worker connect\" ssh-ed25519 AAAA... strongroom

Exit codes:
  0  done
  1  failed
  2  the command line is wrong, or 'connect' was asked for something else
  3  'connect' found no daemon";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    #[command(after_help = "\
The service manager starts it, hears when it is ready, and is told every so often that it lives. SIGTERM and Ctrl-C \
let each job finish its step; what was running is taken up again at the next start. Logs go to standard error, and \
RUST_LOG says how much.

Examples:
  strongroom-worker serve
  strongroom-worker serve --run-dir /tmp/w/run --state-dir /tmp/w/state --cache-dir /tmp/w/cache")]
    Serve(ServeArgs),
    /// Join standard input and output to the daemon; the forced command of the controller's key
    #[command(after_help = "\
SSH_ORIGINAL_COMMAND says which of the daemon's sockets: 'control' or 'gateway'. Anything else is refused.

Example:
  SSH_ORIGINAL_COMMAND=control strongroom-worker connect

Exit codes:
  0  the connection ended
  1  it failed
  2  something else was asked for
  3  the daemon is not running")]
    Connect(ConnectArgs),
    /// Serve one folder as a store on standard input and output; the forced command of a storage host's key
    #[command(after_help = "\
What 'gateway://user@host/folder' leads to, and sftp:// with the same key. The folder must be there. With this key \
objects are added and read; nothing is overwritten, and nothing deleted unless --may-delete is given: keep that for \
the key of whoever prunes.

Examples, in authorized_keys of the storage host:
  restrict,command=\"/usr/bin/strongroom-worker store /srv/backup\" ssh-ed25519 AAAA... controller
  restrict,command=\"/usr/bin/strongroom-worker store --may-delete /srv/backup\" ssh-ed25519 AAAA... who-prunes

Exit codes:
  0  the client is gone
  1  it failed")]
    Store(StoreArgs),
    /// Print what the host is and has, as JSON
    #[command(after_help = "\
What cannot be found out is left out.

Example:
  strongroom-worker facts | jq .mounts")]
    Facts,
    #[command(subcommand)]
    Check(ReadyCheck),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Where the sockets are
    #[arg(long, value_name = "DIR", default_value = "/run/strongroom")]
    run_dir: PathBuf,
    /// Where jobs and keys are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/strongroom")]
    state_dir: PathBuf,
    /// Where is kept what can be fetched again
    #[arg(long, value_name = "DIR", default_value = "/var/cache/strongroom")]
    cache_dir: PathBuf,
}

#[derive(Debug, Args)]
struct ConnectArgs {
    /// Where the sockets are
    #[arg(long, value_name = "DIR", default_value = "/run/strongroom")]
    run_dir: PathBuf,
}

#[derive(Debug, Args)]
struct StoreArgs {
    /// The folder, by its whole path
    folder: PathBuf,
    /// Let this key delete what is stored
    #[arg(long)]
    may_delete: bool,
}

fn main() -> ExitCode {
    let ended = match CommandLine::parse().command {
        Command::Serve(args) => serve(args),
        Command::Connect(args) => connect(&args),
        Command::Store(args) => store(&args),
        Command::Facts => print_line(&facts::gather(Timestamp::now()).to_json()),
        Command::Check(check) => return compared(&check.look(Timestamp::now())),
    };
    exit(ended)
}

fn exit(ended: Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::from(error.downcast_ref().map_or(1, ConnectError::exit_code))
        }
    }
}

/// One line: whoever reads it sees it through SSH, or in a log.
#[expect(clippy::print_stderr, reason = "the program's edge: errors are told here and nowhere else")]
fn say(error: &anyhow::Error) {
    eprintln!("strongroom-worker: {}", strongroom_repository::chain(error.as_ref()));
}

fn serve(args: ServeArgs) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let folders = Folders { run: args.run_dir, state: args.state_dir, cache: args.cache_dir };
    let served = runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        serve::run(&folders, Timestamp::now, shutdown).await.map_err(anyhow::Error::from)
    });
    // What has not stopped by now is found in the ledger at the next start.
    runtime.shutdown_background();
    served
}

fn connect(args: &ConnectArgs) -> Result<()> {
    let command = std::env::var_os("SSH_ORIGINAL_COMMAND");
    Ok(connect::run(command.as_deref(), &args.run_dir)?)
}

fn store(args: &StoreArgs) -> Result<()> {
    // One client, whose requests are answered one after the other; what blocks is done beside.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let rights = if args.may_delete { Rights::Delete } else { Rights::Add };
    Ok(runtime.block_on(storage::serve(&args.folder, rights))?)
}

/// One that does not agree has failed, as far as whoever runs it is concerned.
fn compared(finding: &Finding) -> ExitCode {
    match print_line(finding) {
        Ok(()) if !finding.agrees => ExitCode::FAILURE,
        printed => exit(printed),
    }
}

fn print_line(text: &impl Display) -> Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{text}").context("cannot write to standard output")
}
