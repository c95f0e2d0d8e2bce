//! Probes: looks at a system that is up again, each with what it must print.

use std::io;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::{Check, CheckVerdict, GLANCE, Stopped, follow, own, start};
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
    /// For so long it is made again while it does not agree: a service takes its time to come up.
    pub wait: Duration,
}

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes one, as a command around a restore runs: without a shell, in a clean environment. What it found is that of the last look, the time that of all.
/// `stop` is asked now and then whether it is to end early.
pub fn probe(probe: &Probe<'_>, stop: &dyn Fn() -> bool) -> Result<Check, Stopped> {
    let begun = Instant::now();
    loop {
        let made = look(probe, stop)?;
        if made.agreed() || begun.elapsed() + PAUSE > probe.wait {
            let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            return Ok(Check { milliseconds, ..made });
        }
        pause(stop)?;
    }
}

fn pause(stop: &dyn Fn() -> bool) -> Result<(), Stopped> {
    let begun = Instant::now();
    while begun.elapsed() < PAUSE {
        if stop() {
            return Err(Stopped);
        }
        thread::park_timeout(GLANCE);
    }
    Ok(())
}

fn look(probe: &Probe<'_>, stop: &dyn Fn() -> bool) -> Result<Check, Stopped> {
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
            let (folder, wait) = (Path::new("/"), Duration::ZERO);
            let wanted = Probe { command: &command, prints, folder, environment: &environment, time_max, wait };
            probe(&wanted, &|| false).unwrap().verdict
        };
        assert_eq!(said("echo \" $STRONGROOM_SYSTEM\"", Some("db")), CheckVerdict::Agreed);
        assert_eq!(said("echo db2", Some("db")), CheckVerdict::Otherwise);
        assert_eq!(said("echo db; exit 3", Some("db")), CheckVerdict::Disagreed(3));
        assert_eq!(said("echo anything", None), CheckVerdict::Agreed);
        // Nothing of the worker's own.
        assert_eq!(said("test -z \"$CARGO_MANIFEST_DIR\"", None), CheckVerdict::Agreed);
    }
    #[test]
    fn one_that_waits_looks_again_until_it_agrees() {
        let folder = tempfile::tempdir().unwrap();
        let made = |script: &str, wait, stop: &dyn Fn() -> bool| {
            let command = ["sh", "-c", script].map(str::to_owned);
            let (time_max, wait) = (Duration::from_secs(60), Duration::from_secs(wait));
            let wanted =
                Probe { command: &command, prints: None, folder: folder.path(), environment: &[], time_max, wait };
            probe(&wanted, stop).map(|check| check.verdict)
        };
        let twice = "echo >> tries; test $(wc -l < tries) = 2";
        assert_eq!(made(twice, 0, &|| false).unwrap(), CheckVerdict::Disagreed(1));
        std::fs::remove_file(folder.path().join("tries")).unwrap();
        assert_eq!(made(twice, 60, &|| false).unwrap(), CheckVerdict::Agreed);
        assert_eq!(made("exit 7", 2, &|| false).unwrap(), CheckVerdict::Disagreed(7));
        // Nobody waits for one that is not wanted any more.
        let looked = || folder.path().join("looked").exists();
        assert!(made("touch looked; false", 3600, &looked).is_err());
    }
}
