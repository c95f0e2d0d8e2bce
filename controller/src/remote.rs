//! A job on a host: started, attached to again after every cut, and ended once.
//!
//! The worker runs the job, not the connection. So there is one path: start (which finds a job that is there), watch until it ends, and after a cut begin again with both.

use std::sync::Arc;
use std::time::Duration;

use strongroom_proto::feature;
use strongroom_proto::worker::backup_job::Source;
use strongroom_proto::worker::job_state::State;
use strongroom_proto::worker::{
    EnrollRequest, FailureKind, HelloReply, JobReference, JobState, LendPart, Running, StartRequest,
};
use strongroom_repository::Loan;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Code;

use crate::links::{Link, Links, Unreachable, knows, said};

/// How long a job may be out of sight. A host that was rebooted, or cut off for a night's maintenance, is back by then.
const OUT_OF_SIGHT_MAX: Duration = Duration::from_secs(12 * 3600);
/// Between tries to reach a host that runs a job of ours; doubled each time.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// A job and where it is to run.
#[derive(Debug)]
pub struct RemoteJob {
    /// The host.
    pub host: String,
    /// What is to be done.
    pub request: StartRequest,
    /// Turns true when somebody wants it to end.
    pub cancel: watch::Receiver<bool>,
    /// True as long as somebody wants it to be halted.
    pub pause: watch::Receiver<bool>,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobFault {
    /// The host could not be reached, and nothing was begun there.
    #[error("host {host} cannot be reached")]
    Unreachable {
        /// Which.
        host: String,
        /// Why.
        source: Unreachable,
    },
    /// The job was begun, and then the host was not heard of for too long. It may go on there.
    #[error("host {host} was not heard of for {} hours while the job ran", OUT_OF_SIGHT_MAX.as_secs() / 3600)]
    OutOfSight {
        /// Which.
        host: String,
        /// The last attempt's failure.
        source: Unreachable,
    },
    /// The worker is of a release that would not see what the job asks for, and do without.
    #[error(
        "the worker {version} on {host} is too old for {what}: give it this release's with `strongroom host upgrade ADDRESS`"
    )]
    TooOld {
        /// What it does not know of, in the words of a plan.
        what: &'static str,
        /// Which host.
        host: String,
        /// Its worker.
        version: String,
    },
    /// The worker refused the job.
    #[error("the worker on {host} refused the job: {reason}")]
    Refused {
        /// Which.
        host: String,
        /// Why.
        reason: String,
    },
    /// The key for the host could not be made.
    #[error("no key could be made for {host}: {reason}")]
    Key {
        /// Which.
        host: String,
        /// Why.
        reason: String,
    },
    /// What the restore needs could not be read, so nothing was lent and nothing begun.
    #[error("what is to be restored on {host} cannot be read: {reason}")]
    Snapshot {
        /// Where to.
        host: String,
        /// Why.
        reason: String,
    },
    /// The job failed there.
    #[error("{reason}")]
    Failed {
        /// Whose fault it is.
        kind: FailureKind,
        /// Why.
        reason: String,
    },
    /// It was cancelled.
    #[error("it was cancelled")]
    Cancelled,
}

/// Runs a job to its end and returns the worker's report. `key` makes the key file with which the worker writes, where it has none yet; `progress` is told how far it is.
pub async fn run<K, F>(
    links: &Arc<Links>,
    job: &RemoteJob,
    key: K,
    progress: impl Fn(&Running),
) -> Result<Vec<u8>, JobFault>
where
    K: Fn() -> F,
    F: Future<Output = Result<Vec<u8>, String>>,
{
    run_lending(links, job, None, key, progress).await
}

/// The same for a job that asks for keys: it gets the loan, and once more after each restart of its worker.
pub(crate) async fn run_lending<K, F>(
    links: &Arc<Links>,
    job: &RemoteJob,
    loan: Option<&Loan>,
    key: K,
    progress: impl Fn(&Running),
) -> Result<Vec<u8>, JobFault>
where
    K: Fn() -> F,
    F: Future<Output = Result<Vec<u8>, String>>,
{
    let mut begun = false;
    let mut seen = Instant::now();
    let mut again = AGAIN_FIRST;
    loop {
        let failure = match links.reach(&job.host).await {
            Ok(link) => {
                let mut heard = false;
                match attend(&link, (job, loan), &key, &progress, &mut heard).await {
                    Attended::Ended(result) => return result,
                    Attended::Cut(why) => {
                        link.give_up();
                        if heard {
                            (begun, seen, again) = (true, Instant::now(), AGAIN_FIRST);
                        }
                        why
                    }
                }
            }
            Err(why) => why,
        };
        let host = job.host.clone();
        if !begun {
            return Err(JobFault::Unreachable { host, source: failure });
        }
        if seen.elapsed() > OUT_OF_SIGHT_MAX || !failure.passing {
            return Err(JobFault::OutOfSight { host, source: failure });
        }
        tracing::info!(host, job = job.request.job, why = %failure, "the line was lost, the job goes on");
        tokio::time::sleep(again).await;
        again = (again * 2).min(AGAIN_MAX);
    }
}

