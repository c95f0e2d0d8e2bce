//! The scheduler alone: 10,000 hosts by three plans, minute by minute through a day.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use strongroom_controller::scheduler::{Decision, RunKey, RunOutcome, Scheduler};
use strongroom_controller::site::Loaded;
use strongroom_plans::{Site, SiteFiles};

use crate::process;
use crate::spread::{Spread, ms};

const HOSTS: usize = 10_000;
/// Due at one instant; spread over an hour; spread over four hours, with a window.
const SCHEDULES: [&str; 3] = [
    "{ full: weekly sun 01:30, incremental: daily 01:30 }",
    "{ incremental: daily 02:00, jitter: 1h, missed: run once within 18h }",
    "{ full: monthly 1 04:00, incremental: daily 04:00, jitter: 4h, window: { until: \"09:00\", then: stop } }",
];

fn site() -> Result<Arc<Site>> {
    let mut files = SiteFiles::new("site");
    let limits = format!("limits: {{ runs: {HOSTS}, per-host: 3, per-repository: {HOSTS} }}\n");
    files.insert(
        "site.yaml",
        format!("name: large\nzone: Europe/Berlin\nrepositories: {{ main: {{ at: /srv/main }} }}\n{limits}"),
    );
    let mut hosts = String::from("hosts:\n");
    for number in 0..HOSTS {
        writeln!(hosts, "  h{number}: {{ address: h{number} }}")?;
    }
    files.insert("hosts.yaml", hosts);
    for (number, schedule) in SCHEDULES.iter().enumerate() {
        files.insert(
            format!("plans/p{number}.yaml"),
            format!(
                "kind: backup\nname: p{number}\nhosts: \"*\"\nsources: [{{ files: [/srv/{number}] }}]\nrepository: main\nschedule: {schedule}\nretain: {{ daily: 7 }}\n"
            ),
        );
    }
    Ok(Arc::new(Site::read(&files)?))
}

pub(crate) fn measure() -> Result<String> {
    let before = process::resident_mib()?;
    let begun = Instant::now();
    let site = site()?;
    let read = begun.elapsed();
    let start: Timestamp = "2026-11-22T00:00:30Z".parse()?;
    let loaded = Loaded { site: Arc::clone(&site), version: String::new(), commit: None };
    let begun = Instant::now();
    anyhow::ensure!(loaded.times(start).count() == HOSTS * SCHEDULES.len(), "every plan on every host");
    let looked = begun.elapsed();
    let begun = Instant::now();
    let mut scheduler = Scheduler::new(site, [], start);
    let built = begun.elapsed();
    let (mut quiet, mut busy, mut starts) = (Vec::new(), Vec::new(), 0);
    let mut going: Vec<(Timestamp, RunKey)> = Vec::new();
    for minute in 1..=24 * 60 {
        let now = start + SignedDuration::from_mins(minute);
        // Each run takes ten minutes.
        for (_, key) in going.extract_if(.., |(ends, _)| *ends <= now) {
            scheduler.ended(&key, RunOutcome::Well, now);
        }
        let begun = Instant::now();
        let decisions = scheduler.tick(now);
        let took = begun.elapsed();
        if decisions.is_empty() {
            quiet.push(took)
        } else {
            busy.push(took)
        }
        let ends = now + SignedDuration::from_mins(10);
        going.extend(decisions.into_iter().filter_map(|decision| match decision {
            Decision::Start { key, .. } => Some((ends, key)),
            _ => None,
        }));
        starts += going.iter().filter(|(at, _)| *at == ends).count();
    }
    let (memory, runs) = (process::resident_mib()? - before, HOSTS * SCHEDULES.len());
    anyhow::ensure!(starts == runs, "{starts} of {runs} runs began in a day");
    Ok(table([read, built, looked], &Spread::of(quiet), &Spread::of(busy), memory))
}

fn table([read, built, looked]: [Duration; 3], quiet: &Spread, busy: &Spread, memory: f64) -> String {
    format!(
        "## The scheduler: {HOSTS} hosts by {} plans, a day minute by minute\n\n\
         One plan is due on all hosts at one instant, one spreads them over an hour, one over four hours.\n\n\
         | | |\n|---|---:|\n\
         | reading and checking the site | {} |\n| building the scheduler | {} |\n| when everything was and is due, for `status` and what is overdue | {} |\n\
         | a tick when nothing begins, p50 / p99 | {} / {} |\n| a tick when something begins, p50 / p99 / max | {} / {} / {} |\n\
         | memory of site and scheduler | {memory:.0} MiB |\n",
        SCHEDULES.len(),
        ms(read),
        ms(built),
        ms(looked),
        ms(quiet.percentile(50)),
        ms(quiet.percentile(99)),
        ms(busy.percentile(50)),
        ms(busy.percentile(99)),
        ms(busy.max()),
    )
}
