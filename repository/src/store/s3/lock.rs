//! Object lock: until when a server lets nobody change or delete an object.
//!
//! It is what the server says of that very object that counts, not how the bucket is set up: asking for that takes rights that whoever stores backups should not have.

use http::{HeaderMap, Method};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, Result};
use serde::{Deserialize, Serialize};

use super::request::Asked;
use super::{S3Store, said};

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";

/// Who may lift a lock; the weaker first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    /// Whoever has a right of its own for that.
    Governance,
    /// Nobody.
    Compliance,
}

/// The lock of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ObjectLock {
    /// Who may lift it.
    pub mode: LockMode,
    /// When it ends.
    pub until: Timestamp,
}

impl LockMode {
    /// The word of the protocol.
    fn word(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

impl ObjectLock {
    /// What an answer says of its object; nothing if that is not locked, or in words that nobody knows.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let told = |name: &str| headers.get(name)?.to_str().ok();
        let modes = [LockMode::Governance, LockMode::Compliance];
        let mode = modes.into_iter().find(|mode| told(MODE) == Some(mode.word()))?;
        Some(Self { mode, until: told(UNTIL)?.parse().ok()? })
    }

    fn xml(self) -> String {
        let (mode, until) = (self.mode.word(), self.until.strftime("%Y-%m-%dT%H:%M:%SZ"));
        format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{mode}</Mode>\
             <RetainUntilDate>{until}</RetainUntilDate></Retention>"
        )
    }
}

impl S3Store {
    /// The lock of an object as the server tells it; nothing if it has none, or if this key may not see it.
    pub async fn lock_of(&self, location: &Path) -> Result<Option<ObjectLock>> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found = self.asking.get_opts(location, options).await.map_err(|error| said(error, location))?;
        Ok(found.extensions.get::<ObjectLock>().copied())
    }

    /// Gives an object this lock. Only for a server that has told the lock of an object before: one that knows none could take the request for a put, and the object would be gone.
    pub async fn put_lock(&self, location: &Path, lock: ObjectLock) -> Result<()> {
        self.ask(&Asked { method: Method::PUT, location, side: "retention", body: lock.xml() }).await
    }
}