/// What came of one line.
enum Attended {
    Ended(Result<Vec<u8>, JobFault>),
    Cut(Unreachable),
}

/// What is to be done, and the keys that it may ask for.
type Lending<'a> = (&'a RemoteJob, Option<&'a Loan>);

async fn attend<K, F>(
    link: &Link,
    (job, loan): Lending<'_>,
    key: &K,
    progress: &impl Fn(&Running),
    heard: &mut bool,
) -> Attended
where
    K: Fn() -> F,
    F: Future<Output = Result<Vec<u8>, String>>,
{
    let started = match start(link, job, key).await {
        Ok(state) => state,
        Err(ended) => return ended,
    };
    *heard = true;
    let is_paused = matches!(&started.state, Some(State::Running(running)) if running.paused);
    if let Some(result) = result(started, progress) {
        return Attended::Ended(result);
    }
    tokio::select! {
        attended = watch_job(link, (job, loan), is_paused, progress) => attended,
        () = link.ended() => Attended::Cut(Unreachable { why: "the line was cut".into(), passing: true }),
    }
}

async fn start<K, F>(link: &Link, job: &RemoteJob, key: &K) -> Result<JobState, Attended>
where
    K: Fn() -> F,
    F: Future<Output = Result<Vec<u8>, String>>,
{
    if let Some(what) = beyond(&job.request, link.hello()) {
        let (host, version) = (job.host.clone(), link.hello().version.clone());
        return Err(Attended::Ended(Err(JobFault::TooOld { what, host, version })));
    }
    let refused = |reason| Attended::Ended(Err(JobFault::Refused { host: job.host.clone(), reason }));
    match link.worker().start(job.request.clone()).await {
        Ok(state) => return Ok(state.into_inner()),
        Err(status) if status.code() == Code::FailedPrecondition => {}
        Err(status) => return Err(cut(&status).map_or_else(|| refused(said(&status)), Attended::Cut)),
    }
    let no_key = |reason| Attended::Ended(Err(JobFault::Key { host: job.host.clone(), reason }));
    let key_file = key().await.map_err(no_key)?;
    let failed = |status: tonic::Status| cut(&status).map_or_else(|| refused(said(&status)), Attended::Cut);
    link.worker().enroll(EnrollRequest { key_file }).await.map_err(failed)?;
    link.worker().start(job.request.clone()).await.map(tonic::Response::into_inner).map_err(failed)
}

/// What a job asks for and its worker does not know of. What a worker knows and cannot do, it refuses itself.
fn beyond(request: &StartRequest, worker: &HelloReply) -> Option<&'static str> {
    if request.restore.is_some() && !knows(worker, feature::RESTORE) {
        return Some("restores");
    }
    if request.restore.as_ref().is_some_and(|restore| !restore.promote_to.is_empty())
        && !knows(worker, feature::PROMOTE)
    {
        return Some("putting what was restored in place");
    }
    if request.restore.as_ref().is_some_and(|restore| restore.around.is_some())
        && !knows(worker, feature::RESTORE_AROUND)
    {
        return Some("commands and probes around a restore");
    }
    let backup = request.backup.as_ref()?;
    let asked = [
        (matches!(backup.source, Some(Source::Command(_))), feature::COMMAND_SOURCE, "a `command` as a source"),
        (backup.hooks.is_some(), feature::HOOKS, "commands `before` and `after`"),
        (backup.limits.is_some(), feature::LIMITS, "`limits`"),
        (backup.direct.is_some(), feature::DIRECT_STORE, "`access: direct`"),
    ];
    let missing = asked.into_iter().find(|(is_asked, feature, _)| *is_asked && !knows(worker, feature))?;
    Some(missing.2)
}

