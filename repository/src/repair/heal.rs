//! The bytes that an object had, from where they can be had.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::{Copy, How, staged_name};
use crate::error::{Error, ErrorKind};
use crate::group::{self, Catalog};
use crate::ids::ObjectId;
use crate::object::{self, ObjectType};
use crate::parity::{self, Parity, Subject};
use crate::repository::Repository;
use crate::scrub::examine::{blocking, read_whole, verify_content, with_parity};
use crate::scrub::{Store, pack_id};

/// The groups of the store under repair: read when they are first asked for.
#[derive(Debug, Default)]
pub(super) struct Groups(OnceCell<Catalog>);

/// Who repairs what: the open repository whose keys and history decide (the one under repair, or a copy of it that still opens), and the store under repair.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bench<'a> {
    pub(super) authority: &'a Arc<Repository>,
    pub(super) store: &'a Store,
    pub(super) copies: &'a [Copy],
    pub(super) groups: &'a Groups,
}

impl Bench<'_> {
    /// The object's bytes by this way, if they are what they should be.
    pub(super) async fn bytes(&self, name: &str, how: &How) -> Result<Option<Bytes>, Error> {
        let bytes = match how {
            How::Interrupted => read_whole(self.store, &staged_name(name)).await?,
            How::Parity => self.healed(name).await?,
            How::Group => self.healed_by_group(name).await?,
            How::Copy { number, .. } => match self.copies.get(*number) {
                Some(copy) => read_whole(&copy.store, name).await?,
                None => None,
            },
            How::Recoded => self.recoded(name).await?,
            How::Repacked { .. } | How::RebuiltIndex | How::Deleted | How::Cannot => None,
        };
        let Some(bytes) = bytes else { return Ok(None) };
        match self.verify(name, bytes.clone()).await? && self.fits_chain(name, &bytes).await? {
            true => Ok(Some(bytes)),
            false => Ok(None),
        }
    }

    /// Whether these are the bytes of the object.
    pub(super) async fn verify(&self, name: &str, bytes: Bytes) -> Result<bool, Error> {
        let (authority, name) = (Arc::clone(self.authority), name.to_owned());
        match blocking(move || verify_content(&authority, &name, &bytes)).await? {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Corrupt || matches!(error, Error::TooNew { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn healed(&self, name: &str) -> Result<Option<Bytes>, Error> {
        let Some(id) = pack_id(name) else { return Ok(None) };
        let Some((pack, parity)) = with_parity(self.store, name, &id).await? else { return Ok(None) };
        let repository = self.authority.id();
        let healed = blocking(move || Parity::open(&repository, &id, &parity).ok()?.heal(&pack)).await?;
        Ok(healed.map(Bytes::from))
    }

    /// The pack as one of its groups has it, if the name says that it is that.
    async fn healed_by_group(&self, name: &str) -> Result<Option<Bytes>, Error> {
        let Some(id) = pack_id(name) else { return Ok(None) };
        let read = || Catalog::read(self.store, &self.authority.config.repository);
        for group in self.groups.0.get_or_try_init(read).await?.of(&id) {
            let Some(bytes) = group::heal(self.store, group, &id).await?.map(Bytes::from) else { continue };
            if self.verify(name, bytes.clone()).await? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// A parity made anew, if its pack is good.
    async fn recoded(&self, name: &str) -> Result<Option<Bytes>, Error> {
        let Some(id) = name.rsplit('/').next().and_then(|hex| hex.parse::<ObjectId>().ok()) else { return Ok(None) };
        let (repository, percent) = (self.authority.id(), self.authority.config.parameters.parity_percent);
        for kind in [ObjectType::Pack, ObjectType::PagePack] {
            let pack_name = object::hashed_name(kind, &id);
            let Some(pack) = read_whole(self.store, &pack_name).await? else { continue };
            if percent == 0 || !self.verify(&pack_name, pack.clone()).await? {
                return Ok(None);
            }
            let subject = Subject { kind, id, size: pack.len() as u64 };
            let made = blocking(move || parity::encode(&repository, subject, &[pack], percent)).await??;
            return Ok(Some(made.into()));
        }
        Ok(None)
    }

    /// A copy has a history of its own after a point: a commit of it is ours only if the one before and the one after say so, where they are there.
    async fn fits_chain(&self, name: &str, bytes: &[u8]) -> Result<bool, Error> {
        let Some(number) = commit_number(name) else { return Ok(true) };
        let Ok((commit, _)) = self.authority.open_commit(number, bytes) else { return Ok(false) };
        if let Some(before) = self.good_commit(number.saturating_sub(1)).await?
            && commit.previous != Some(ObjectId::of(&before))
        {
            return Ok(false);
        }
        let after = self.good_commit(number + 1).await?;
        let after = after.and_then(|after| self.authority.open_commit(number + 1, &after).ok());
        Ok(after.is_none_or(|(after, _)| after.previous == Some(ObjectId::of(bytes))))
    }

    async fn good_commit(&self, number: u64) -> Result<Option<Bytes>, Error> {
        let name = object::commit_name(number);
        let Some(bytes) = (if number == 0 { None } else { read_whole(self.store, &name).await? }) else {
            return Ok(None);
        };
        Ok(self.verify(&name, bytes.clone()).await?.then_some(bytes))
    }
}

/// The number of a commit's object.
pub(super) fn commit_number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix("commits/")?, 16).ok()
}
