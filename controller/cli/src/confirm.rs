//! A question to whoever sits at the terminal, before something is done that takes a person.

use std::io::{self, BufRead, IsTerminal, Write};

/// Whether he says yes; none where nobody is there to be asked.
pub(crate) fn confirmed(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() {
        return None;
    }
    let _ = write!(io::stderr(), "{question} (yes/no) ");
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    Some(answer.trim() == "yes")
}
