//! Checkpoints: the folded history as of every so-many-th commit, so that whoever opens a repository for the first time reads the commits since, and not all of them.
//!
//! A checkpoint is a cache. The admin signs it, so neither a host nor a store can make one; it names its commit by number and hash, so it speaks of the history of one copy;
//! and one that is missing, damaged or another history's costs requests and changes nothing. Commits stay, all of them, and with them every name that is never used again.
//!
//! Nobody has to list or to note which there are: they are of the commits whose numbers are multiples of [`COMMITS_A_CHECKPOINT`], and their names are tried, from the newest
//! commit backwards. A try that finds nothing stands for so many commits that must be read, so tries are less than one in a hundred of what is read.
//!
//! Who holds the admin key writes them: with the commit that reaches a multiple, the gateway with a host's; and forgets and prunes, where commits of others passed one by.
//! It is folded from the checkpoint before it and the commits in the store: what a machine remembers wrongly does not reach the others.

#[cfg(test)]
mod tests;

use std::future::ready;
use std::pin::pin;

use futures::future::join_all;
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use super::{FETCHES_AT_ONCE, Repository, Written, get, list, put_new, remove, size};
use crate::error::{Error, chain};
use crate::history::History;
use crate::object::{self, ObjectType};

/// From one checkpoint to the next, in commits. A commit that adds a snapshot takes some 350 bytes, so that the commits since the newest checkpoint are 45 KB at most, fetched in
/// 8 rounds of 16: 0.4 s at 50 ms a round trip. A checkpoint takes some 60 bytes for a snapshot and 34 for an index run in force: with 10,000 of both 1 MB, which are 7 KiB for
/// each commit since the one before. Part of the format, since names follow from it.
const COMMITS_A_CHECKPOINT: u64 = 128;

/// So many stay: the newest, and the one before, should that be damaged.
const KEPT: usize = 2;

/// The number in the name of a checkpoint.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let hex = name.strip_prefix(ObjectType::Checkpoint.folder())?.strip_prefix('/')?;
    let number = u64::from_str_radix(hex, 16).ok().filter(|number| object::checkpoint_name(*number) == name)?;
    (number > 0 && number.is_multiple_of(COMMITS_A_CHECKPOINT)).then_some(number)
}

/// What a checkpoint is bound to.
fn bound(number: &[u8; 8]) -> (ObjectType, &[u8]) {
    (ObjectType::Checkpoint, number)
}

/// What a checkpoint says, if this release folds just that.
pub(crate) fn decode(json: Value) -> Option<History> {
    History::deserialize(json).ok()
}

impl Repository {
    /// Where a cold open begins: at the newest checkpoint that is right, else at nothing. A hint that counts commits which are not there is no guide to any.
    pub(super) async fn first_checkpoint(&self, hint: u64) -> History {
        if hint < COMMITS_A_CHECKPOINT {
            return History::default();
        }
        match size(&*self.store, &object::commit_name(hint)).await {
            Ok(Some(_)) => self.newest_checkpoint(hint).await,
            _ => History::default(),
        }
    }

    /// The newest one up to a commit that is right. After as many wrong ones as there should be, no more are looked at: a store that refuses would do so every time.
    async fn newest_checkpoint(&self, newest: u64) -> History {
        let numbers = (1..=newest / COMMITS_A_CHECKPOINT).rev().map(|nth| nth * COMMITS_A_CHECKPOINT);
        let tried = stream::iter(numbers).map(|number| self.checkpoint(number)).buffered(KEPT);
        let found = tried.filter(|tried| ready(!matches!(tried, Err(Error::Missing { .. }))));
        let mut found = pin!(found.take(KEPT));
        while let Some(tried) = found.next().await {
            match tried {
                Ok(history) => return history,
                Err(error) => tracing::warn!("{}: it is not used, and more commits are read", chain(&error)),
            }
        }
        History::default()
    }

