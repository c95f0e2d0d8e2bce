use super::*;
use crate::index::run::{encode, synthetic};

fn run(chunks: u32) -> Run {
    Run::open(Arc::new(encode(&[synthetic(1, chunks)]))).unwrap()
}

fn random_id(number: u32) -> ChunkId {
    ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn stored(run: &Run, at: usize) -> ChunkId {
    let mut id = [0; 32];
    id[..16].copy_from_slice(&run.prefix(at));
    ChunkId(id)
}

fn holds_all_and_little_else(run: &Run, filter: &Filter) {
    assert!((0..run.chunk_count()).all(|at| filter.may_hold(&stored(run, at))));
    let alarms = (0..20_000).filter(|number| filter.may_hold(&random_id(*number))).count();
    assert!(alarms < 200, "{alarms} false alarms of 20000, where 78 are expected");
}

#[test]
fn a_filter_holds_what_its_run_holds_from_memory_and_from_its_file() {
    let (folder, run) = (tempfile::tempdir().unwrap(), run(5000));
    holds_all_and_little_else(&run, &Filter::in_memory(build(&run)));
    let path = folder.path().join("x.filters");
    holds_all_and_little_else(&run, &Filter::of(&run, &path));
    assert!(Filter::cached(&run, &path).is_some(), "the file was not filled");
    holds_all_and_little_else(&run, &Filter::of(&run, &path));
}

#[test]
fn a_long_run_has_several_parts() {
    let run = run(PART_CHUNKS as u32 + 1);
    let filter = Filter::in_memory(build(&run));
    assert_eq!(filter.parts.len(), 2);
    assert!(filter.parts.iter().all(|part| part.fingerprints.len() > PART_CHUNKS / 2));
    holds_all_and_little_else(&run, &filter);
}

#[test]
fn without_chunks_or_without_a_folder_nothing_is_lost() {
    let empty = run(0);
    assert!(Filter::in_memory(build(&empty)).may_hold(&random_id(1)));
    let run = run(50);
    holds_all_and_little_else(&run, &Filter::of(&run, Path::new("/proc/nowhere/x.filters")));
}

#[test]
fn a_file_of_another_run_or_with_other_bytes_is_made_anew() {
    let (folder, run, other) = (tempfile::tempdir().unwrap(), run(500), run(PART_CHUNKS as u32 + 1));
    let path = folder.path().join("x.filters");
    cache::write(&path, &build(&other)).unwrap();
    holds_all_and_little_else(&run, &Filter::of(&run, &path));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[cache::HASH + 40] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(Filter::cached(&run, &path).is_none());
    holds_all_and_little_else(&run, &Filter::of(&run, &path));
}

/// Whoever can write into the cache can make the hash fit, too: no descriptor may lead outside, whatever it says.
#[test]
fn no_descriptor_leads_outside() {
    let run = run(300);
    let sound = build(&run);
    let ids: Vec<ChunkId> = (0..64).map(random_id).collect();
    for at in 0..4 + PART_SIZE {
        for value in [0, 1, 3, 0x7f, 0x80, 0xff] {
            let mut altered = sound.clone();
            altered[at] = value;
            if let Ok(filter) = Filter::open(Arc::new(altered)) {
                assert!(ids.iter().filter(|id| filter.may_hold(id)).count() <= ids.len());
            }
        }
    }
    for cut in 0..sound.len() {
        assert!(Filter::open(Arc::new(sound[..cut].to_vec())).is_err(), "cut at {cut}");
    }
}
