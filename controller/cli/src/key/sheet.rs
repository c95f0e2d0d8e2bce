//! `strongroom key sheet`: a key on paper, and back. The one command that prints a secret, because that is what it is for.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_repository::keys::{ReaderFile, from_sheet, to_sheet};
use strongroom_repository::{KeyFile, Repository, RepositoryId};
use zeroize::Zeroizing;

use crate::access::KeyArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::key_file::{self, Reserved};
use crate::output::Answer;
use crate::store_place::StorePlace;

/// Print a holder's key for safe keeping on paper, or type it back
#[derive(Debug, Args)]
#[command(after_help = "\
The sheet has three numbered lines with a check each. Lines that begin with # are for people and \
need not be typed back.

Examples:
  strongroom key sheet --key /root/backup-key.json | lp
  strongroom key sheet --repo /srv/backup > /media/usb/sheet.txt
  strongroom key sheet --from-sheet typed.txt --key-file /root/backup-key.json")]
pub(crate) struct SheetArgs {
    /// The repository whose default key file is printed
    #[arg(long, value_name = "URL", env = "STRONGROOM_REPOSITORY", hide_env_values = true)]
    repo: Option<String>,

    /// Make a key file from a typed sheet; `-` reads it from standard input
    #[arg(long, value_name = "FILE", requires = "key_file")]
    from_sheet: Option<PathBuf>,

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
    match (&args.from_sheet, &args.key_file) {
        (Some(sheet), Some(out)) => read_back(args, sheet, out, context),
        _ => print(args, context),
    }
}

fn print(args: &SheetArgs, context: &Context) -> Result<Exit, Failure> {
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
        KeyFile::Reader(file) => {
            let lines = to_sheet(&file);
            context.output.answer(&Sheet { repository: file.repository, holder: file.holder, lines })?;
            Ok(Exit::Success)
        }
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
        writeln!(out, "# The letters are A to Z and 2 to 7; a slip is found in its line.")
    }
}

fn read_back(args: &SheetArgs, sheet: &Path, out: &Path, context: &Context) -> Result<Exit, Failure> {
    let what = || format!("read the key sheet {}", sheet.display());
    let reserved = Reserved::beside(out)?;
    let text = sheet_text(sheet)?;
    let typed =
        Zeroizing::new(text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n"));
    let file = from_sheet(&typed, &args.holder).map_err(|bad| {
        let why = Cause::Usage(bad.to_string());
        Failure::new(what(), why).advise(
            "compare with the paper: 0 and O, 1 and I, 8 and B are easily mistaken; the sheet has no 0, 1, 8 and 9",
        )
    })?;
    let answer = ReadBack { repository: file.repository, holder: args.holder.clone(), key_file: out.to_owned() };
    reserved.keep(&KeyFile::Reader(ReaderFile { ..file }), out)?;
    context.output.answer(&answer)?;
    Ok(Exit::Success)
}

fn sheet_text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    if path.as_os_str() != "-" {
        return key_file::secret_text(path, "key sheet");
    }
    let mut text = Zeroizing::new(String::new());
    let read = io::stdin().read_to_string(&mut text);
    read.map_err(|source| Failure::new("read the key sheet", Cause::Program(Box::new(source))))?;
    Ok(text)
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
