//! Checks that are this program's own: `strongroom check files srv/www --at-least 100`. Records keep these words, whatever the program is called and wherever it lies.

use std::io;
use std::path::PathBuf;

/// By these words they begin.
const WORDS: [&str; 2] = ["strongroom", "check"];
/// So the kernel marks the file of a program that was replaced while it runs.
const REPLACED: &str = " (deleted)";

/// The words by which a check is started: this program itself, where it is meant. Another one in PATH might be of another release, and a host has none.
pub(super) fn started_by(command: &[String]) -> io::Result<Vec<String>> {
    let mut words = command.to_vec();
    if command.len() > WORDS.len() && command.iter().zip(WORDS).all(|(word, own)| word == own) {
        words[0] = this_program()?;
    }
    Ok(words)
}

fn this_program() -> io::Result<String> {
    let path = std::env::current_exe()?.into_os_string().into_string();
    let path = path.map_err(|_| io::Error::other("this program lies at a path that is not UTF-8"))?;
    // Its successor lies in the same place.
    Ok(match path.strip_suffix(REPLACED) {
        Some(place) if !PathBuf::from(&path).exists() => place.to_owned(),
        _ => path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_checks_are_started_by_this_program_and_others_as_they_are() {
        let started = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            started_by(&words).unwrap()
        };
        let own = std::env::current_exe().unwrap().into_os_string().into_string().unwrap();
        assert_eq!(started(&["strongroom", "check", "port", "80"]), [own.as_str(), "check", "port", "80"]);
        for words in [&["strongroom", "status"][..], &["strongroom", "check"], &["test", "-s", "x"], &[]] {
            assert_eq!(started(words), words);
        }
    }
}
