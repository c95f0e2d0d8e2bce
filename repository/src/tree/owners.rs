//! The names of owners: each leaf page lists the users and groups that its entries belong to, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::Entry;
use crate::codec::{Malformed, Reader, put_bytes, put_varint};

/// Owners seen while a page is written.
#[derive(Debug, Default, Clone)]
pub struct OwnersInUse {
    users: BTreeMap<u32, Arc<str>>,
    groups: BTreeMap<u32, Arc<str>>,
}

impl OwnersInUse {
    pub(super) fn note(&mut self, entry: &Entry) {
        note(&mut self.users, entry.uid, &entry.user);
        note(&mut self.groups, entry.gid, &entry.group);
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_table(&self.users, out);
        encode_table(&self.groups, out);
    }
}

fn note(table: &mut BTreeMap<u32, Arc<str>>, id: u32, name: &Arc<str>) {
    if !name.is_empty() && !table.contains_key(&id) {
        table.insert(id, Arc::clone(name));
    }
}

fn encode_table(table: &BTreeMap<u32, Arc<str>>, out: &mut Vec<u8>) {
    put_varint(out, table.len() as u64);
    for (id, name) in table {
        put_varint(out, u64::from(*id));
        put_bytes(out, name.as_bytes());
    }
}

/// The tables of a page that is being read.
#[derive(Debug, Default, Clone)]
pub struct OwnerTables {
    users: BTreeMap<u32, Arc<str>>,
    groups: BTreeMap<u32, Arc<str>>,
}

impl OwnerTables {
    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { users: decode_table(from)?, groups: decode_table(from)? })
    }

    pub(super) fn user(&self, uid: u32) -> Arc<str> {
        self.users.get(&uid).cloned().unwrap_or_else(|| "".into())
    }

    pub(super) fn group(&self, gid: u32) -> Arc<str> {
        self.groups.get(&gid).cloned().unwrap_or_else(|| "".into())
    }
}

fn decode_table(from: &mut Reader<'_>) -> Result<BTreeMap<u32, Arc<str>>, Malformed> {
    let count = from.count(2, "owner table")?;
    (0..count)
        .map(|_| {
            let id = from.varint32("owner id")?;
            let name = String::from_utf8_lossy(from.bytes("owner name")?);
            Ok((id, Arc::from(name.as_ref())))
        })
        .collect()
}
