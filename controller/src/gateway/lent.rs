//! What hosts may read for a restore, and for no longer.
//!
//! As long as a [`Lent`] lives, one host may read the packs and pages that hold the frames of one restore. Dropped, it is taken back, also from reads that are under way.
//! A prune may move frames meanwhile: a name that was not lent is looked up in the index as it is by then.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use strongroom_repository::{Lending, Live, Repository, RepositoryId};
use tonic::Status;

use super::put::no_business;
use super::{Gateway, chain};

/// Loans that stand.
#[derive(Debug, Default)]
pub(super) struct Loans(Mutex<Vec<Weak<Standing>>>);

/// One loan.
#[derive(Debug)]
pub(super) struct Standing {
    host: String,
    repository: RepositoryId,
    frames: Live,
    objects: Mutex<HashSet<String>>,
    read_bytes: AtomicU64,
}

/// A host's right to read, until this is dropped.
#[derive(Debug)]
pub struct Lent(Arc<Standing>);

impl Lent {
    /// Bytes of packs and pages that the host has read by it.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.0.read_bytes.load(Ordering::Relaxed)
    }
}

impl Gateway {
    /// Lets a host, and only it, read what a restore needs of a repository.
    #[must_use]
    pub fn lend(&self, host: &str, lending: &Lending) -> Lent {
        let standing = Arc::new(Standing {
            host: host.to_owned(),
            repository: lending.loan.repository(),
            frames: lending.frames.clone(),
            objects: Mutex::new(lending.objects.iter().cloned().collect()),
            read_bytes: AtomicU64::new(0),
        });
        let mut loans = self.loans.0.lock().unwrap_or_else(PoisonError::into_inner);
        loans.retain(|loan| loan.strong_count() > 0);
        loans.push(Arc::downgrade(&standing));
        Lent(standing)
    }

    /// The loan by which a host may read an object.
    pub(super) async fn lent(&self, host: &str, repository: &Repository, name: &str) -> Result<Weak<Standing>, Status> {
        let mine: Vec<Weak<Standing>> = {
            let loans = self.loans.0.lock().unwrap_or_else(PoisonError::into_inner);
            let is_mine = |loan: &Standing| loan.host == host && loan.repository == repository.id();
            loans.iter().filter(|loan| loan.upgrade().is_some_and(|loan| is_mine(&loan))).cloned().collect()
        };
        if let Some(loan) = mine.iter().find(|loan| loan.upgrade().is_some_and(|loan| loan.has(name))) {
            return Ok(loan.clone());
        }
        for loan in mine {
            let Some(standing) = loan.upgrade() else { continue };
            let holds = repository.holds_any(name, &standing.frames).await;
            if holds.map_err(|error| Status::unavailable(chain(&error)))? {
                standing.objects.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
                return Ok(loan);
            }
        }
        Err(no_business("read", name))
    }
}

impl Standing {
    fn has(&self, name: &str) -> bool {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}

/// Counts what is read by a loan; an error if it was taken back.
pub(super) fn count(loan: &Weak<Standing>, bytes: usize) -> Result<(), Status> {
    let loan = loan.upgrade().ok_or_else(|| Status::permission_denied("what was lent to this host was taken back"))?;
    loan.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    Ok(())
}
