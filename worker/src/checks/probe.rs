//! Probes: looks at a system that is up again, each with what it must print.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Check, CheckVerdict, Stopped, follow, own, start};
use crate::command::clean;

/// What is run, and what it must say.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// Program and arguments.
    pub command: &'a [String],
    /// All that it must print, but for space around it; anything if none.
    pub prints: Option<&'a str>,
    /// Where.
    pub folder: &'a Path,
    /// Beside the path and the language, which are always the same.
    pub environment: &'a [(String, String)],
    /// It is ended after that.
    pub time_max: Duration,
}

/// Makes one, as a command around a restore runs: without a shell, in a clean environment. `stop` is asked now and then whether it is to end early.
pub fn probe(probe: &Probe<'_>, stop: &dyn Fn() -> bool) -> Result<Check, Stopped> {
    let begin = || {
        let words = own::started_by(probe.command)?;
        let (program, arguments) =
            words.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program"))?;
        let mut command = Command::new(program);
        clean(command.args(arguments)).envs(probe.environment.iter().map(|(name, value)| (name, value)));
        start(command, probe.folder)
    };
    let made = follow(probe.command, begin, probe.time_max, stop)?;
    let is_other = |wanted: &str| made.agreed() && made.output.trim() != wanted.trim();
    match probe.prints.is_some_and(is_other) {
        true => Ok(Check { verdict: CheckVerdict::Otherwise, ..made }),
        false => Ok(made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_agrees_by_its_end_and_by_what_it_prints() {
        let environment = [("STRONGROOM_SYSTEM".to_owned(), "db".to_owned())];
        let said = |script: &str, prints| {
            let command = ["sh", "-c", script].map(str::to_owned);
            let time_max = Duration::from_secs(60);
            let wanted =
                Probe { command: &command, prints, folder: Path::new("/"), environment: &environment, time_max };
            probe(&wanted, &|| false).unwrap().verdict
        };
        assert_eq!(said("echo \" $STRONGROOM_SYSTEM\"", Some("db")), CheckVerdict::Agreed);
        assert_eq!(said("echo db2", Some("db")), CheckVerdict::Otherwise);
        assert_eq!(said("echo db; exit 3", Some("db")), CheckVerdict::Disagreed(3));
        assert_eq!(said("echo anything", None), CheckVerdict::Agreed);
        // Nothing of the worker's own.
        assert_eq!(said("test -z \"$CARGO_MANIFEST_DIR\"", None), CheckVerdict::Agreed);
    }
}
