//! Randomness that can be repeated: every random test prints its seed when it fails, and takes it back.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// The generator of every random test.
pub type Dice = StdRng;

/// Where the seeds of random tests begin: `STRONGROOM_TESTS_SEED`, or always the same.
#[must_use]
pub fn first_seed() -> u64 {
    std::env::var("STRONGROOM_TESTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_122)
}

/// The stream that belongs to a seed.
#[must_use]
pub fn seeded(seed: u64) -> Dice {
    StdRng::seed_from_u64(seed)
}

/// One of several.
pub fn one_of<'a, T>(dice: &mut Dice, choices: &'a [T]) -> &'a T {
    &choices[dice.random_range(0..choices.len())]
}

/// Bytes that no compression makes smaller and no other file has.
#[must_use]
pub fn noise(dice: &mut Dice, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    dice.fill_bytes(&mut bytes);
    bytes
}

/// Lines of words: compressible, and different in every file.
#[must_use]
pub fn words(dice: &mut Dice, length: usize) -> Vec<u8> {
    const WORDS: &[&str] = &[
        "ledger", "posting", "account", "of", "the", "day", "opened", "and", "closed", "with", "balance", "数据",
        "Größe",
    ];
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        let word = one_of(dice, WORDS);
        let number: u16 = dice.random();
        let end = if number.is_multiple_of(9) { '\n' } else { ' ' };
        text.extend_from_slice(format!("{word}{}{end}", number % 50).as_bytes());
    }
    text.truncate(length);
    text
}
