//! Waiting for states that nobody announces, because they lie in another machine: they are asked about until the answer is good or the time is up.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Between two questions: short beside all that is waited for (a boot, a login), long beside what a question costs.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks until the answer is not an error. When the time is up, the last error tells what was still missing.
pub fn until<T>(what: &str, time: Duration, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        match ask() {
            Err(_) if began.elapsed() < time => pause(),
            answer => return answer.with_context(|| format!("waited {} s: {what}", began.elapsed().as_secs())),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the pause between two questions; no state is inferred from it")]
fn pause() {
    std::thread::sleep(PAUSE);
}

#[cfg(test)]
mod tests {
    use anyhow::{bail, ensure};

    use super::*;

    #[test]
    fn asks_until_the_answer_is_good() -> Result<()> {
        let mut asked = 0;
        let answer = until("three", Duration::from_secs(60), || {
            asked += 1;
            ensure!(asked == 3, "only {asked}");
            Ok(asked)
        })?;
        ensure!(answer == 3);
        Ok(())
    }

    #[test]
    fn says_what_was_still_missing() -> Result<()> {
        let refused =
            until::<()>("the moon", Duration::ZERO, || bail!("new moon")).map_err(|error| format!("{error:#}"));
        ensure!(refused == Err("waited 0 s: the moon: new moon".into()), "{refused:?}");
        Ok(())
    }
}
