//! A restore on a host: the controller reads what it needs, lends it, and takes it back.
//!
//! The host gets the data keys of only those segments that the restore touches, into its worker's memory, and may read the packs that hold them through the gateway. Both
//! last as long as the call of [`restore_on_host`]: the worker forgets the keys with the job's end, and the gateway refuses from the moment on that the call returns.
//! A worker that was restarted asks for the keys again. A controller that was restarted calls again, with the same job and generation, and finds the job going on.
//!
//! Deliberately absent: who may ask for a restore, and who must agree.

use std::sync::Arc;

use strongroom_proto::worker::{Around, DirectStore, Hook, Limits, Overwrite, RestoreJob, Running, StartRequest};
use strongroom_repository::{Lending, ObjectId, Repository, chain};
use tokio::sync::watch;

use crate::gateway::Gateway;
use crate::links::Links;
use crate::remote::{self, JobFault, RemoteJob};

/// What is to be restored, where to, and how it is steered.
#[derive(Debug, Clone)]
pub struct RestoreOrder {
    /// The host that restores.
    pub host: String,
    /// The job's name: the same for the same restore. A look ([`look_on_host`]) is another job than the restore that follows.
    pub job: String,
    /// Grows with each new attempt.
    pub generation: u64,
    /// Which snapshot.
    pub snapshot: ObjectId,
    /// Its paths, as it has them; none for everything.
    pub paths: Vec<Vec<u8>>,
    /// The directory on the host, absolute; raw bytes.
    pub target: Vec<u8>,
    /// What becomes of files that are there.
    pub overwrite: Overwrite,
    /// What becomes of those that are replaced.
    pub replaced: Replaced,
    /// How owners are set.
    pub owners: Owners,
    /// How much of the host and its line it may take.
    pub limits: Limits,
    /// Commands that are run in the directory once everything is in place.
    pub checks: Vec<Vec<String>>,
    /// What runs around it. A look runs nothing of it, but is refused by a worker that could not; nothing of it where what was restored is put in place.
    pub around: Option<Around>,
    /// Where what was restored is put, if it still is what was verified: then nothing is restored; raw bytes.
    pub promote_to: Option<Vec<u8>>,
    /// Where the host opens the store itself; none for the gateway.
    pub direct: Option<DirectStore>,
    /// Turns true when somebody wants it to end.
    pub cancel: watch::Receiver<bool>,
    /// True as long as somebody wants it to be halted.
    pub pause: watch::Receiver<bool>,
}

/// What becomes of a file that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replaced {
    /// It is gone.
    #[default]
    Remove,
    /// It is moved beside the restored ones.
    SetAside,
}

/// How owners are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owners {
    /// As they were.
    #[default]
    ByNumber,
    /// By name, where the host knows it.
    ByName,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredOnHost {
    /// JSON: the engine's report, which says whether all of it was restored; of a look, its plan.
    pub report: Vec<u8>,
    /// How many segments were lent.
    pub segments: usize,
    /// Bytes of packs and pages that the host has read through the gateway.
    pub read_bytes: u64,
}

/// The roads to the host and to what it restores.
#[derive(Debug, Clone, Copy)]
pub struct Roads<'a> {
    /// To the host.
    pub links: &'a Arc<Links>,
    /// From the host to the store.
    pub gateway: &'a Gateway,
    /// Opened with a reader's key; the gateway leads to it, unless the host opens the store itself.
    pub repository: &'a Arc<Repository>,
}

/// Has a host restore. `key` makes the key file with which it writes, where it has none of this repository yet; `progress` is told how far it is.
pub async fn restore_on_host<K, F>(
    roads: Roads<'_>,
    order: &RestoreOrder,
    key: K,
    progress: impl Fn(&Running),
) -> Result<RestoredOnHost, JobFault>
where
    K: Fn() -> F,
    F: Future<Output = Result<Vec<u8>, String>>,
{
    let job = order.job(roads.repository, Way::ToRestore);
    lend_and_run(roads, order, job, key, progress).await
}

/// Has a host say what a restore would do there. Nothing is written; the tree is read, so keys are lent for this as well.
pub async fn look_on_host<K, F>(
    roads: Roads<'_>,
    order: &RestoreOrder,
    key: K,
    progress: impl Fn(&Running),
) -> Result<RestoredOnHost, JobFault>
where
    K: Fn() -> F,
    F: Future<Output = Result<Vec<u8>, String>>,
{
    let job = order.job(roads.repository, Way::ToLook);
    lend_and_run(roads, order, job, key, progress).await
}

async fn lend_and_run<K, F>(
    roads: Roads<'_>,
    order: &RestoreOrder,
    job: RemoteJob,
    key: K,
    progress: impl Fn(&Running),
) -> Result<RestoredOnHost, JobFault>
where
    K: Fn() -> F,
    F: Future<Output = Result<Vec<u8>, String>>,
{
    let lending = lending(roads.repository, order)
        .await
        .map_err(|error| JobFault::Snapshot { host: order.host.clone(), reason: chain(&error) })?;
    let segments = lending.loan.segments();
    tracing::info!(host = order.host, job = order.job, segments, objects = lending.objects.len(), "lent for a restore");
    let lent = roads.gateway.lend(&order.host, &lending);
    let report = remote::run_lending(roads.links, &job, Some(&lending.loan), key, progress).await?;
    Ok(RestoredOnHost { report, segments, read_bytes: lent.read_bytes() })
}

async fn lending(repository: &Arc<Repository>, order: &RestoreOrder) -> Result<Lending, strongroom_repository::Error> {
    let snapshot = repository.snapshot(order.snapshot).await?;
    repository.lend(&snapshot, &order.paths).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToRestore,
    ToLook,
}

impl RestoreOrder {
    fn job(&self, repository: &Repository, way: Way) -> RemoteJob {
        let restore = RestoreJob {
            repository: repository.id().to_string(),
            snapshot: self.snapshot.to_string(),
            paths: self.paths.clone(),
            target: self.target.clone(),
            overwrite: self.overwrite.into(),
            set_aside: self.replaced == Replaced::SetAside,
            owners_by_name: self.owners == Owners::ByName,
            // Nothing is said where nothing is meant, so that a job keeps its fingerprint from release to release.
            limits: Some(self.limits).filter(|limits| *limits != Limits::default()),
            dry_run: way == Way::ToLook,
            direct: self.direct.clone(),
            promote_to: self.promote_to.clone().filter(|_| way == Way::ToRestore).unwrap_or_default(),
            around: self.around.clone().filter(|_| self.promote_to.is_none()),
            checks: if way == Way::ToLook { Vec::new() } else { self.checks.iter().map(|words| hook(words)).collect() },
        };
        let request =
            StartRequest { job: self.job.clone(), generation: self.generation, backup: None, restore: Some(restore) };
        RemoteJob { host: self.host.clone(), request, cancel: self.cancel.clone(), pause: self.pause.clone() }
    }
}

/// For as long as the worker lets a command run when nobody says.
fn hook(words: &[String]) -> Hook {
    Hook { arguments: words.to_vec(), seconds_max: 0 }
}
