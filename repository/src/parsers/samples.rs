//! Well-formed inputs for every parser, made by the encoders: what mutants are made from.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Config, KeyFile, REPOSITORY};
use crate::config::Parameters;
use crate::group;
use crate::history::{Added, Commit, Held, History, Operation};
use crate::ids::{ChunkId, ObjectId, PublicKey, SegmentNonce, SessionId};
use crate::index;
use crate::keys::hybrid::{self, Purpose};
use crate::keys::inventory::{self, Binding};
use crate::keys::{KeyShare, ReaderFile, Secret, public_key, signing_key, to_share_sheet, to_sheet};
use crate::loan::Loan;
use crate::names;
use crate::object::{self, ObjectType};
use crate::pack::{PackBuilder, StoredChunk};
use crate::parity::{self, Subject};
use crate::scrub::{Ledger, Outcome, Verified};
use crate::session::notes;
use crate::snapshot::{Manifest, Snapshot, SnapshotKind, Totals};
use crate::tree::entry::{ChunkRef, Consistency, Content, Entry, Extent, Kind, Time};
use crate::tree::inner::{self, Child};
use crate::tree::leaf::LeafBuilder;

/// A sample for each parser.
#[must_use]
pub fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let mut builder =
        PackBuilder::new(REPOSITORY, ObjectType::Pack, (1, &recipient())).expect("the sample key is a key");
    let chunks = [1, 2, 3].map(|n| StoredChunk { prefix: [n; 16], length: 10 });
    builder.append(0, &[7; 30], &chunks);
    let footer = builder.footer_content();
    let pack = builder.finish(&Secret::new([1; 32]));
    let run = index::seal_run(&Secret::new([1; 32]), &REPOSITORY, std::slice::from_ref(&pack.contents)).content;
    let bytes: Vec<u8> = pack.parts.concat();
    let binding = Binding { repository: &REPOSITORY, kind: ObjectType::Commit, name: b"" };
    let sealed =
        hybrid::seal(Purpose::Segment, &REPOSITORY, &recipient(), b"", b"data key").expect("the sample key is a key");
    let signer = signing_key(&Secret::new([1; 32])).expect("the sample seed is a seed");
    vec![
        ("leaf", leaf()),
        ("inner", inner::encode(1, &[child(1), child(2)])),
        ("chunk-list", inner::encode_chunk_list(&[ChunkRef { id: ChunkId([4; 32]), length: 70_000 }; 3])),
        ("frame-header", bytes[24..56].to_vec()),
        ("frame-scan", bytes.clone()),
        ("trailer", bytes[bytes.len() - 32..].to_vec()),
        ("footer", footer),
        ("index-run", run),
        ("header", object::header(ObjectType::Config, &REPOSITORY).to_vec()),
        ("signed", object::sign(ObjectType::Commit, &REPOSITORY, &signer, b"", b"body")),
        ("inventory-blob", inventory::seal(&Secret::new([1; 32]), binding, b"content")),
        ("inventory-blob", zstd::bulk::compress(&[5; 5000], 3).expect("compression into memory succeeds")),
        ("hybrid", sealed),
        ("key-file", KeyFile::Reader(reader()).to_text().into_bytes()),
        ("key-sheet", to_sheet(&reader()).join("\n").into_bytes()),
        ("key-sheet", to_share_sheet(&KeyShare::split(&reader(), 2, 3)[0]).join("\n").into_bytes()),
        ("escaped-text", br"a\xff\\b\x".to_vec()),
        ("json", json(&config())),
        ("json", json(&commit())),
        ("numbers", vec![0x80, 0x01, 0x7f, 2, 1, 2]),
        ("session-notes", notes::sample(&pack.contents)),
        ("parity", parity()),
        ("checkpoint", json(&history())),
        ("group", group()),
        ("names", names::sample(&leaf())),
        ("ledger", ledger().into_bytes()),
        ("gone-names", vec![7; 40]),
        ("loan", loan().to_bytes().to_vec()),
        ("loan-content", loan().to_bytes()[5..].to_vec()),
    ]
}

fn loan() -> Loan {
    let time = jiff::Timestamp::UNIX_EPOCH;
    let manifest = Manifest {
        host: "sample".into(),
        time,
        finished: time,
        kind: SnapshotKind::Full,
        sources: vec!["/etc".into()],
        tags: BTreeMap::new(),
        root: Some(ChunkId([4; 32])),
        parent: None,
        program: "sample".into(),
        totals: Totals::default(),
        problems: Vec::new(),
    };
    let snapshot = Snapshot { id: ObjectId([3; 32]), manifest, signer: "sample".into() };
    let keys = [1, 2].map(|n| (SegmentNonce([n; 16]), Secret::new([n; 32])));
    Loan::new(REPOSITORY, &snapshot, keys.into())
}

