//! `strongroom record verify`: whether records still are what was signed, and agree with the journal. Offline.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_controller::journal::{Event, Journal};
use strongroom_controller::restore_record::check::{self, Fault, Sound};
use strongroom_controller::restore_record::seal::{KeyError, PublicRecordKey, SUMS};
use strongroom_controller::restore_record::shelf::{self, PUBLIC_KEY, RECORDS};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Doing, Failure};
use crate::fleet::JOURNAL;
use crate::output::Answer;

/// Check that records are what was signed, and that the journal says the same
#[derive(Debug, Args)]
#[command(after_help = "\
Needs no controller and no secret: the folders, and the public key, which should come by another way than \
the records. With the journal, which is verified as well, it finds out a journal that was exchanged for an \
older one, or a record that is gone. Names each file and line that was changed, and ends with 4 then.

Examples:
  strongroom record verify
  strongroom record verify /media/usb/record --public-key controller.pem
  strongroom record verify --records /mnt/records --journal /mnt/journal.db --public-key controller.pem --json")]
pub(crate) struct VerifyArgs {
    /// Folders of single records [default: all records of the controller]
    #[arg(value_name = "DIR", conflicts_with = "records")]
    folders: Vec<PathBuf>,

    /// The folder of all records [default: records in the controller's state folder]
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,

    /// The public key [default: key.pem beside the records, which proves only that they belong together]
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,

    /// The journal to compare with [default: journal.db in the controller's state folder, for all of its records]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

pub(super) fn run(args: &VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let shelf = args.shelf(context)?;
    let folders = args.folders(shelf.as_deref(), context)?;
    let key = args.key(&folders, shelf.as_deref())?;
    let mut verified =
        Verified { key: key.to_string(), key_was_brought: args.public_key.is_some(), ..Verified::default() };
    let mut sound = BTreeMap::new();
    for folder in &folders {
        let failed = |source| Cause::File { doing: "read", path: folder.clone(), source };
        match check::check(folder, key).map_err(failed).doing(|| "verify a record".into())? {
            Ok(good) => drop(sound.insert(good.record.restore.clone(), good)),
            Err(faults) => {
                let at = |fault| Located { place: folder.clone(), fault };
                verified.faults.extend(faults.into_iter().map(at));
            }
        }
    }
    verified.records = sound.len();
    if let Some(path) = args.journal(shelf.as_deref(), context)? {
        compare(&path, &sound, shelf.as_deref(), &mut verified, context)?;
    }
    let exit = if verified.faults.is_empty() { Exit::Success } else { Exit::Damaged };
    context.output.answer(&verified)?;
    Ok(exit)
}

impl VerifyArgs {
    /// The folder of all records, unless single ones were named.
    fn shelf(&self, context: &Context) -> Result<Option<PathBuf>, Failure> {
        match (&self.records, self.folders.is_empty()) {
            (Some(folder), _) => Ok(Some(folder.clone())),
            (None, true) => Ok(Some(context.state_dir()?.join(RECORDS))),
            (None, false) => Ok(None),
        }
    }

    fn folders(&self, shelf: Option<&Path>, context: &Context) -> Result<Vec<PathBuf>, Failure> {
        let Some(shelf) = shelf else { return Ok(self.folders.clone()) };
        let failed = |source| Cause::File { doing: "read", path: shelf.to_owned(), source };
        let names = context.wait("verify the records", async { shelf::names(shelf).await.map_err(failed) })?;
        Ok(names.into_iter().map(|name| shelf.join(name)).collect())
    }

    /// The key that was named, or the one that lies beside the records or in the first of them.
    fn key(&self, folders: &[PathBuf], shelf: Option<&Path>) -> Result<PublicRecordKey, Failure> {
        let beside = shelf.into_iter().chain(folders.first().map(PathBuf::as_path));
        let beside = beside.map(|folder| folder.join(PUBLIC_KEY)).find(|path| path.exists());
        let Some(path) = self.public_key.clone().or(beside) else {
            let why = Cause::Absent(format!("there is no {PUBLIC_KEY} beside the records"));
            return Err(Failure::new("verify the records", why).advise("give the public key with --public-key FILE"));
        };
        PublicRecordKey::read(&path).map_err(|error: KeyError| Cause::from(error)).doing(|| "verify the records".into())
    }

    fn journal(&self, shelf: Option<&Path>, context: &Context) -> Result<Option<PathBuf>, Failure> {
        if self.journal.is_some() || shelf.is_none() || self.records.is_some() {
            return Ok(self.journal.clone());
        }
        let own = context.state_dir()?.join(JOURNAL);
        Ok(own.exists().then_some(own))
    }
}

/// What the journal says of the records, and the records of the journal.
fn compare(
    path: &Path,
    sound: &BTreeMap<String, Sound>,
    shelf: Option<&Path>,
    verified: &mut Verified,
    context: &Context,
) -> Result<(), Failure> {
    if !path.exists() {
        let why = Cause::Absent(format!("{} does not exist", path.display()));
        return Err(Failure::new("open the journal", why).advise("say where it is with --journal FILE"));
    }
    let journal = context.wait("open the journal", Journal::open(path))?;
    let (entries, _) = context.wait("verify the journal", journal.verify())?;
    verified.journal_entries = Some(entries);
    let told = context.wait("read the journal", journal.records_of_restores())?;
    let told: BTreeMap<&str, &str> = told
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::RestoreRecorded { restore, sums, .. } => Some((restore.as_str(), sums.as_str())),
            _ => None,
        })
        .collect();
    let mut fault = |why: String| {
        let fault = Fault { file: path.display().to_string(), line: None, why };
        verified.faults.push(Located { place: PathBuf::new(), fault });
    };
    for (restore, good) in sound {
        for evidence in &good.record.journal {
            let stored = context.wait("read the journal", journal.entries(evidence.number, 1))?;
            if stored.first().is_none_or(|entry| entry.hash != evidence.hash) {
                fault(format!(
                    "entry {} is not the one that the record of {restore} quotes: the journal was exchanged or cut off",
                    evidence.number
                ));
            }
        }
        match told.get(restore.as_str()) {
            Some(sums) if *sums == good.sums => {}
            Some(_) => fault(format!("it knows another record of {restore}: {SUMS} was exchanged with its signature")),
            // The entry comes after the files: a controller that was killed in between writes both again.
            None => fault(format!("it does not know of the record of {restore}: it ends before that was signed")),
        }
    }
    let Some(shelf) = shelf else { return Ok(()) };
    for restore in told.keys().filter(|restore| !shelf.join(restore).is_dir()) {
        fault(format!("the record of {restore} is not among the records any more"));
    }
    Ok(())
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Verified {
    /// Sound ones.
    records: usize,
    /// The fingerprint.
    key: String,
    /// Whether it came from elsewhere than the records.
    key_was_brought: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal_entries: Option<u64>,
    faults: Vec<Located>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Located {
    place: PathBuf,
    #[serde(flatten)]
    fault: Fault,
}

impl Answer for Verified {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for Located { place, fault } in &self.faults {
            let folder = if place.as_os_str().is_empty() { String::new() } else { format!("{}/", place.display()) };
            writeln!(out, "{folder}{fault}")?;
        }
        let faults = self.faults.len();
        writeln!(out, "{} records are what was signed by the key {}; {faults} faults", self.records, self.key)?;
        if let Some(entries) = self.journal_entries {
            writeln!(out, "{entries} entries of the journal are as they were written")?;
        }
        match self.key_was_brought {
            true => Ok(()),
            false => writeln!(
                out,
                "the key lay beside the records: compare its fingerprint with one that came by another way"
            ),
        }
    }
}
