//! `strongroom key add`: a further holder, or a writer.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_repository::keys::KeyRecord;
use strongroom_repository::{KeyFile, NewHolder, PublicKey, Repository, WriterIdentity};

use crate::access::{Opened, RepositoryArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::key_file::Reserved;
use crate::output::Answer;
use crate::passphrase;

/// Let somebody open the repository, or a host add to it
#[derive(Debug, Args)]
#[command(after_help = "\
A holder reads everything and may let others in. A writer adds backups and reads nothing, not even \
its own. Exactly one option says what the new key is; the options under \"Key\" open the repository \
for it.

Examples:
  strongroom key add --repo /srv/backup --holder ops --new-passphrase-file /root/ops-passphrase
  strongroom key add --repo /srv/backup --holder vault --key-file /media/usb/vault.json
  strongroom key add --repo /srv/backup --holder web1 --writer /root/web1-writer.json")]
pub(crate) struct AddArgs {
    #[command(flatten)]
    repository: RepositoryArgs,

    /// Whose key it is
    #[arg(long, value_name = "NAME")]
    holder: String,

    #[command(flatten)]
    new: NewKeyArgs,

    /// Only say what would be added
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct NewKeyArgs {
    /// A holder with the passphrase in this file's first line
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,

    /// A holder with a passphrase that is asked for on the terminal
    #[arg(long)]
    ask_new_passphrase: bool,

    /// A holder with a new key, kept in this file
    #[arg(long, value_name = "OUT")]
    key_file: Option<PathBuf>,

    /// A holder who keeps an X25519 private key; this is its public half in hex
    #[arg(long, value_name = "HEX")]
    public_key: Option<PublicKey>,

    /// A writer with a new key, kept in this file
    #[arg(long, value_name = "OUT")]
    writer: Option<PathBuf>,
}

pub(crate) fn run(args: &AddArgs, context: &Context) -> Result<Exit, Failure> {
    let new = args.new.parse()?;
    let reserved = new.file().map(Reserved::beside).transpose()?;
    let opened = args.repository.open(context)?;
    refuse_known_name(args, &opened, context)?;
    let mut added = Added {
        holder: args.holder.clone(),
        role: new.role(),
        opened_by: new.opened_by(),
        key_file: None,
        dry_run: args.dry_run,
    };
    if !args.dry_run {
        let path = new.file().map(Path::to_owned);
        let key = context.wait(&args.what(&opened), create(&opened.repository, &args.holder, new))?;
        if let (Some(key), Some(reserved), Some(path)) = (key, reserved, path) {
            added.key_file = Some(keep(reserved, &key, &path, args)?);
        }
    }
    context.output.answer(&added)?;
    Ok(Exit::Success)
}

impl AddArgs {
    fn what(&self, opened: &Opened) -> String {
        format!("add '{}' to {}", self.holder, opened.location)
    }
}

/// A name means one key, or `key remove` would take more away than its user thinks.
fn refuse_known_name(args: &AddArgs, opened: &Opened, context: &Context) -> Result<(), Failure> {
    let records = context.wait(&args.what(opened), opened.repository.key_records())?;
    let is_known = records.iter().any(|(_, record)| match record {
        KeyRecord::Holder(holder) => holder.holder == args.holder,
        KeyRecord::Writer(writer) => writer.holder == args.holder,
    });
    if !is_known {
        return Ok(());
    }
    let why = Cause::Key(format!("'{}' has a key already", args.holder));
    Err(Failure::new(args.what(opened), why).advise("give another name; `strongroom key list` shows all of them"))
}

/// What the new key will be.
#[derive(Debug)]
enum NewKey {
    Passphrase(zeroize::Zeroizing<String>),
    File(PathBuf),
    PublicKey(PublicKey),
    Writer(PathBuf),
}

impl NewKeyArgs {
    fn parse(&self) -> Result<NewKey, Failure> {
        if let Some(file) = &self.new_passphrase_file {
            return passphrase::from_file(file).map(NewKey::Passphrase);
        }
        if let Some(path) = &self.key_file {
            return Ok(NewKey::File(path.clone()));
        }
        if let Some(path) = &self.writer {
            return Ok(NewKey::Writer(path.clone()));
        }
        match self.public_key {
            Some(key) => Ok(NewKey::PublicKey(key)),
            None => passphrase::ask_new().map(NewKey::Passphrase),
        }
    }
}

impl NewKey {
    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Writer(path) => Some(path),
            Self::Passphrase(_) | Self::PublicKey(_) => None,
        }
    }

    fn role(&self) -> &'static str {
        if matches!(self, Self::Writer(_)) { "writer" } else { "holder" }
    }

    fn opened_by(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::File(_) | Self::Writer(_) => "key file",
            Self::PublicKey(_) => "private key",
        }
    }
}

async fn create(
    repository: &Repository,
    holder: &str,
    new: NewKey,
) -> Result<Option<KeyFile>, strongroom_repository::Error> {
    let how = match new {
        NewKey::Writer(_) => {
            return repository.add_writer(&WriterIdentity { holder: holder.to_owned() }).await.map(Some);
        }
        NewKey::Passphrase(passphrase) => NewHolder::Passphrase(passphrase),
        NewKey::PublicKey(key) => NewHolder::PublicKey(key),
        NewKey::File(_) => NewHolder::KeyFile,
    };
    repository.add_holder(holder, how).await
}

fn keep(reserved: Reserved, key: &KeyFile, path: &Path, args: &AddArgs) -> Result<PathBuf, Failure> {
    let next = format!(
        "the new key is lost: `strongroom key remove --repo {} {}`, then add it again",
        args.repository.url(),
        args.holder
    );
    reserved.keep(key, path).map_err(|failure| failure.advise(next))?;
    let file_error = |source| Cause::File { doing: "find", path: path.to_owned(), source };
    std::path::absolute(path).map_err(file_error).doing(|| "say where the key is".into())
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Added {
    holder: String,
    role: &'static str,
    opened_by: &'static str,
    key_file: Option<PathBuf>,
    dry_run: bool,
}

impl Answer for Added {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would add" } else { "added" };
        writeln!(out, "{verb} {} '{}' with a {}", self.role, self.holder, self.opened_by)?;
        match &self.key_file {
            Some(path) => writeln!(out, "key: {}", path.display()),
            None => Ok(()),
        }
    }
}
