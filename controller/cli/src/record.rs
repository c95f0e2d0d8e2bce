//! `strongroom record`: what is kept of restores, for whoever asks years later.

mod export;
mod list;
mod show;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use strongroom_controller::restore_record::shelf::{self, RECORDS};
use strongroom_proto::operator::RecordsRequest;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Cause, Failure};
use crate::fleet::ControllerArgs;

/// Show, hand out and verify the records of restores
#[derive(Debug, Subcommand)]
pub(crate) enum RecordCommand {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Export(export::ExportArgs),
    Verify(verify::VerifyArgs),
}

impl RecordCommand {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::List(args) => list::run(args, context),
            Self::Show(args) => show::run(args, context),
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

    /// The files of a record, by name.
    fn files(&self, restore: &str, context: &Context) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let what = format!("read the record of {restore}");
        let folder = self.folder(context)?;
        let encoded = match self.records.is_some() || folder.is_dir() {
            true => {
                let read = async {
                    let names = shelf::names(&folder).await?;
                    match names.iter().any(|name| name == restore) {
                        true => shelf::files(&folder.join(restore)).await.map(Some),
                        false => Ok(None),
                    }
                };
                let failed = |source| Cause::File { doing: "read", path: folder.clone(), source };
                let files = context.wait(&what, async { read.await.map_err(failed) })?;
                let absent = || Cause::Absent(format!("there is no record of it in {}", folder.display()));
                files.ok_or_else(|| {
                    Failure::new(what.clone(), absent()).advise("`strongroom record list` has them all")
                })?
            }
            false => self.ask(restore, &what, context)?,
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
