//! `strongroom key sheet`: a key on paper, whole or in shares, and back. The one command that prints a secret, because that is what it is for.

mod shares;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_repository::keys::{ReaderFile, to_sheet};
use strongroom_repository::{KeyFile, Repository, RepositoryId};

use crate::access::KeyArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::key_file::{self, Reserved};
use crate::key_sheet;
use crate::output::Answer;
use crate::store_place::StorePlace;
use shares::Parts;

/// Print a holder's key for safe keeping on paper, or type it back
#[derive(Debug, Args)]
#[command(after_help = "\
The sheet has three numbered lines with a check each. Lines that begin with # are for people and \
need not be typed back. With --shares 2/3 there are three sheets of four lines, of which any two give the key \
back; one alone says nothing about it.

Examples:
  strongroom key sheet --key /root/backup-key.json | lp
  strongroom key sheet --repo /srv/backup > /media/usb/sheet.txt
  strongroom key sheet --repo /srv/backup --shares 2/3 --out /root/sheets
  strongroom key sheet --from-sheet typed.txt --key-file /root/backup-key.json
  strongroom key sheet --from-sheet one.txt --from-sheet three.txt --key-file /root/backup-key.json")]
pub(crate) struct SheetArgs {
    /// The repository whose default key file is printed
    #[arg(long, value_name = "URL", env = "STRONGROOM_REPOSITORY", hide_env_values = true)]
    repo: Option<String>,

    /// Split the key: N sheets, of which any K give it back
    #[arg(long, value_name = "K/N", requires = "out", value_parser = Parts::parse, conflicts_with = "from_sheet")]
    shares: Option<Parts>,

    /// The directory for the sheets of a split key, one file each
    #[arg(long, value_name = "DIR", requires = "shares")]
    out: Option<PathBuf>,

    /// Make a key file from a typed sheet, or from several typed shares; `-` reads one from standard input
    #[arg(long, alias = "sheet", value_name = "FILE", requires = "key_file")]
    from_sheet: Vec<PathBuf>,

    /// Where to keep the key of a typed sheet
    #[arg(long, value_name = "OUT", requires = "from_sheet")]
    key_file: Option<PathBuf>,

    /// Whose key the typed sheet is
    #[arg(long, value_name = "NAME", default_value = "owner", requires = "from_sheet")]
    holder: String,

    #[command(flatten)]
    key: KeyArgs,
}

pub(crate) fn run(args: &SheetArgs, context: &Context) -> Result<Exit, Failure> {
    if let Some(out) = &args.key_file {
        return read_back(args, out, context);
    }
    let file = key_to_print(args, context)?;
    match (args.shares, &args.out) {
        (Some(parts), Some(folder)) => context.output.answer(&shares::write(&file, parts, folder)?)?,
        _ => {
            let lines = to_sheet(&file);
            context.output.answer(&Sheet { repository: file.repository, holder: file.holder, lines })?;
        }
    }
    Ok(Exit::Success)
}

fn key_to_print(args: &SheetArgs, context: &Context) -> Result<ReaderFile, Failure> {
    let what = "print a key sheet";
    let path = match (args.key.named_file(), &args.repo) {
        (Some(path), _) => Some(path),
        (None, Some(url)) => {
            let store = StorePlace::open(url, context)?.store;
            let config = context.wait(what, Repository::read_config(&*store))?;
            args.key.file_for(config.repository)?
        }
        (None, None) => None,
    };
    let path = path.ok_or_else(|| {
        let why = Cause::Usage("no key file was named; a passphrase needs no sheet".into());
        Failure::new(what, why).advise("give --key FILE, or --repo URL for its default key file")
    })?;
    match key_file::read(&path)? {
        KeyFile::Reader(file) => Ok(file),
        KeyFile::Writer(_) => {
            let why = Cause::Key(format!("{} is a writer's key, which restores nothing", path.display()));
            Err(Failure::new(what, why)
                .advise("print the key of a holder; a lost writer's key is replaced by `strongroom key add --writer`"))
        }
    }
}

#[derive(Serialize)]
struct Sheet {
    repository: RepositoryId,
    holder: String,
    lines: Vec<String>,
}

impl Answer for Sheet {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "# Strongroom key sheet. Whoever has these lines can read every backup in the repository.")?;
        writeln!(out, "# repository {}, holder {}", self.repository, self.holder)?;
        writeln!(out, "#")?;
        self.lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out, "#")?;
        writeln!(out, "# To use it, type the three numbered lines into a file and run")?;
        writeln!(out, "#   strongroom key sheet --from-sheet FILE --key-file KEY.json")?;
        writeln!(out, "# or, where the controller is lost, too,")?;
        writeln!(out, "#   strongroom recover --repo URL --sheet FILE --into DIR")?;
        writeln!(out, "# The letters are A to Z and 2 to 7; a slip is found in its line.")
    }
}

fn read_back(args: &SheetArgs, out: &Path, context: &Context) -> Result<Exit, Failure> {
    let reserved = Reserved::beside(out)?;
    let file = key_sheet::read(&args.from_sheet, &args.holder)?;
    let answer = ReadBack { repository: file.repository, holder: args.holder.clone(), key_file: out.to_owned() };
    reserved.keep(&KeyFile::Reader(file), out)?;
    context.output.answer(&answer)?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ReadBack {
    repository: RepositoryId,
    holder: String,
    key_file: PathBuf,
}

impl Answer for ReadBack {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "key of repository {}: {}", self.repository, self.key_file.display())
    }
}
