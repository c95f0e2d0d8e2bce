//! Every commit from the first, what checkpoints say of them, every key, every session, and the hint.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::CheckReport;
use crate::error::Error;
use crate::history::{Effect, History};
use crate::ids::ObjectId;
use crate::object::{self, HINT, ObjectType};
use crate::repository::{Repository, get, get_optional, list};

pub(super) async fn check(repository: &Arc<Repository>, report: &mut CheckReport) -> Result<(), Error> {
    let newest = repository.history().newest;
    report.commits = newest;
    report.snapshots = repository.history().snapshots.len() as u64;
    check_commits(repository, newest, report).await?;
    let keys = repository.key_records().await.map(|_| ());
    report.note("keys", keys)?;
    check_sessions(repository, report).await?;
    check_hint(repository, newest, report).await
}

/// A hint that is behind, or absent, is what an interrupted writer leaves, and costs a few requests; one that is ahead or no number was damaged, or the commits that it
/// counted are gone.
async fn check_hint(repository: &Arc<Repository>, newest: u64, report: &mut CheckReport) -> Result<(), Error> {
    let read = get(&*repository.store, HINT).await;
    let bytes = match read {
        Err(Error::Missing { .. }) => return Ok(()),
        other => other?,
    };
    match crate::repository::parse_hint(&bytes) {
        Some(hint) if hint > newest => {
            let missing = format!(
                "it is missing, if the hint is right that commit {hint} was the newest: what was added since is not seen"
            );
            report.fault(object::commit_name(newest + 1), missing);
            report.fault(HINT, format!("it says {hint}, the newest commit is {newest}"));
        }
        Some(_) => {}
        None => report
            .fault(HINT, "it is not the number of a commit; nothing depends on it, and the next backup writes it anew"),
    }
    Ok(())
}

async fn check_commits(repository: &Arc<Repository>, newest: u64, report: &mut CheckReport) -> Result<(), Error> {
    let checkpoints = read_checkpoints(repository, newest, report).await?;
    let mut folded = History::default();
    for number in 1..=newest {
        let name = object::commit_name(number);
        let read = async {
            let bytes = get(&*repository.store, &name).await?;
            let (commit, signer) = repository.open_commit(number, &bytes)?;
            let authority = repository.authority(&signer).await?;
            folded.apply(&commit, ObjectId::of(&bytes), authority).map_err(|bad| Error::damaged(&name, bad.to_string()))
        };
        let effect = report.note(&name, read.await)?;
        if effect == Some(Effect::Void) {
            report.fault(&name, "its signer had no right to its operations: it changes nothing, but ask who wrote it");
        }
        if effect.is_none() {
            // The commits after it cannot be told from a forged continuation, so the chain ends here.
            if number < newest {
                report.fault(object::commit_name(number + 1), "it continues a commit that is damaged");
            }
            return Ok(());
        }
        if checkpoints.get(&number).is_some_and(|checkpoint| *checkpoint != folded) {
            report.fault(object::checkpoint_name(number), "it is not what the commits say: delete it, nobody needs it");
        }
    }
    Ok(())
}

/// The checkpoints that can be read, by their commit. One of a commit that is not there is right, and the commit is lost.
async fn read_checkpoints(
    repository: &Arc<Repository>,
    newest: u64,
    report: &mut CheckReport,
) -> Result<BTreeMap<u64, History>, Error> {
    let mut checkpoints = BTreeMap::new();
    for number in repository.checkpoints().await? {
        let name = object::checkpoint_name(number);
        let read = async { repository.open_checkpoint(number, &get(&*repository.store, &name).await?) };
        let checkpoint = match read.await {
            // A prune has deleted it since it was listed.
            Err(Error::Missing { .. }) => continue,
            read => report.note(&name, read)?.flatten(),
        };
        if checkpoint.is_some() && number > newest && number > newest_now(repository).await? {
            let lost = format!("commits after {newest} are missing: it is of commit {number}, which was the newest");
            report.fault(&name, lost);
        }
        checkpoints.extend(checkpoint.map(|checkpoint| (number, checkpoint)));
    }
    Ok(checkpoints)
}

/// Of this moment: others commit beside a check.
async fn newest_now(repository: &Repository) -> Result<u64, Error> {
    repository.refresh().await.map(|()| repository.history().newest)
}

async fn check_sessions(repository: &Arc<Repository>, report: &mut CheckReport) -> Result<(), Error> {
    for (name, _) in list(&*repository.store, ObjectType::Session.folder()).await? {
        let read = async {
            let bytes = get(&*repository.store, &name).await?;
            repository.open_session(&name, &bytes).map(|_| ())
        };
        report.note(&name, read.await)?;
    }
    for (name, _) in list(&*repository.store, ObjectType::Rest.folder()).await? {
        // Where there is none, the session has just been taken up.
        if let Some(bytes) = get_optional(&*repository.store, &name).await? {
            report.note(&name, repository.open_rest(&name, &bytes))?;
        }
    }
    Ok(())
}