async fn watch_job(link: &Link, (job, loan): Lending<'_>, is_paused: bool, progress: &impl Fn(&Running)) -> Attended {
    let reference = JobReference { job: job.request.job.clone(), generation: job.request.generation };
    let failed = |status: tonic::Status| {
        let lost = || Unreachable { why: said(&status), passing: true };
        Attended::Cut(cut(&status).unwrap_or_else(lost))
    };
    let mut states = match link.worker().watch(reference.clone()).await {
        Ok(states) => states.into_inner(),
        Err(status) => return failed(status),
    };
    let mut cancel = job.cancel.clone();
    let mut asked = false;
    let mut pause = job.pause.clone();
    let mut is_paused = is_paused;
    loop {
        tokio::select! {
            state = states.message() => match state {
                Ok(Some(state)) => {
                    if wants_loan(&state) && let Err(attended) = lend(link, (job, loan), reference.clone()).await {
                        return attended;
                    }
                    if let Some(result) = result(state, progress) {
                        return Attended::Ended(result);
                    }
                }
                Ok(None) => return Attended::Cut(Unreachable { why: "the worker ended the watch".into(), passing: true }),
                Err(status) => return failed(status),
            },
            // Asked once on each line: the worker remembers it, and answers by the job's end.
            () = wished(&mut cancel), if !asked => {
                asked = true;
                if let Err(status) = link.worker().cancel(reference.clone()).await {
                    return failed(status);
                }
            }
            wanted = other(&mut pause, is_paused) => {
                is_paused = wanted;
                if let Err(status) = set_paused(link, &reference, wanted).await {
                    return failed(status);
                }
            }
        }
    }
}

fn wants_loan(state: &JobState) -> bool {
    matches!(&state.state, Some(State::Running(running)) if running.wants_loan)
}

/// How much of a loan one message holds.
const LOAN_PART_BYTES: usize = 1 << 20;

/// Hands over the keys. A worker that has them already lets them be.
async fn lend(link: &Link, (job, loan): Lending<'_>, reference: JobReference) -> Result<(), Attended> {
    let refused = |reason| Attended::Ended(Err(JobFault::Refused { host: job.host.clone(), reason }));
    let loan = loan.ok_or_else(|| refused("it asks for keys, and none are to be lent for this job".into()))?;
    let bytes = loan.to_bytes();
    let first = LendPart { job: Some(reference), loan: Vec::new() };
    let parts = bytes.chunks(LOAN_PART_BYTES).map(|part| LendPart { job: None, loan: part.to_vec() });
    let parts: Vec<LendPart> = [first].into_iter().chain(parts).collect();
    match link.worker().lend(futures::stream::iter(parts)).await {
        Ok(_) => Ok(()),
        Err(status) => Err(cut(&status).map_or_else(|| refused(said(&status)), Attended::Cut)),
    }
}

/// Waits until somebody wants the end; whoever could want it may be gone.
async fn wished(cancel: &mut watch::Receiver<bool>) {
    let gone = cancel.wait_for(|cancel| *cancel).await.is_err();
    if gone {
        std::future::pending().await
    }
}

/// Waits until somebody wants the other of the two.
async fn other(pause: &mut watch::Receiver<bool>, is_paused: bool) -> bool {
    let wanted = pause.wait_for(|wanted| *wanted != is_paused).await.map(|wanted| *wanted);
    match wanted {
        Ok(wanted) => wanted,
        Err(_) => std::future::pending().await,
    }
}

async fn set_paused(link: &Link, job: &JobReference, paused: bool) -> Result<(), tonic::Status> {
    let mut worker = link.worker();
    let answer = if paused { worker.pause(job.clone()).await } else { worker.resume(job.clone()).await };
    match answer {
        Err(status) if status.code() == Code::Unimplemented => {
            tracing::error!(
                job = job.job,
                "the worker is of a release that cannot halt jobs: exchange it with `strongroom host upgrade`"
            );
            Ok(())
        }
        answer => answer.map(drop),
    }
}

/// The job's result, if it has ended.
fn result(state: JobState, progress: &impl Fn(&Running)) -> Option<Result<Vec<u8>, JobFault>> {
    match state.state? {
        State::Running(running) => {
            progress(&running);
            None
        }
        State::BackedUp(done) => Some(Ok(done.report)),
        State::Restored(done) => Some(Ok(done.report)),
        State::Failed(failed) => Some(Err(JobFault::Failed { kind: failed.kind(), reason: failed.reason })),
        State::Cancelled(_) => Some(Err(JobFault::Cancelled)),
    }
}

/// Whether a call failed because of the line. A call that was on its way when the line broke ends as unknown, with the transport's error as its cause.
fn cut(status: &tonic::Status) -> Option<Unreachable> {
    let by_line = match status.code() {
        Code::Unavailable => true,
        Code::Unknown | Code::Cancelled | Code::Internal => std::error::Error::source(status).is_some(),
        _ => false,
    };
    by_line.then(|| Unreachable { why: said(status), passing: true })
}
