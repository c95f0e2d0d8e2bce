//! Text as it lies on servers: prose, logs, JSON, settings and source code, ASCII throughout.
//!
//! Every text has local habits (its own names and its own hosts) on top of the shared vocabulary, so that it compresses like the real
//! thing: about three to five times with zstd level 3, neither like noise nor like one sentence repeated.

use crate::dice::Dice;
use crate::vocabulary::Vocabulary;
use std::fmt::Write as _;

/// What kind of text to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Genre {
    /// Sentences and paragraphs.
    Prose,
    /// Lines of a service's log.
    Log,
    /// An array of records.
    Json,
    /// Sections of keys and values with comments.
    Settings,
    /// Functions in a language with braces.
    Source,
}

impl Genre {
    /// Every genre.
    pub const ALL: [Genre; 5] = [Genre::Prose, Genre::Log, Genre::Json, Genre::Settings, Genre::Source];

    /// What files of this genre are called.
    pub fn extension(self) -> &'static str {
        match self {
            Genre::Prose => "txt",
            Genre::Log => "log",
            Genre::Json => "json",
            Genre::Settings => "conf",
            Genre::Source => "rs",
        }
    }
}

/// Exactly `length` bytes of text.
pub fn compose(genre: Genre, vocabulary: &Vocabulary, dice: &mut Dice, length: usize) -> String {
    let mut page = Page::new(vocabulary, dice, length);
    while page.text.len() < length {
        match genre {
            Genre::Prose => page.sentence(),
            Genre::Log => page.log_line(),
            Genre::Json => page.record(),
            Genre::Settings => page.setting(),
            Genre::Source => page.function(),
        }
    }
    page.text.truncate(length);
    page.text
}

/// A text in the making, with the names that this text keeps coming back to.
struct Page<'a> {
    text: String,
    vocabulary: &'a Vocabulary,
    dice: &'a mut Dice,
    names: Vec<String>,
    clock_ms: u64,
}

/// Names of its own that one text uses.
const NAMES: usize = 14;

impl<'a> Page<'a> {
    fn new(vocabulary: &'a Vocabulary, dice: &'a mut Dice, length: usize) -> Self {
        let mut names = Vec::with_capacity(NAMES);
        for _ in 0..NAMES {
            names.push(format!("{}_{}", vocabulary.word(dice), vocabulary.word(dice)));
        }
        // Any instant of 2025.
        let clock_ms = 1_735_689_600_000 + dice.below(31_536_000_000) as u64;
        Page { text: String::with_capacity(length + 1024), vocabulary, dice, names, clock_ms }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // BUG: if this ever fails; writing into a String cannot.
        let _ = self.text.write_fmt(text);
    }

