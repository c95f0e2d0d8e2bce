//! Progress on a terminal: nothing in the first quarter of a second, nothing where no terminal is, nothing between log lines.

use std::io::{IsTerminal, Write, stderr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use strongroom_worker::progress::Progress;
use tokio::task::JoinHandle;

use crate::context::Context;
use crate::shown::{count, duration, size};

/// Before this nobody has begun to wonder.
const QUIET: Duration = Duration::from_millis(250);
/// Ten pictures a second look alive and cost nothing.
const PICTURE: Duration = Duration::from_millis(100);
/// The rate is that of about so long, so that it neither jumps nor sleeps.
const RATE_WINDOW: Duration = Duration::from_secs(3);

/// How far something has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    /// Files done; 0 is not shown.
    pub(crate) files_done: u64,
    /// Bytes done.
    pub(crate) bytes_done: u64,
    /// Bytes to do, as soon as that is known.
    pub(crate) bytes_total: Option<u64>,
    /// What is being worked on.
    pub(crate) now: String,
}

/// A picture of something that is running; finish it before printing anything.
#[derive(Debug)]
pub(crate) struct Bar {
    /// Locked while a picture is drawn, so that none comes after the end.
    done: Arc<Mutex<bool>>,
    bar: ProgressBar,
    task: Option<JoinHandle<()>>,
}

/// Where bars are drawn: nowhere, unless a terminal is there and no log lines would tear them.
pub(crate) fn target(context: &Context) -> ProgressDrawTarget {
    match stderr().is_terminal() && !context.is_logging() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    }
}

/// Shows how far `read` says it has come, until the bar is finished.
pub(crate) fn watch(context: &Context, verb: &'static str, read: impl Fn() -> Reading + Send + 'static) -> Bar {
    let done = Arc::new(Mutex::new(false));
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    if !stderr().is_terminal() || context.is_logging() {
        return Bar { done, bar, task: None };
    }
    let (stop, drawn) = (Arc::clone(&done), bar.clone());
    let task = context.handle().spawn(async move {
        tokio::time::sleep(QUIET).await;
        drawn.set_style(style());
        drawn.set_draw_target(ProgressDrawTarget::stderr());
        let mut painter = Painter::new(verb);
        loop {
            draw(&stop, &drawn, painter.line(&read(), Instant::now()));
            tokio::time::sleep(PICTURE).await;
        }
    });
    Bar { done, bar, task: Some(task) }
}

/// The same for what a worker does.
pub(crate) fn watch_worker(context: &Context, verb: &'static str, progress: &Arc<Progress>) -> Bar {
    let progress = Arc::clone(progress);
    watch(context, verb, move || {
        let position = progress.position();
        Reading {
            files_done: position.files_done,
            bytes_done: position.bytes_done,
            bytes_total: Some(position.bytes_total).filter(|total| *total > 0),
            now: String::new(),
        }
    })
}

fn draw(stop: &Mutex<bool>, bar: &ProgressBar, line: String) {
    let done = stop.lock().unwrap_or_else(PoisonError::into_inner);
    if !*done {
        bar.set_message(line);
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Lines above the picture, from whichever thread.
#[derive(Debug, Clone)]
pub(crate) struct Talk {
    bar: ProgressBar,
}

impl Talk {
    /// One line on standard error; a closed one silences it.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(stderr(), "{line}");
        });
    }
}

impl Bar {
    /// Whoever has something to say while the picture is shown says it through this.
    pub(crate) fn talk(&self) -> Talk {
        Talk { bar: self.bar.clone() }
    }

    /// Takes the picture away.
    pub(crate) fn finish(self) {}
}

impl Drop for Bar {
    fn drop(&mut self) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bar.finish_and_clear();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Turns readings into lines.
#[derive(Debug)]
struct Painter {
    verb: &'static str,
    earlier: Option<(Instant, u64)>,
    bytes_per_second: f64,
}

impl Painter {
    fn new(verb: &'static str) -> Self {
        Self { verb, earlier: None, bytes_per_second: 0.0 }
    }

    fn line(&mut self, reading: &Reading, now: Instant) -> String {
        self.measure(reading.bytes_done, now);
        let mut parts = vec![self.verb.to_owned()];
        if let Some(total) = reading.bytes_total.filter(|total| *total > 0) {
            parts.push(format!("{:3}%", (reading.bytes_done * 100 / total).min(100)));
        }
        if reading.files_done > 0 {
            parts.push(format!("{} files", count(reading.files_done)));
        }
        parts.push(size(reading.bytes_done));
        parts.push(format!("{}/s", size(self.bytes_per_second as u64)));
        parts.extend(self.time_left(reading).map(|left| format!("{} left", duration(left))));
        if !reading.now.is_empty() {
            parts.push(reading.now.clone());
        }
        parts.join("  ")
    }

    /// An average that forgets.
    fn measure(&mut self, bytes: u64, now: Instant) {
        let Some((then, before)) = self.earlier.replace((now, bytes)) else { return };
        let passed = now.duration_since(then).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        let rate = bytes.saturating_sub(before) as f64 / passed;
        let weight = (passed / RATE_WINDOW.as_secs_f64()).min(1.0);
        self.bytes_per_second += (rate - self.bytes_per_second) * weight;
    }

    fn time_left(&self, reading: &Reading) -> Option<Duration> {
        let left = reading.bytes_total?.saturating_sub(reading.bytes_done);
        (self.bytes_per_second >= 1.0).then(|| Duration::from_secs_f64(left as f64 / self.bytes_per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let mut painter = Painter::new("reading");
        let start = Instant::now();
        let mut reading = Reading { files_done: 1200, bytes_total: Some(100 << 20), ..Reading::default() };
        painter.line(&reading, start);
        reading.bytes_done = 30 << 20;
        let line = painter.line(&reading, start + RATE_WINDOW);
        assert_eq!(line, "reading   30%  1,200 files  30.0 MiB  10.0 MiB/s  7.0 s left");
    }

    #[test]
    fn without_a_total_nothing_is_promised() {
        let mut painter = Painter::new("reading");
        let reading = Reading { bytes_done: 5, now: "etc/hosts".into(), ..Reading::default() };
        assert_eq!(painter.line(&reading, Instant::now()), "reading  5 B  0 B/s  etc/hosts");
    }
}
