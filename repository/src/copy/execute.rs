//! Doing what a plan says, one snapshot after the other, oldest commit first: retention counts no snapshot as older than what was committed before it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde::Serialize;

use super::frames::{Carrier, Sent, Trouble};
use super::plan::{CopyPlan, Work, usable_frames};
use super::{CopyProgress, make};
use crate::error::{Error, ErrorKind, chain};
use crate::history::History;
use crate::ids::ObjectId;
use crate::live::Live;
use crate::repository::Repository;
use crate::session::{Arrived, Begin, Session};

/// How often a snapshot is begun again because a prune of the destination got in between.
const TRIES_MAX: usize = 4;

/// What a copy did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CopyReport {
    /// Snapshots that are part of the copy now.
    pub snapshots: Vec<ObjectId>,
    /// Packs that were brought as they are.
    pub packs: u64,
    /// New packs, of frames of others.
    pub new_packs: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Snapshots that could not be brought, and why. The others are whole.
    pub faults: Vec<String>,
    /// The newest commit that it made.
    pub commit: Option<u64>,
}

/// Executes a plan. Whatever stops it, the snapshots that were brought before are part of the copy, and the next one goes on from there.
///
/// Not for async threads: notes are kept in a file meanwhile.
pub async fn execute(
    plan: &CopyPlan,
    from: &Arc<Repository>,
    to: &Arc<Repository>,
    now: Timestamp,
    progress: &CopyProgress,
) -> Result<CopyReport, Error> {
    make::follow(from, to).await?;
    progress.bytes_total.store(plan.bytes(), Ordering::Relaxed);
    progress.snapshots_total.store(plan.snapshots.len() as u64, Ordering::Relaxed);
    let report = CopyReport { faults: plan.faults.clone(), ..CopyReport::default() };
    let mut copying = Copying { work: plan.work.clone(), from, to, now, progress, there: None, report };
    for id in &plan.snapshots {
        copying.bring(*id).await?;
        progress.snapshots_done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(copying.report)
}

struct Copying<'a> {
    work: Work,
    from: &'a Arc<Repository>,
    to: &'a Arc<Repository>,
    now: Timestamp,
    progress: &'a CopyProgress,
    /// What the destination has, and the commit as of which that is known.
    there: Option<(u64, Live)>,
    report: CopyReport,
}

/// Why a commit did not come about, where trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// Somebody else has brought it.
    IsThere,
    /// Names were taken away for good: it must be looked at whether ours are among them.
    NamesWent,
}

impl Copying<'_> {
    async fn bring(&mut self, id: ObjectId) -> Result<(), Error> {
        for attempt in 1.. {
            match self.try_to_bring(id).await {
                Ok(()) => break,
                Err(Trouble::Source(why)) => {
                    self.report.faults.push(format!("snapshot {id}: {why}"));
                    break;
                }
                Err(Trouble::Stop(Error::Fenced(why))) if attempt < TRIES_MAX => {
                    tracing::info!(%id, why, "begun again");
                    self.to.refresh().await?;
                    self.there = None;
                    self.work.gone = self.to.gone().await?;
                    let gone = &self.work.gone;
                    self.work.whole.retain(|pack| !gone.has(pack));
                }
                Err(Trouble::Stop(error)) => return Err(error),
            }
        }
        Ok(())
    }

    async fn try_to_bring(&mut self, id: ObjectId) -> Result<(), Trouble> {
        if self.to.history().has_snapshot(&id) || self.work.gone.has(&id) {
            return Ok(());
        }
        let source = |error: Error| match error.kind() {
            ErrorKind::Corrupt => Trouble::Source(chain(&error)),
            _ => Trouble::Stop(error),
        };
        let object = self.from.snapshot_bytes(&id).await.map_err(source)?;
        let live = self.from.snapshot_inventory(id).await.map_err(source)?.live;
        let session = self.begin().await?;
        let mut missing = live.clone();
        missing.subtract(self.there().await?);
        missing.subtract(&stored_by(&session));
        let (work, progress) = (&self.work, self.progress);
        let carrier = Carrier { from: self.from, to: self.to, work, session: &session, progress };
        let brought = match carrier.bring(&missing).await {
            Ok(sent) => {
                let new = stored_by(&session);
                self.commit(&session, Arrived { id, object, live: &live }).await.map(|commit| (sent, new, commit))
            }
            Err(trouble) => Err(trouble),
        };
        match &brought {
            // One that nobody will go on with is waited for by nobody.
            Ok((.., None)) | Err(Trouble::Source(_)) => session.end_if_empty().await?,
            // It is begun again at once.
            Err(Trouble::Stop(Error::Fenced(_))) | Ok(_) => {}
            // One that was stopped is taken up again.
            Err(Trouble::Stop(_)) => session.rest().await,
        }
        let (sent, new, commit) = brought?;
        self.count(id, sent, commit, &new);
        Ok(())
    }

    async fn begin(&self) -> Result<Arc<Session>, Error> {
        let notes = self.to.file_of_copy("copying");
        let begin = Begin { parent: None, started: self.now, notes: Some(&notes), uploads: NonZeroUsize::MIN };
        let session = self.to.begin(begin).await?;
        // What an earlier session has put under a name that was taken away before may be deleted at any moment.
        session.leave_out(|pack| self.work.gone.has(&pack.id));
        Ok(session)
    }

    /// What the destination has, as of its newest commit. Asked after the session began, so that nothing of it is swept unseen.
    async fn there(&mut self) -> Result<&Live, Error> {
        let newest = self.to.history().newest;
        if self.there.as_ref().is_none_or(|(known, _)| *known != newest) {
            let index = self.to.open_whole_index().await?;
            self.there = Some((self.to.history().newest, usable_frames(&index, self.to)));
        }
        // BUG if it is none: it was filled just now.
        Ok(&self.there.as_ref().expect("what is there is known").1)
    }

    async fn commit(&self, session: &Session, arrived: Arrived<'_>) -> Result<Option<u64>, Trouble> {
        let (id, known) = (arrived.id, self.work.gone.newest);
        let mut meanwhile = Meanwhile::Nothing;
        let agrees = |history: &History| {
            meanwhile = match history {
                history if history.has_snapshot(&id) => Meanwhile::IsThere,
                history if history.names_gone > known => Meanwhile::NamesWent,
                _ => return Ok(()),
            };
            Err(Error::Fenced("a prune has taken names away meanwhile".into()))
        };
        match session.commit_arrived(arrived, agrees).await {
            Err(_) if meanwhile == Meanwhile::IsThere => Ok(None),
            done => Ok(Some(done?)),
        }
    }

    fn count(&mut self, id: ObjectId, sent: Sent, commit: Option<u64>, new: &Live) {
        self.report.packs += sent.packs;
        self.report.new_packs += sent.new_packs;
        self.report.bytes += sent.bytes;
        let Some(commit) = commit else { return };
        self.report.snapshots.push(id);
        self.report.commit = Some(commit);
        match &mut self.there {
            // Nobody else has committed in between.
            Some((known, there)) if *known + 1 == commit => {
                there.merge(new);
                *known = commit;
            }
            there => *there = None,
        }
    }
}

/// The frames of the packs that a session has stored.
fn stored_by(session: &Session) -> Live {
    let mut stored = Live::default();
    for pack in session.packs_so_far() {
        for (row, _) in &pack.frames {
            stored.insert(pack.segments[row.segment as usize].nonce, row.ordinal);
        }
    }
    stored
}
