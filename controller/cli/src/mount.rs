//! `strongroom mount`: a repository to look around in.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strongroom_repository::RepositoryId;
use strongroom_worker::mount::{self, Mounted, Visitors};

use crate::access::RepositoryArgs;
use crate::context::Context;
use crate::copies::CopiesArgs;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::output::Answer;
use crate::shown;

/// Show all snapshots as a read-only directory
#[derive(Debug, Args)]
#[command(after_help = "\
There is one directory for each snapshot, by its time and the beginning of its id, and a link to the latest. Nothing \
is fetched before it is looked at. It stays until Ctrl-C, SIGTERM or `umount DIR`. Needs /dev/fuse, and fusermount3 \
for users other than root. For a proven copy use `strongroom restore`.

Examples:
  strongroom mount --repo /srv/backup /mnt/backup
  ls -l /mnt/backup/latest/etc
  umount /mnt/backup")]
pub(crate) struct MountArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    copies: CopiesArgs,

    /// An empty directory to mount at
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Let every user of this machine look, each as far as the modes of the files allow
    #[arg(long)]
    allow_other: bool,
}

pub(crate) fn run(args: &MountArgs, context: &Context) -> Result<Exit, Failure> {
    let what = || format!("mount the repository at {}", args.directory.display());
    let directory = directory(args)?;
    let opened = args.repository.open_with(&args.copies, context)?;
    let visitors = if args.allow_other { Visitors::Everybody } else { Visitors::Owner };
    let mounting = mount::mount(&opened.repository, &directory, visitors, context.handle().clone());
    let mut mounted = context.wait(&what(), mounting)?;
    let answer = Shown { directory, location: opened.location.to_string(), repository: opened.repository.id() };
    context.output.answer(&answer)?;
    let ended = context.wait(&what(), async {
        mounted.ended().await;
        Ok::<_, Cause>(())
    });
    match ended {
        // To be stopped is the usual end of a mount.
        Err(failure) if matches!(failure.exit(), Exit::Stopped(_)) => unmount(mounted, args),
        ended => {
            ended?;
            // The kernel has let go of it already, so this only waits for the threads; that there is nothing to unmount is no failure.
            let _ = mounted.unmount();
            Ok(Exit::Success)
        }
    }
}

fn directory(args: &MountArgs) -> Result<PathBuf, Failure> {
    let failed = |source| Cause::File { doing: "find", path: args.directory.clone(), source };
    let what = || format!("mount at {}", args.directory.display());
    let directory = args.directory.canonicalize().map_err(failed).doing(what);
    let directory =
        directory.map_err(|failure| failure.advise(format!("mkdir -p {}", shown::shell_word(&args.directory))))?;
    if directory.is_dir() {
        return Ok(directory);
    }
    Err(Failure::new(what(), Cause::Usage("it is not a directory".into())).advise("give an empty directory"))
}

fn unmount(mounted: Mounted, args: &MountArgs) -> Result<Exit, Failure> {
    let unmounted = mounted.unmount().doing(|| format!("unmount {}", args.directory.display()));
    unmounted.map(|()| Exit::Success).map_err(|failure| {
        let directory = shown::shell_word(&args.directory);
        failure.advise(format!("close what looks into it (`fuser -m {directory}` lists it), then `umount {directory}`"))
    })
}

/// What is mounted, and where.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Shown {
    directory: PathBuf,
    location: String,
    repository: RepositoryId,
}

impl Answer for Shown {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let directory = self.directory.display();
        writeln!(out, "{} is mounted at {directory}", self.location)?;
        writeln!(out, "Ctrl-C here, or `umount {}` elsewhere, ends it.", shown::shell_word(&self.directory))
    }
}
