//! Parsers of outside bytes refuse; they never panic. The samples are what the encoders make and whatever fuzzing found; each is replayed as it is, cut and mutated.

use std::path::Path;

use proptest::prelude::*;
use strongroom_repository::parsers::{ALL, samples};

/// The encoders' samples, and the files that fuzzing left in `tests/corpus/<parser>/`.
fn corpus(parser: &str) -> Vec<Vec<u8>> {
    let made = samples().into_iter().filter(|(name, _)| *name == parser).map(|(_, sample)| sample);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(parser);
    let found =
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    made.chain(found).collect()
}

/// A fixed sequence of positions and bytes, so that a failure repeats.
fn mutations(seed: &[u8], length: usize) -> Vec<(usize, u8)> {
    let mut stream = vec![0; 512 * 5];
    blake3::Hasher::new().update(seed).finalize_xof().fill(&mut stream);
    let number = |five: &[u8]| u32::from_le_bytes([five[0], five[1], five[2], five[3]]) as usize;
    stream.chunks(5).map(|five| (number(five) % length.max(1), five[4])).collect()
}

#[test]
fn the_corpus_and_its_mutants_are_survived() {
    for (name, parse) in ALL {
        let samples = corpus(name);
        assert!(!samples.is_empty(), "the parser '{name}' has no sample");
        for sample in samples {
            parse(&sample);
            (0..sample.len().min(600)).for_each(|cut| parse(&sample[..cut]));
            for (at, byte) in mutations(name.as_bytes(), sample.len()) {
                let mut mutant = sample.clone();
                if let Some(place) = mutant.get_mut(at) {
                    *place = byte;
                }
                parse(&mutant);
                // A number blown up is what tempts a parser to trust it.
                let end = mutant.len().min(at + 8);
                mutant[at.min(end)..end].fill(0xff);
                parse(&mutant);
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000), kind in 0u8..4) {
        for (_, parse) in ALL {
            parse(&bytes);
            let page = [&[kind][..], &bytes].concat();
            parse(&page);
        }
    }
}