fn parity() -> Vec<u8> {
    let bytes = bytes::Bytes::from(vec![7; 3000]);
    let pack = Subject { kind: ObjectType::Pack, id: ObjectId::of(&bytes), size: 3000 };
    parity::encode(&REPOSITORY, pack, &[bytes], 3).expect("a small pack has a parity")
}

fn group() -> Vec<u8> {
    let packs: Vec<bytes::Bytes> = (1..4).map(|n| vec![n; usize::from(n) * 1000].into()).collect();
    group::objects(&REPOSITORY, &packs, 2).expect("small packs have parity").remove(1)
}

fn ledger() -> String {
    let mut ledger = Ledger::default();
    let verified = |outcome| Verified { at: jiff::Timestamp::UNIX_EPOCH, outcome, by: "sample".into() };
    ledger.note("config", verified(Outcome::Good));
    ledger.note("packs/ab/cd", verified(Outcome::Bad));
    ledger.to_text(&REPOSITORY)
}

fn recipient() -> PublicKey {
    public_key(&Secret::new([1; 32])).expect("the sample key is a key")
}

fn reader() -> ReaderFile {
    ReaderFile { repository: REPOSITORY, holder: "sample".into(), private_key: Secret::new([1; 32]) }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("samples serialise")
}

fn config() -> Config {
    let key = PublicKey([2; 32]);
    let created = jiff::Timestamp::UNIX_EPOCH;
    Config {
        format: 1,
        repository: REPOSITORY,
        created,
        admin_key: key,
        epoch: 1,
        public_key: key,
        parameters: Parameters::default(),
    }
}

fn commit() -> Commit {
    let (snapshot, session) = (ObjectId([3; 32]), SessionId([4; 16]));
    let operations = vec![
        Operation::AddSnapshot { snapshot, session, index: vec![snapshot] },
        Operation::ReplaceIndex { drop: vec![snapshot], add: Vec::new() },
        Operation::Condemn { packs: vec![snapshot] },
        Operation::Fence { session },
    ];
    Commit { number: 2, previous: Some(snapshot), time: jiff::Timestamp::UNIX_EPOCH, operations }
}

fn history() -> History {
    let (object, session, key) = (ObjectId([3; 32]), SessionId([4; 16]), PublicKey([2; 32]));
    let held = Held { reason: "audit".into(), until: None, since: jiff::Timestamp::UNIX_EPOCH };
    History {
        newest: 128,
        newest_object: Some(object),
        first_object: Some(object),
        snapshots: vec![Added { snapshot: object, session, commit: 2 }],
        index: vec![object],
        epochs: [(2, key)].into(),
        condemned: [(object, 5)].into(),
        index_shrunk: 6,
        names_gone: 7,
        holds: [(object, [("case".to_owned(), held)].into())].into(),
        ended: [session].into(),
        fenced: [session].into(),
        revoked: [(key, 8)].into(),
    }
}

fn child(seed: u8) -> Child {
    Child {
        first_directory: b"etc".to_vec(),
        first_name: vec![b'a' + seed],
        id: ChunkId([seed; 32]),
        entries: 5,
        bytes: 1000,
    }
}

fn leaf() -> Vec<u8> {
    let mut full = Entry::new(b"everything \xff".to_vec(), Kind::File);
    full.mode = 0o4755;
    (full.uid, full.user) = (1000, Arc::from("user"));
    full.mtime = Time { seconds: -1, nanoseconds: 5 };
    full.birth = Some(full.mtime);
    full.size = 1 << 40;
    full.hardlink = Some((2049, 77));
    full.xattrs = vec![(b"user.a".to_vec(), b"value".to_vec())];
    (full.flags, full.project) = (Some(0x10), Some(9));
    full.extents = Some(vec![Extent { offset: 4096, length: 8192 }, Extent { offset: 1 << 30, length: 1 }]);
    full.hash = Some([6; 32]);
    full.content = Content::Chunks(vec![ChunkRef { id: ChunkId([5; 32]), length: 8193 }]);
    full.consistency = Consistency { torn: true, ..Consistency::default() };
    let mut link = Entry::new(b"link".to_vec(), Kind::Symlink);
    link.target = Some(b"../somewhere".to_vec());
    let mut device = Entry::new(b"null".to_vec(), Kind::CharacterDevice);
    device.device = Some((1, 3));
    let mut leaf = LeafBuilder::default();
    leaf.push(b"", &Entry::new(b"etc".to_vec(), Kind::Directory));
    [full, link, device].iter().for_each(|entry| leaf.push(b"etc", entry));
    leaf.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::leaf::decode;

    #[test]
    fn every_field_of_an_entry_comes_back() {
        let page = leaf();
        let entries = decode(&page).unwrap();
        let mut again = LeafBuilder::default();
        entries.iter().for_each(|(directory, entry)| again.push(directory, entry));
        assert_eq!(again.finish(), page);
        assert_eq!(entries[1].1.extents.as_ref().map(Vec::len), Some(2));
        assert_eq!((&*entries[1].1.user, entries[3].1.device), ("user", Some((1, 3))));
    }
}
