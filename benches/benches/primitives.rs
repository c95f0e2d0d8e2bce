//! The primitives that a byte meets, each alone on one thread: what to look at when a whole backup is slower than it was.

use std::collections::{BTreeMap, HashSet};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use strongroom_repository::store::InMemory;
use strongroom_repository::tree::leaf;
use strongroom_repository::{
    Begin, ChunkRef, Content, Credential, EndOfFile, Entry, InitOptions, Kind, Manifest, NewHolder, Origin, Parameters,
    Repository, Session, SnapshotKind, Totals, TreeWriter,
};

const MIB: usize = 1 << 20;

fn noise(seed: u8, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
    bytes
}

/// Text of made-up words: compresses about four times.
fn text(count: usize) -> Vec<u8> {
    let words: Vec<String> = noise(1, 8000)
        .chunks(4)
        .map(|four| format!("{:x} ", u32::from_le_bytes([four[0], four[1], four[2] & 15, 0])))
        .collect();
    let choice = noise(2, count);
    let mut text: Vec<u8> = choice
        .chunks(2)
        .flat_map(|two| words[(usize::from(two[0]) * usize::from(two[1])) % words.len()].bytes())
        .collect();
    text.truncate(count);
    text
}

fn repository(runtime: &tokio::runtime::Runtime, cache: &std::path::Path) -> Arc<Repository> {
    let store = Arc::new(InMemory::new());
    let options = InitOptions {
        parameters: Parameters::default(),
        created: Timestamp::UNIX_EPOCH,
        holder: "bench".into(),
        how: NewHolder::KeyFile,
    };
    let created = runtime.block_on(Repository::init(store.clone(), options)).unwrap();
    let credential = Credential::File(created.key_file.unwrap());
    runtime.block_on(Repository::open(store, &credential, cache)).unwrap()
}

fn begin(runtime: &tokio::runtime::Runtime, repository: &Arc<Repository>) -> Arc<Session> {
    runtime
        .block_on(repository.begin(Begin {
            parent: None,
            started: Timestamp::UNIX_EPOCH,
            notes: None,
            uploads: NonZeroUsize::MIN,
        }))
        .unwrap()
}

fn entry(number: usize) -> Entry {
    let mut entry = Entry::new(format!("file-{number:07}.txt").into_bytes(), Kind::File);
    entry.size = number as u64;
    entry.mode = 0o644;
    entry.hash = Some(*blake3::hash(&number.to_le_bytes()).as_bytes());
    entry.content = Content::Whole;
    entry
}

fn primitives(bench: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let repository = repository(&runtime, cache.path());

    let data = noise(3, 64 * MIB);
    let mut group = bench.benchmark_group("bytes");
    group.sample_size(20).throughput(Throughput::Bytes(data.len() as u64));
    let cutter = repository.cutter();
    group.bench_function("cut", |run| {
        run.iter(|| {
            let mut at = 0;
            while at < data.len() {
                at += cutter.next_cut(&data[at..], EndOfFile::Yes).unwrap();
            }
        });
    });
    group.bench_function("hash", |run| run.iter(|| black_box(blake3::hash(&data))));
    let text = text(16 * MIB);
    group.throughput(Throughput::Bytes(text.len() as u64));
    for (name, source) in [("store text", &text), ("store noise", &data[..16 * MIB].to_vec())] {
        let mut round = 0u64;
        group.bench_function(name, |run| {
            // Another first byte each time, or the second round would only look up.
            run.iter(|| {
                round += 1;
                let mut lane = begin(&runtime, &repository).lane().unwrap();
                for piece in source.chunks(16 << 10) {
                    let mut piece = piece.to_vec();
                    piece[..8].copy_from_slice(&round.to_le_bytes());
                    lane.add(&piece).unwrap();
                }
                lane.flush().unwrap();
            });
        });
    }
    group.finish();
    metadata(bench, &runtime, &repository);
}

fn metadata(bench: &mut Criterion, runtime: &tokio::runtime::Runtime, repository: &Arc<Repository>) {
    let mut group = bench.benchmark_group("metadata");
    let entries: Vec<Entry> = (0..20_000).map(entry).collect();
    group.sample_size(20).throughput(Throughput::Elements(entries.len() as u64));
    let mut pages = Vec::new();
    group.bench_function("write pages", |run| {
        run.iter(|| {
            pages.clear();
            let session = begin(runtime, repository);
            let mut tree = TreeWriter::new(session, HashSet::new(), |_, page| pages.push(page.to_vec()));
            entries.iter().for_each(|entry| tree.push(b"srv/data", entry, Origin::Fresh).unwrap());
            tree.finish().unwrap()
        });
    });
    group.bench_function("read pages", |run| {
        run.iter(|| pages.iter().map(|page| leaf::decode(page).unwrap().len()).sum::<usize>());
    });
    group.finish();

    let session = begin(runtime, repository);
    let mut lane = session.lane().unwrap();
    let chunks: Vec<ChunkRef> = (0..200_000u32).map(|number| lane.add(&number.to_le_bytes()).unwrap()).collect();
    lane.flush().unwrap();
    let tree = TreeWriter::new(Arc::clone(&session), HashSet::new(), |_, _| {}).finish().unwrap();
    runtime.block_on(session.commit(tree, manifest())).unwrap();
    runtime.block_on(repository.open_index()).unwrap();
    let mut group = bench.benchmark_group("index");
    group.throughput(Throughput::Elements(chunks.len() as u64));
    group.sample_size(20).bench_function("find 200,000", |run| {
        run.iter(|| chunks.iter().for_each(|chunk| drop(black_box(repository.locate(&chunk.id)))));
    });
    group.finish();
}

fn manifest() -> Manifest {
    Manifest {
        host: "bench".into(),
        time: Timestamp::UNIX_EPOCH,
        finished: Timestamp::UNIX_EPOCH,
        kind: SnapshotKind::Full,
        sources: Vec::new(),
        tags: BTreeMap::new(),
        root: None,
        parent: None,
        program: "bench".into(),
        totals: Totals::default(),
        problems: Vec::new(),
    }
}

criterion_group!(benches, primitives);
criterion_main!(benches);
