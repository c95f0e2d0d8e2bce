//! `strongroom backup`: one snapshot of this host's files, or of a stream.

mod preview;
mod summary;

pub(crate) use summary::write_totals;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use strongroom_plans::ByteSize;
use strongroom_repository::text::escape;
use strongroom_repository::{Repository, SnapshotKind};
use strongroom_worker::backup::{self, BackupEvent, BackupOptions, BackupReport, EventSink, Input, Room};
use strongroom_worker::exclude::{Caches, Excludes, Mounts};
use strongroom_worker::pace::Pace;
use strongroom_worker::progress::Progress;
use strongroom_worker::remarks::Remark;

use crate::access::{Opened, RepositoryArgs};
use crate::choice;
use crate::context::Context;
use crate::copies::{self, Act, Filled};
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::place_memory::PlaceMemory;
use crate::progress::{self, Talk};
use crate::room;
use summary::Made;

/// Back up files and directories, or a stream, into one snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
What did not change since the last backup of the same paths is not read again. A file that cannot be \
read is reported and counted, and the command ends with 3; everything else is safe then. Stopped at \
any moment, it leaves nothing half done behind.

Examples:
  strongroom backup --repo /srv/backup /etc /home
  strongroom backup --repo /srv/backup --exclude '*.tmp' --exclude-caches /srv
  strongroom backup --repo /srv/backup --full --tag reason=quarterly /etc
  strongroom backup --repo /srv/backup --copy s3://backups/main /etc
  pg_dumpall | strongroom backup --repo /srv/backup --stdin dumps/all.sql")]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    repository: RepositoryArgs,

    /// Bring this host's snapshots into this copy of the repository, too, without reading the source again; may be given more than once
    #[arg(long = "copy", value_name = "URL", help_heading = "Copies")]
    copies: Vec<String>,

    /// What to back up
    #[arg(value_name = "PATH", required_unless_present = "stdin")]
    paths: Vec<PathBuf>,

    /// Read every byte again, whatever is known of the last backup
    #[arg(long)]
    full: bool,

    /// A label for the snapshot; may be given more than once
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,

    /// Leave out names (*.tmp), or paths from / on (/srv/scratch); may be given more than once
    #[arg(long = "exclude", value_name = "PATTERN")]
    excludes: Vec<String>,

    /// Leave out the content of directories with a CACHEDIR.TAG
    #[arg(long)]
    exclude_caches: bool,

    /// Stay out of other file systems below the paths
    #[arg(long)]
    one_file_system: bool,

    /// Leave out files above this size, such as `500 MB` or `1 GiB`
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    exclude_larger_than: Option<u64>,

    /// The host that the snapshot is of [default: this host's name]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// Back up standard input, under this path in the snapshot
    #[arg(long, value_name = "NAME", conflicts_with_all = ["paths", "excludes", "exclude_caches", "one_file_system", "exclude_larger_than"])]
    stdin: Option<PathBuf>,

    /// Leave this much free where the repository lies [default: a hundredth of the file system, at most 1 GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    reserve: Option<u64>,

    /// Only look at what would be backed up
    #[arg(long, conflicts_with = "stdin")]
    dry_run: bool,
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() { Err("the name is empty".into()) } else { Ok((name.to_owned(), value.to_owned())) }
}

fn parse_size(text: &str) -> Result<u64, String> {
    text.parse::<ByteSize>().map(ByteSize::bytes).map_err(|refusal| refusal.to_string())
}