    fn word(&mut self) -> &'a str {
        self.vocabulary.word(self.dice)
    }

    fn name(&mut self) -> String {
        let place = self.dice.below(NAMES);
        self.names[place].clone()
    }

    fn words(&mut self, count: usize) {
        let mut written = 0;
        while written < count {
            let vocabulary = self.vocabulary;
            let piece = if self.dice.once_in(3) { vocabulary.phrase(self.dice) } else { vocabulary.word(self.dice) };
            if written > 0 {
                self.text.push_str(if self.dice.once_in(11) { ", " } else { " " });
            }
            self.text.push_str(piece);
            written += 1 + piece.matches(' ').count();
        }
    }

    fn sentence(&mut self) {
        let (first, count) = (self.word(), 4 + self.dice.below(14));
        let (head, tail) = first.split_at(1);
        self.put(format_args!("{}{tail} ", head.to_ascii_uppercase()));
        self.words(count);
        self.text.push_str(if self.dice.once_in(6) { ".\n\n" } else { ". " });
    }

    fn log_line(&mut self) {
        self.clock_ms += self.dice.below(4_000) as u64;
        let (seconds, millis) = (self.clock_ms / 1000, self.clock_ms % 1000);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let day = 1 + seconds / 86_400 % 28;
        let level = ["INFO ", "INFO ", "INFO ", "DEBUG", "WARN ", "ERROR"][self.dice.below(6)];
        let (service, pid) = (self.name(), 400 + self.dice.below(40));
        self.put(format_args!(
            "2025-07-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z {level} {service}[{pid}]: "
        ));
        self.event();
        self.text.push('\n');
    }

    fn event(&mut self) {
        let (third, fourth) = (self.dice.below(256), self.dice.below(256));
        let (port, took, name) = (1024 + self.dice.below(60_000), self.dice.below(9_000), self.name());
        let id = self.dice.roll() >> 16;
        match self.dice.below(5) {
            0 => self.put(format_args!("connection from 10.20.{third}.{fourth} port {port} accepted for {name}")),
            1 => self.put(format_args!(
                "GET /api/v1/{name}/{port} status=200 bytes={took} took_us={took}{third} request={id:012x}"
            )),
            2 => self.put(format_args!("{name} finished in {took} ms, {third} left")),
            3 => self.put(format_args!("session {id:012x} of {name} closed after {took} s")),
            _ => self.words(6),
        }
    }

    fn record(&mut self) {
        let opening = if self.text.is_empty() { "[\n" } else { ",\n" };
        let (id, at, active) = (self.dice.roll() >> 32, self.clock_ms, !self.dice.once_in(4));
        self.clock_ms += self.dice.below(90_000) as u64;
        self.put(format_args!(
            "{opening}  {{\n    \"id\": \"{id:08x}\",\n    \"created_ms\": {at},\n    \"active\": {active},\n"
        ));
        // A file's records share one shape: the first names of the file are its keys.
        for place in 0..4 {
            let (key, amount, value) = (self.names[place].clone(), self.dice.below(100_000), self.word());
            match place {
                0 => self.put(format_args!("    \"{key}\": {amount},\n")),
                1 => self.put(format_args!("    \"{key}\": \"{value}\",\n")),
                2 => self.put(format_args!("    \"{key}\": [\"{value}\", {}],\n", amount % 97)),
                _ => self.put(format_args!("    \"{key}\": \"{value}@{}.example\",\n", amount % 50)),
            }
        }
        self.text.push_str("    \"note\": \"");
        let length = 2 + self.dice.below(8);
        self.words(length);
        self.text.push_str("\"\n  }");
    }

    fn setting(&mut self) {
        let (name, value, amount) = (self.name(), self.word(), self.dice.below(65_536));
        let key = self.word();
        match self.dice.below(9) {
            0 => self.put(format_args!("\n[{name}]\n")),
            1 | 2 => {
                self.text.push_str("# ");
                let length = 5 + self.dice.below(9);
                self.words(length);
                self.text.push('\n');
            }
            3 => self.put(format_args!("{key}_enabled = yes\n")),
            4 => self.put(format_args!("{key}_limit = {amount}\n")),
            5 => self.put(format_args!("{key}_path = /var/lib/{name}/{value}\n")),
            6 => self.put(format_args!("#{key}_timeout = 30s\n")),
            7 => self.put(format_args!("listen = 10.1.{}.{}:{amount}\n", amount % 256, amount / 256)),
            _ => self.put(format_args!("{name}.{key} = {value}\n")),
        }
    }

    fn function(&mut self) {
        let (name, argument, result) = (self.name(), self.name(), self.word());
        self.text.push_str("/// ");
        let length = 4 + self.dice.below(10);
        self.words(length);
        self.put(format_args!(
            ".\npub fn {name}_{result}({argument}: &str, limit: usize) -> Result<usize, Error> {{\n"
        ));
        for _ in 0..2 + self.dice.below(7) {
            self.statement();
        }
        self.put(format_args!("    Ok({argument}.len())\n}}\n\n"));
    }

    fn statement(&mut self) {
        let (left, right, verb) = (self.name(), self.name(), self.word());
        let amount = self.dice.below(4096);
        match self.dice.below(6) {
            0 => self.put(format_args!("    let {left} = {right}.{verb}(limit)?;\n")),
            1 => self.put(format_args!("    let mut {left} = Vec::with_capacity({amount});\n")),
            2 => self.put(format_args!(
                "    if {left} > {amount} {{\n        return Err(Error::{verb}({right}));\n    }}\n"
            )),
            3 => self.put(format_args!(
                "    for {verb} in {left}.iter() {{\n        {right}.push({verb}.clone());\n    }}\n"
            )),
            4 => self.put(format_args!("    {left}.{verb}_{}(&{right}, {amount});\n", amount % 7)),
            _ => {
                self.text.push_str("    // ");
                let length = 4 + self.dice.below(8);
                self.words(length);
                self.text.push('\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_genre_compresses_like_real_text() {
        let vocabulary = Vocabulary::seeded(1);
        for genre in Genre::ALL {
            let mut dice = Dice::seeded(&[genre as u64]);
            let texts: String = (0..256).map(|_| compose(genre, &vocabulary, &mut dice, 4096)).collect();
            let packed = zstd::encode_all(texts.as_bytes(), 3).unwrap();
            let ratio = texts.len() as f64 / packed.len() as f64;
            assert!((3.0..5.6).contains(&ratio), "{genre:?} compresses {ratio:.2} times");
        }
    }

    #[test]
    fn a_text_has_its_length_and_follows_from_its_seed() {
        let vocabulary = Vocabulary::seeded(1);
        for length in [0, 1, 777, 16_384] {
            let write = |seed| compose(Genre::Json, &vocabulary, &mut Dice::seeded(&[seed]), length);
            assert_eq!(write(5).len(), length);
            assert_eq!(write(5), write(5));
            assert!(length < 700 || write(5) != write(6));
        }
    }
}
