//! Every parser of bytes that come from a disk or a network, by name: for the fuzz targets, and for the tests that replay what fuzzing found.
//!
//! A parser may refuse; it may not panic, and it may not take more memory than a small multiple of its input (sealed and compressed parts are bounded where they are opened).

mod samples;

use std::sync::Arc;

pub use samples::samples;

use crate::codec::Reader;
use crate::config::Config;
use crate::group;
use crate::history::Commit;
use crate::ids::{ObjectId, RepositoryId, SessionId};
use crate::index::Run;
use crate::keys::hybrid::{self, Purpose};
use crate::keys::inventory::{self, Binding};
use crate::keys::{KeyFile, KeyRecord, Secret, read_sheet};
use crate::loan::Loan;
use crate::names;
use crate::object::{self, ObjectType};
use crate::pack::{FrameHeader, PackFooter, Trailer, scan_frames};
use crate::parity::{Parity, claims_to_be_of};
use crate::repository::{Gone, decode_checkpoint};
use crate::scrub::Ledger;
use crate::session::{SessionRecord, notes};
use crate::snapshot::{Inventory, Manifest};
use crate::tree::{inner, leaf};

/// A parser's name, and a run of it that ignores what it gives.
pub type Parser = (&'static str, fn(&[u8]));

const REPOSITORY: RepositoryId = RepositoryId([0; 16]);

/// All of them.
pub const ALL: &[Parser] = &[
    ("leaf", |bytes| drop(leaf::decode(bytes))),
    ("inner", |bytes| drop(inner::decode(bytes))),
    ("chunk-list", |bytes| drop(inner::decode_chunk_list(bytes))),
    ("frame-header", |bytes| _ = FrameHeader::decode(bytes)),
    ("frame-scan", |bytes| _ = scan_frames(bytes).count()),
    ("trailer", |bytes| _ = Trailer::decode(bytes)),
    ("footer", |bytes| drop(PackFooter::decode(bytes, ObjectType::Pack, ObjectId([0; 32]), 0))),
    ("index-run", run),
    ("header", |bytes| drop(object::check_header(bytes, ObjectType::Config, "fuzz"))),
    ("signed", |bytes| drop(object::verify(bytes, ObjectType::Commit, &REPOSITORY, b"", "fuzz"))),
    ("inventory-blob", inventory_blob),
    ("hybrid", |bytes| drop(hybrid::open(Purpose::Segment, &REPOSITORY, &Secret::new([1; 32]), b"", bytes))),
    ("key-file", |bytes| drop(std::str::from_utf8(bytes).map(KeyFile::parse))),
    ("key-sheet", |bytes| drop(std::str::from_utf8(bytes).map(|text| read_sheet(text, "fuzz")))),
    ("escaped-text", |bytes| drop(std::str::from_utf8(bytes).map(crate::text::unescape))),
    ("json", json),
    ("numbers", numbers),
    ("session-notes", notes::parse),
    ("parity", parity),
    ("checkpoint", |bytes| drop(serde_json::from_slice(bytes).map(decode_checkpoint))),
    ("group", group::use_up),
    ("names", names::use_up),
    ("ledger", |bytes| drop(std::str::from_utf8(bytes).map(|text| Ledger::parse(text, &REPOSITORY)))),
    ("loan", |bytes| drop(Loan::from_bytes(bytes))),
    ("loan-content", |bytes| drop(Loan::decode(bytes))),
    ("gone-names", |bytes| drop(Gone::decode(bytes))),
];

fn run(bytes: &[u8]) {
    let Ok(run) = Run::open(Arc::new(bytes.to_vec())) else { return };
    for at in 0..run.chunk_count() {
        let _ = run.frame(run.hit(at).frame);
        let _ = run.find(&crate::ids::ChunkId([run.prefix(at)[0]; 32]));
    }
}

fn inventory_blob(bytes: &[u8]) {
    let binding = Binding { repository: &REPOSITORY, kind: ObjectType::Commit, name: b"" };
    drop(inventory::open(&Secret::new([1; 32]), binding, bytes));
    drop(inventory::decompress(bytes, 1 << 20));
}

fn json(bytes: &[u8]) {
    drop(serde_json::from_slice::<Config>(bytes));
    drop(serde_json::from_slice::<Commit>(bytes));
    drop(serde_json::from_slice::<KeyRecord>(bytes));
    drop(serde_json::from_slice::<Manifest>(bytes));
    drop(serde_json::from_slice::<Inventory>(bytes));
    drop(serde_json::from_slice::<SessionId>(bytes));
    drop(serde_json::from_slice::<SessionRecord>(bytes));
}

/// Whatever it is, it is used on a pack, and that makes no pack of another name.
fn parity(bytes: &[u8]) {
    let _ = claims_to_be_of(bytes, bytes.len() as u64, &REPOSITORY, &ObjectId([0; 32]));
    let Ok(parity) = Parity::decode(bytes) else { return };
    let pack = vec![7; 3000];
    drop(parity.rotten(&pack));
    // A pack that is said to be huge is only made if it is there.
    if parity.pack.size <= 1 << 20 {
        assert!(parity.heal(&pack).is_none_or(|healed| ObjectId::of(&healed) == parity.pack.id));
    }
}

fn numbers(bytes: &[u8]) {
    let mut from = Reader::new(bytes);
    while !from.is_empty() && from.varint("n").is_ok() && from.zigzag("n").is_ok() && from.bytes("n").is_ok() {}
}
