//! What a job is: a backup or a restore, checked when it arrived, and kept in the ledger.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use strongroom_repository::RepositoryId;

use crate::request::{Request, RestoreRequest};

/// A backup or a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// One source into one snapshot.
    Backup(Box<Request>),
    /// A snapshot into a directory.
    Restore(Box<RestoreRequest>),
}

impl From<Request> for Task {
    fn from(request: Request) -> Self {
        Self::Backup(Box::new(request))
    }
}

impl From<RestoreRequest> for Task {
    fn from(request: RestoreRequest) -> Self {
        Self::Restore(Box::new(request))
    }
}

impl Task {
    /// The repository that it needs a key for.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        match self {
            Self::Backup(request) => request.repository,
            Self::Restore(request) => request.repository,
        }
    }

    /// BLAKE3 of the request, in hex: the same for the same request.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Backup(request) => request.fingerprint(),
            Self::Restore(request) => request.fingerprint(),
        }
    }
}

/// A restore as the ledger has it. A backup stands there as it is, as it did before there were restores.
#[derive(Serialize)]
struct OfRestore<'a> {
    restore: &'a RestoreRequest,
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Backup(request) => request.serialize(to),
            Self::Restore(restore) => OfRestore { restore }.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(from)?;
        match value.get_mut("restore").map(Value::take) {
            Some(restore) => serde_json::from_value(restore).map(Self::Restore),
            None => serde_json::from_value(value).map(Self::Backup),
        }
        .map_err(de::Error::custom)
    }
}
