//! Whether nobody can delete what a repository holds: as its last maintenance saw it, and as its newest commit is now.

use jiff::Timestamp;
use object_store::path::Path;
use strongroom_controller::journal::Journal;
use strongroom_plans::Name;
use strongroom_repository::store::{LockMode, ObjectLock};
use strongroom_repository::{Error, object};

use crate::access::Opened;
use crate::context::Context;
use crate::failure::Failure;

/// What is seen of the newest commit holds for what came since the last maintenance looked at everything.
pub(super) fn newest_lock(opened: &Opened, context: &Context) -> Option<ObjectLock> {
    let bucket = opened.measured.s3.as_ref()?;
    let newest = Path::from(object::commit_name(opened.repository.history().newest));
    let asked = context.wait("see the lock of the newest commit", async {
        let told = bucket.lock_of(&newest).await;
        Ok::<_, Error>(told.unwrap_or_else(|error| {
            tracing::debug!(%error, "the lock of the newest commit is not known");
            None
        }))
    });
    asked.ok().flatten()
}

/// Whether everything in a repository is seen to be locked, so that nobody can delete it.
pub(super) fn is_immutable(
    name: &Name,
    newest: Option<ObjectLock>,
    journal: Option<&Journal>,
    context: &Context,
) -> Result<bool, Failure> {
    let (Some(journal), Some(newest)) = (journal, newest) else { return Ok(false) };
    let known = context.wait("read what was maintained", journal.known_maintenance(name.as_str()))?;
    let now = Timestamp::now();
    let of_all = known.last.and_then(|last| last.figures.lock).is_some_and(|figures| figures.is_immutable(now));
    Ok(of_all && newest.mode == LockMode::Compliance && newest.until > now)
}
