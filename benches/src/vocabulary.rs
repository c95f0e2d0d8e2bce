//! Words with the frequencies of a language: a few are everywhere, most are rare.

use crate::dice::Dice;

/// Different words; a technical text of a few gigabytes has some thousands in its active stock.
const WORDS: usize = 6_000;
/// Fixed turns of phrase, which are what makes real prose compress better than independent words.
const PHRASES: usize = 1_500;
/// Lots in the urn that words are drawn from: enough that the rarest of 6,000 words (1/6000 / ln 6000 of all) holds one.
const TICKETS: usize = 1 << 16;

const ONSETS: [&str; 24] = [
    "b", "br", "c", "ch", "cl", "d", "dr", "f", "g", "h", "l", "m", "n", "p", "pr", "r", "s", "sh", "st", "str", "t",
    "tr", "v", "w",
];
const VOWELS: [&str; 10] = ["a", "e", "i", "o", "u", "ea", "ai", "io", "ou", "ee"];
const CODAS: [&str; 14] = ["", "", "", "n", "r", "s", "t", "l", "nd", "st", "ck", "ng", "m", "d"];

/// A stock of words and phrases, drawn with Zipf frequencies.
#[derive(Debug)]
pub struct Vocabulary {
    words: Vec<String>,
    tickets: Vec<u16>,
    phrases: Vec<String>,
}

impl Vocabulary {
    /// The vocabulary that belongs to a seed.
    pub fn seeded(seed: u64) -> Self {
        let mut dice = Dice::seeded(&[seed, 0x00c0_ffee]);
        let words = (0..WORDS).map(|rank| coin_word(rank, &mut dice)).collect();
        let mut vocabulary = Vocabulary { words, tickets: zipf_tickets(), phrases: Vec::new() };
        vocabulary.phrases = (0..PHRASES).map(|_| vocabulary.coin_phrase(&mut dice)).collect();
        vocabulary
    }

    /// One word, common ones more often.
    pub fn word(&self, dice: &mut Dice) -> &str {
        &self.words[usize::from(self.tickets[dice.below(TICKETS)])]
    }

    /// One turn of phrase of two to five words.
    pub fn phrase(&self, dice: &mut Dice) -> &str {
        // The square makes early phrases the usual ones, as with words.
        let place = dice.unit() * dice.unit() * PHRASES as f64;
        &self.phrases[place as usize]
    }

    fn coin_phrase(&self, dice: &mut Dice) -> String {
        let words: Vec<&str> = (0..2 + dice.below(4)).map(|_| self.word(dice)).collect();
        words.join(" ")
    }
}

/// Common words are short, as in every language.
fn coin_word(rank: usize, dice: &mut Dice) -> String {
    let syllables = match rank {
        0..60 => 1,
        60..800 => 1 + dice.below(2),
        _ => 2 + dice.below(3),
    };
    let mut word = String::new();
    for _ in 0..syllables {
        word.push_str(ONSETS[dice.below(ONSETS.len())]);
        word.push_str(VOWELS[dice.below(VOWELS.len())]);
    }
    word.push_str(CODAS[dice.below(CODAS.len())]);
    word
}

/// The urn: word number r holds lots in proportion to 1 / (r + 2.7), the Zipf-Mandelbrot law of English.
fn zipf_tickets() -> Vec<u16> {
    let weight = |rank: usize| 1.0 / (rank as f64 + 2.7);
    let total: f64 = (0..WORDS).map(weight).sum();
    let mut tickets = Vec::with_capacity(TICKETS);
    let mut reached = 0.0;
    for rank in 0..WORDS {
        reached += weight(rank);
        let filled = (reached / total * TICKETS as f64).round() as usize;
        tickets.resize(filled.clamp(tickets.len(), TICKETS), rank as u16);
    }
    tickets.resize(TICKETS, 0);
    tickets
}