    /// A checkpoint of the history that is here.
    async fn checkpoint(&self, number: u64) -> Result<History, Error> {
        let name = object::checkpoint_name(number);
        let history = self.open_checkpoint(number, &get(&*self.store, &name).await?)?;
        let history = history.ok_or_else(|| Error::damaged(&name, "another release folds more or less into it"))?;
        match self.goes_on_from(&history).await? {
            true => Ok(history),
            false => Err(Error::damaged(name, "it is of another history than the one that is here")),
        }
    }

    /// Checks and opens the object of a checkpoint; nothing in it where another release folds more or less. Whether the history here goes on from it is the caller's question.
    pub(crate) fn open_checkpoint(&self, number: u64, bytes: &[u8]) -> Result<Option<History>, Error> {
        let name = object::checkpoint_name(number);
        let (json, signer) = self.open_record(bound(&number.to_le_bytes()), &name, bytes)?;
        if signer != self.config.admin_key {
            return Err(Error::damaged(name, "it is not signed by the admin key"));
        }
        match decode(json) {
            Some(history) if history.newest != number => {
                Err(Error::damaged(name, format!("it says that it is of commit {}", history.newest)))
            }
            decoded => Ok(decoded),
        }
    }

    /// The object of a checkpoint.
    fn seal_checkpoint(&self, history: &History) -> Vec<u8> {
        self.seal_record(bound(&history.newest.to_le_bytes()), history)
    }

    /// Writes the checkpoint of a commit that was made just now, if it is one that has any.
    pub async fn checkpoint_at(&self, commit: u64) {
        if commit.is_multiple_of(COMMITS_A_CHECKPOINT) {
            self.keep_checkpoint_until(commit).await;
        }
    }

    /// Sees to it that the newest commit that can have a checkpoint has one.
    pub(crate) async fn keep_checkpoint(&self) {
        self.keep_checkpoint_until(self.history().newest).await;
    }

    /// Since it is a cache, whatever fails is told to the log alone.
    async fn keep_checkpoint_until(&self, newest: u64) {
        let number = newest - newest % COMMITS_A_CHECKPOINT;
        if number == 0 || !self.key.can_read() {
            return;
        }
        match self.write_checkpoint(number).await {
            Ok(written) => tracing::debug!(commit = number, ?written, "checkpoint of the history"),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "no checkpoint is written: opening anew reads more commits");
            }
        }
    }

    async fn write_checkpoint(&self, number: u64) -> Result<Written, Error> {
        let name = object::checkpoint_name(number);
        if size(&*self.store, &name).await?.is_some() {
            return Ok(Written::Existed);
        }
        let folded = self.fold_until(self.newest_checkpoint(number - 1).await, number).await?;
        match folded.newest == number {
            true => put_new(&*self.store, &name, self.seal_checkpoint(&folded)).await,
            false => Err(Error::Missing { name: object::commit_name(folded.newest + 1) }),
        }
    }

    /// The numbers of those that are there, the newest first.
    pub(crate) async fn checkpoints(&self) -> Result<Vec<u64>, Error> {
        let listed = list(&*self.store, ObjectType::Checkpoint.folder()).await?;
        let mut numbers: Vec<u64> = listed.iter().filter_map(|(name, _)| number_of(name)).collect();
        numbers.sort_unstable_by(|left, right| right.cmp(left));
        Ok(numbers)
    }

    /// Deletes all up to now but the newest: nothing refers to them, and who reads one just then goes by another, or by the commits.
    pub(crate) async fn drop_old_checkpoints(&self) {
        let newest = self.history().newest;
        let numbers = self.checkpoints().await.unwrap_or_default().into_iter().filter(|number| *number <= newest);
        let names: Vec<String> = numbers.skip(KEPT).map(object::checkpoint_name).collect();
        for names in names.chunks(FETCHES_AT_ONCE) {
            for outcome in join_all(names.iter().map(|name| remove(&*self.store, name))).await {
                if let Err(error) = outcome {
                    tracing::warn!(error = %chain(&error), "an old checkpoint stays: the next prune deletes it");
                }
            }
        }
    }
}