pub(crate) fn run(args: &BackupArgs, context: &Context) -> Result<Exit, Failure> {
    let mut request = args.request()?;
    let opened = args.repository.open(context)?;
    if let Some(folder) = opened.location.folder() {
        leave_out_repository(&mut request.input, folder, context)?;
    }
    if args.dry_run {
        let preview = preview::look(&opened.repository, &request, context)?;
        context.output.answer(&preview)?;
        return Ok(preview.exit());
    }
    PlaceMemory::of(&opened, context)?.check(opened.repository.id(), context)?;
    let room = room::for_backup(&opened, args.reserve, context)?;
    let host = request.host.clone();
    let report = make(&opened.repository, request, room, context)?;
    room::note_added(&opened, report.totals.bytes_stored, context);
    let mut exit = Exit::from(&report);
    let mut copied = Vec::with_capacity(args.copies.len());
    let mut first_failure = None;
    for url in &args.copies {
        match fill_copy(&opened, url, &host, context) {
            Ok(filled) => copied.push(filled),
            Err(failure) => drop(first_failure.get_or_insert(failure)),
        }
    }
    if let Some(worse) = copied.iter().map(Filled::exit).find(|exit| *exit != Exit::Success) {
        exit = worse;
    }
    context.output.answer(&Made { host, report, copied })?;
    first_failure.map_or(Ok(exit), Err)
}

/// Brings what the copy lacks of this host.
fn fill_copy(opened: &Opened, url: &str, host: &str, context: &Context) -> Result<Filled, Failure> {
    let of_host = choice::all(opened, context)?.readable;
    let wanted = copies::picked(&of_host, |snapshot| snapshot.manifest.host == host);
    let filled = copies::fill(opened, url, Some(&wanted), Act::ForReal, context);
    filled.map_err(|failure| {
        failure.advise(format!(
            "the backup is safe where it is; `strongroom repo copy {} {url}` brings the copy up to date",
            opened.location
        ))
    })
}

/// What one backup is to hold.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) input: Input,
    pub(crate) kind: SnapshotKind,
    pub(crate) host: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// None for one for each processor.
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) pace: Arc<Pace>,
}

impl BackupArgs {
    fn request(&self) -> Result<Request, Failure> {
        Ok(Request {
            input: self.input()?,
            kind: if self.full { SnapshotKind::Full } else { SnapshotKind::Incremental },
            host: self.host.clone().map_or_else(host_name, Ok)?,
            tags: self.tags.iter().cloned().collect(),
            threads: None,
            pace: Arc::default(),
        })
    }

    fn input(&self) -> Result<Input, Failure> {
        if let Some(name) = &self.stdin {
            return Ok(Input::Stream { name: name.clone(), reader: Box::new(std::io::stdin()) });
        }
        let absolute = |path: &PathBuf| {
            let failed = |source| Cause::File { doing: "find", path: path.clone(), source };
            std::path::absolute(path).map_err(failed).doing(|| format!("back up {}", path.display()))
        };
        let sources = self.paths.iter().map(absolute).collect::<Result<_, _>>()?;
        Ok(Input::Files { root: "/".into(), sources, excludes: self.rules() })
    }

    fn rules(&self) -> Excludes {
        Excludes {
            patterns: self.excludes.clone(),
            caches: if self.exclude_caches { Caches::LeaveOut } else { Caches::Keep },
            mounts: if self.one_file_system { Mounts::StayOut } else { Mounts::Cross },
            larger_than_bytes: self.exclude_larger_than,
        }
    }
}

/// A repository in what is backed up would hold itself, and grow with every run.
fn leave_out_repository(input: &mut Input, repository: &Path, context: &Context) -> Result<(), Failure> {
    let Input::Files { sources, excludes, .. } = input else { return Ok(()) };
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let repository = real(repository);
    if let Some(inside) = sources.iter().find(|source| real(source).starts_with(&repository)) {
        let why = Cause::Usage("it is the repository itself, or part of it".into());
        let failure = Failure::new(format!("back up {}", inside.display()), why);
        return Err(failure.advise("give other paths; to keep a second copy of a repository, copy its folder"));
    }
    if !sources.iter().any(|source| repository.starts_with(real(source))) {
        return Ok(());
    }
    let Some(text) = repository.to_str() else {
        let why = Cause::Usage("the repository lies in it, and its path is not UTF-8".into());
        return Err(Failure::new("leave the repository out", why).advise("give paths that the repository is not in"));
    };
    excludes.patterns.push(globset::escape(text));
    context.say(&format!("note: the repository {text} lies in what is backed up and is left out"));
    Ok(())
}

