//! Passphrases: from a file, or typed on the terminal without echo. Never from the command line, never from the environment itself.

use std::io::{IsTerminal, stderr, stdin};
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::{Cause, Failure};
use crate::key_file::secret_text;

/// The first line of a file.
pub(crate) fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = secret_text(path, "passphrase file")?;
    let line = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    if line.is_empty() {
        let why = Cause::Key("its first line is empty".into());
        return Err(Failure::new(format!("use the passphrase file {}", path.display()), why)
            .advise("write the passphrase into its first line"));
    }
    Ok(line)
}

/// Whether somebody could answer.
pub(crate) fn can_ask() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Asks once, for a passphrase that exists.
pub(crate) fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    if !can_ask() {
        let why = Cause::Key("there is no terminal to ask on".into());
        return Err(Failure::new("ask for a passphrase", why).advise("give --passphrase-file FILE"));
    }
    let typed = rpassword::prompt_password(prompt).map(Zeroizing::new);
    typed.map_err(|source| Failure::new("ask for a passphrase", Cause::Program(Box::new(source))))
}

/// Asks twice, for a new passphrase: a slip would lock its holder out.
pub(crate) fn ask_new() -> Result<Zeroizing<String>, Failure> {
    let (first, second) = (ask("new passphrase: ")?, ask("the same again: ")?);
    let why = match (first.is_empty(), first == second) {
        (true, _) => "it is empty",
        (false, false) => "the two are not the same",
        (false, true) => return Ok(first),
    };
    Err(Failure::new("take the new passphrase", Cause::Key(why.into())).advise("run the command again"))
}
