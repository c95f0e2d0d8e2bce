//! `strongroom record`: what is kept of restores, for whoever asks years later.

mod export;
mod list;
mod show;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use strongroom_controller::restore_record::shelf::{self, Listed, RECORDS};
use strongroom_proto::operator::RecordsRequest;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::fleet::ControllerArgs;

pub(crate) use show::{ShowArgs, run as show};

/// Show, hand out and verify the records of restores
#[derive(Debug, Subcommand)]
pub(crate) enum RecordCommand {
    List(list::ListArgs),
    Show(ShowArgs),
    Export(export::ExportArgs),
    Verify(verify::VerifyArgs),
}

impl RecordCommand {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::List(args) => list::run(args, context),
            Self::Show(args) => show(args, context),
            Self::Export(args) => export::run(args, context),
            Self::Verify(args) => verify::run(args, context),
        }
    }
}

/// Where records are read: in the controller's state folder where that can be read, else from the controller itself.
#[derive(Debug, Args)]
struct ShelfArgs {
    /// The folder of records [default: records in the controller's state folder]
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,

    #[command(flatten)]
    controller: ControllerArgs,
}

impl ShelfArgs {
    fn folder(&self, context: &Context) -> Result<PathBuf, Failure> {
        self.records.clone().map_or_else(|| Ok(context.state_dir()?.join(RECORDS)), Ok)
    }

    /// Whether the folder itself is read.
    fn is_here(&self, folder: &Path) -> bool {
        self.records.is_some() || folder.is_dir()
    }

    /// All records, the newest first.
    fn list(&self, what: &str, context: &Context) -> Result<Vec<Listed>, Failure> {
        let folder = self.folder(context)?;
        if !self.is_here(&folder) {
            return self.ask("", what, context);
        }
        let failed = |source| Cause::File { doing: "read", path: folder.clone(), source };
        context.wait(what, async { shelf::list(&folder).await.map_err(failed) })
    }

    /// The files of the record of a restore, or of the newest one of a request, by name.
    fn files(&self, wanted: &str, context: &Context) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let what = format!("read the record of {wanted}");
        let is_wanted = |record: &Listed| {
            record.restore == wanted || record.request.is_some_and(|number| number.to_string() == wanted)
        };
        let found = self.list(&what, context)?.into_iter().find(is_wanted).map(|record| record.restore);
        let restore = found.ok_or_else(|| {
            let why = Cause::Absent("there is no record of it".into());
            Failure::new(what.clone(), why).advise("`strongroom record list` has them all")
        })?;
        let folder = self.folder(context)?;
        let failed = |source| Cause::File { doing: "read", path: folder.clone(), source };
        let encoded = match self.is_here(&folder) {
            true => context.wait(&what, async { shelf::files(&folder.join(&restore)).await.map_err(failed) })?,
            false => self.ask(&restore, &what, context)?,
        };
        let decoded = encoded.into_iter().map(|(name, text)| Some((name, shelf::decode(&text)?)));
        decoded
            .collect::<Option<_>>()
            .ok_or_else(|| Failure::new(what, Cause::Damaged("what the controller sent is not base64".into())))
    }

    fn ask<T: DeserializeOwned>(&self, restore: &str, what: &str, context: &Context) -> Result<T, Failure> {
        let controller = self.controller.connect(context)?;
        let mut client = controller.client();
        controller.ask(what, context, client.records(RecordsRequest { restore: restore.to_owned() }))
    }
}