/// This host's name, as the kernel has it.
pub(crate) fn host_name() -> Result<String, Failure> {
    const PATH: &str = "/proc/sys/kernel/hostname";
    let failed = |source| Cause::File { doing: "read", path: PATH.into(), source };
    let name = std::fs::read_to_string(PATH).map_err(failed).doing(|| "find out this host's name".into());
    name.map(|name| name.trim().to_owned()).map_err(|failure| failure.advise("give it with --host NAME"))
}

/// Where the worker keeps what it remembers of sources.
pub(crate) fn state_folder(context: &Context) -> Result<PathBuf, Failure> {
    Ok(context.state_dir()?.join("sources"))
}

/// Program and version, for records.
pub(crate) fn program() -> String {
    format!("strongroom {}", env!("CARGO_PKG_VERSION"))
}

/// Makes a backup.
pub(crate) fn make(
    repository: &Arc<Repository>,
    request: Request,
    room: Room,
    context: &Context,
) -> Result<BackupReport, Failure> {
    let what = match &request.input {
        Input::Files { sources, .. } => {
            let shown: Vec<String> = sources.iter().map(|path| escape(path.as_os_str().as_encoded_bytes())).collect();
            format!("back up {}", shown.join(" "))
        }
        Input::Stream { name, .. } => format!("back up the stream '{}'", name.display()),
    };
    let options = BackupOptions {
        input: request.input,
        kind: request.kind,
        host: request.host,
        tags: request.tags,
        state_folder: state_folder(context)?,
        uploads: NonZeroUsize::MIN,
        threads: request.threads.unwrap_or_else(|| context.threads()),
        pace: request.pace,
        room,
        now: Timestamp::now(),
        program: program(),
    };
    let progress = Arc::new(Progress::default());
    let bar = progress::watch_worker(context, "backing up", &progress);
    let stop = async { _ = context.signals.arrived().await };
    let running = backup::run_until(Arc::clone(repository), options, progress, tell(bar.talk()), stop);
    let made = context.serve(running);
    bar.finish();
    made.map_err(|error| match context.signals.received() {
        Some(signal) => Failure::new(what, Cause::Stopped(signal)),
        None => Failure::new(what, error),
    })
}

/// So many problems are told as they come; the rest are in the snapshot.
const PROBLEMS_TOLD_MAX: u64 = 100;

/// Tells problems at once, and the rest to the log.
fn tell(talk: Talk) -> EventSink {
    let mut problems = 0;
    Box::new(move |event| match event {
        BackupEvent::Remark(Remark::Problem(problem)) => {
            problems += 1;
            let path = escape(&problem.path);
            match problems {
                ..=PROBLEMS_TOLD_MAX => talk.say(&format!("problem: /{path}: {problem}: {}", problem.source)),
                _ => tracing::info!(path, error = %problem.source, "problem"),
            }
        }
        BackupEvent::Remark(Remark::Notice { path, notice }) => tracing::info!(path = escape(&path), "{notice}"),
        BackupEvent::StateUsed { parent } => tracing::info!(%parent, "building on the last backup"),
        BackupEvent::StateLeftAside(why) => {
            tracing::info!(%why, "every file is read: nothing is known of an earlier backup")
        }
        BackupEvent::BeginsAgain { why } => talk.say(&format!("backing up once more: {why}")),
        BackupEvent::Committed { snapshot } => tracing::info!(%snapshot, "committed"),
        BackupEvent::StateNotKept(why) => {
            talk.say(&format!("warning: the next backup will read every file again: {why}"))
        }
    })
}
