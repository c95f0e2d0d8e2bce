//! Seeded randomness whose stream never changes.
//!
//! The generators of the `rand` crate may change their streams between versions; a corpus must not.

/// SplitMix64 (Steele, Lea, Flood 2014): one addition and two multiplications a number, good enough to choose words with.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The stream that belongs to these numbers, in this order.
    pub fn seeded(parts: &[u64]) -> Self {
        let mut dice = Dice(0);
        for part in parts {
            dice.0 ^= *part;
            dice.0 = dice.roll();
        }
        dice
    }

    /// The stream that belongs to a seed and a name, so that every file decides for itself whatever order a walk has.
    pub fn named(seed: u64, name: &[u8]) -> Self {
        // FNV-1a: spreads short names well, and SplitMix64 finishes the mixing.
        let hash = name
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        Dice::seeded(&[seed, hash])
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when the bound is 0. The bias of the multiplication is below 2^-32 for every bound used here.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.roll()) * bound as u128) >> 64) as usize
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True once in `times` rolls.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // The first three numbers of SplitMix64 from state 1234567, as printed by the reference implementation.
        let mut dice = Dice(1_234_567);
        let rolled = [dice.roll(), dice.roll(), dice.roll()];
        assert_eq!(rolled, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn other_seeds_and_names_give_other_streams() {
        let first = |mut dice: Dice| dice.roll();
        let streams = [
            first(Dice::seeded(&[1, 2])),
            first(Dice::seeded(&[2, 1])),
            first(Dice::named(1, b"a")),
            first(Dice::named(1, b"b")),
            first(Dice::named(2, b"a")),
        ];
        for (place, stream) in streams.iter().enumerate() {
            assert!(!streams[..place].contains(stream), "stream {place} repeats an earlier one");
        }
    }
}
