//! `strongroom key list`: who can do what.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use strongroom_repository::PublicKey;
use strongroom_repository::keys::KeyRecord;

use crate::access::RepositoryArgs;
use crate::choice::short_id;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Answer;
use crate::shown::{Align, Table};

/// List who can open the repository, and who can add to it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom key list --repo /srv/backup")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
}

pub(crate) fn run(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let opened = args.repository.open(context)?;
    let records = context.wait(&format!("list the keys of {}", opened.location), opened.repository.key_records())?;
    let used = opened.repository.key().holder();
    let mut keys: BTreeMap<PublicKey, KeyRow> = BTreeMap::new();
    for (object, record) in records {
        let row = KeyRow::new(&record, used);
        let row = keys.entry(row.public_key).or_insert(row);
        row.objects.push(object);
        row.epochs.extend(epoch(&record));
    }
    let mut rows: Vec<KeyRow> = keys.into_values().collect();
    rows.iter_mut().for_each(|row| row.epochs.sort_unstable());
    rows.sort_by(|left, right| (left.role, &left.holder).cmp(&(right.role, &right.holder)));
    context.output.answer(&KeyList(rows))?;
    Ok(Exit::Success)
}

fn epoch(record: &KeyRecord) -> Option<u32> {
    match record {
        KeyRecord::Holder(holder) => Some(holder.epoch),
        KeyRecord::Writer(_) => None,
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct KeyList(Vec<KeyRow>);

/// One key, however many objects it has: one for each epoch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct KeyRow {
    holder: String,
    role: &'static str,
    opened_by: &'static str,
    public_key: PublicKey,
    epochs: Vec<u32>,
    objects: Vec<String>,
    /// Whether this command was run with it.
    in_use: bool,
}

impl KeyRow {
    fn new(record: &KeyRecord, used: &str) -> Self {
        let (holder, role, opened_by, public_key) = match record {
            KeyRecord::Holder(record) => {
                let opened_by = if record.kdf.is_some() { "passphrase" } else { "private key" };
                (&record.holder, "holder", opened_by, record.public_key)
            }
            KeyRecord::Writer(record) => (&record.holder, "writer", "private key", record.public_key),
        };
        let in_use = holder == used;
        Self { holder: holder.clone(), role, opened_by, public_key, epochs: Vec::new(), objects: Vec::new(), in_use }
    }
}

impl Answer for KeyList {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            ("HOLDER", Align::Left),
            ("ROLE", Align::Left),
            ("OPENED BY", Align::Left),
            ("EPOCHS", Align::Left),
            ("PUBLIC KEY", Align::Left),
            ("", Align::Left),
        ]);
        for row in &self.0 {
            let epochs: Vec<String> = row.epochs.iter().map(u32::to_string).collect();
            table.row([
                row.holder.clone(),
                row.role.into(),
                row.opened_by.into(),
                if epochs.is_empty() { "-".into() } else { epochs.join(" ") },
                short_id(&row.public_key.hex()),
                if row.in_use { "in use".into() } else { String::new() },
            ]);
        }
        table.write(out)
    }
}
