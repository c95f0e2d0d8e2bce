//! A fault as a person reads it: the line, a caret below the offending text, and the remedy.
//!
//! The text comes from somebody's file, so nothing of it reaches the terminal unseen: tabs become spaces, control
//! and direction-changing characters become a replacement sign, and a long line is cut around the fault.

use std::fmt;

use unicode_width::UnicodeWidthStr;

use crate::fault::Fault;
use crate::text::Place;

/// What stands in front of the fault on its line is cut to this many characters: enough to see the key.
const BEFORE_CHARS_MAX: usize = 60;
/// From the fault on, this many characters are shown: with the above, a line of a wide terminal.
const AFTER_CHARS_MAX: usize = 60;
/// A quoted value in a sentence is cut to this many characters.
const QUOTED_CHARS_MAX: usize = 60;

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        let number = place.line().to_string();
        let margin = " ".repeat(number.len());
        let excerpt = Excerpt::of(place);
        writeln!(out, "error[{}]: {}", self.code(), self.reason())?;
        writeln!(out, "{margin}--> {}:{}:{}", visible(place.file()), place.line(), place.column())?;
        writeln!(out, "{margin} |")?;
        writeln!(out, "{number} | {}{}", excerpt.before, excerpt.after)?;
        writeln!(out, "{margin} | {}", excerpt.carets)?;
        write!(out, "{margin} = help: {}", self.remedy())
    }
}

/// The part of a line that is shown, and the carets below it.
struct Excerpt {
    before: String,
    after: String,
    carets: String,
}

impl Excerpt {
    fn of(place: &Place) -> Self {
        let line = place.source_line();
        let split = line.char_indices().nth(place.column() - 1).map_or(line.len(), |(at, _)| at);
        let (before, after) = line.split_at(split);
        let before = last_chars(before, BEFORE_CHARS_MAX);
        let marked = first_chars(place.text(), AFTER_CHARS_MAX);
        let carets = " ".repeat(before.width()) + &"^".repeat(marked.width().max(1));
        Self { before, after: first_chars(after, AFTER_CHARS_MAX), carets }
    }
}

/// A value of the text for use in a sentence, between backticks.
pub(crate) fn quoted(text: &str) -> String {
    let one_line: String = text.chars().map(|char| if char == '\n' { ' ' } else { char }).collect();
    format!("`{}`", first_chars(&one_line, QUOTED_CHARS_MAX))
}

/// `a, b, c` for a sentence.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn first_chars(text: &str, count: usize) -> String {
    match text.char_indices().nth(count) {
        Some((at, _)) => visible(&text[..at]) + "…",
        None => visible(text),
    }
}

fn last_chars(text: &str, count: usize) -> String {
    match text.char_indices().rev().nth(count) {
        Some((at, char)) => format!("…{}", visible(&text[at + char.len_utf8()..])),
        None => visible(text),
    }
}

fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\t' => shown.push_str("    "),
            _ if char.is_control() || changes_direction(char) => shown.push(char::REPLACEMENT_CHARACTER),
            _ => shown.push(char),
        }
    }
    shown
}

/// Such characters reorder what is printed after them, so that a line shows something else than it says.
fn changes_direction(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
