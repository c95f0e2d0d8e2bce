//! What can go wrong with a repository, and what a caller may do about it.

use std::path::PathBuf;

use crate::codec::Malformed;
use crate::ids::{ChunkId, ObjectId, RepositoryId};
use crate::store;

/// Any failure of the repository or of its store; never a fault of a source file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused or failed an operation.
    #[error("cannot {doing} {name}")]
    Store {
        /// What was tried: `read`, `write`, `list`, `delete`.
        doing: &'static str,
        /// The object's name.
        name: String,
        /// Why.
        source: object_store::Error,
    },
    /// An object that must be there is not.
    #[error("{name} is missing from the repository")]
    Missing {
        /// The object's name.
        name: String,
    },
    /// An object's bytes are not what was stored.
    #[error("{name} is damaged: {reason}")]
    Damaged {
        /// The object's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// No index run knows this chunk or page.
    #[error("no index run knows {id}")]
    Unindexed {
        /// The chunk or page.
        id: ChunkId,
    },
    /// The place holds no repository.
    #[error("no repository here: there is no 'config' object")]
    NoRepository,
    /// The place holds a repository already.
    #[error("a repository exists here already")]
    Exists,
    /// The object was written by a newer release.
    #[error("{name} has format version {version}, this release reads version 1")]
    TooNew {
        /// The object's name.
        name: String,
        /// Its version.
        version: u8,
    },
    /// The key does not fit the repository.
    #[error("{0}")]
    Key(String),
    /// The place holds another repository than the one that it should be a copy of.
    #[error("here is repository {here}, which is no copy of {of}")]
    NotACopy {
        /// The one that was to be copied.
        of: RepositoryId,
        /// The one that is there.
        here: RepositoryId,
    },
    /// Source and destination of a copy are one.
    #[error("both are the same copy of the repository")]
    SameCopy,
    /// The key is another repository's.
    #[error("this key is for repository {key}, here is {here}")]
    Foreign {
        /// The one that the key is for.
        key: RepositoryId,
        /// The one that was opened.
        here: RepositoryId,
    },
    /// The key may write but not read, or the act needs the admin key.
    #[error("this needs a reader's key: a writer's key can add backups, not {0}")]
    WriterOnly(&'static str),
    /// The key opens what was lent for one restore, and this is not part of it.
    #[error("the keys that were lent for this restore do not open {0}")]
    NotLent(String),
    /// A local cache file could not be used.
    #[error("cannot {doing} {path}")]
    Cache {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The snapshot that this session builds on is gone.
    #[error("the parent snapshot {0} is no longer in the repository")]
    ParentGone(ObjectId),
    /// A snapshot is held.
    #[error("snapshot {snapshot} is held by '{name}': {reason}")]
    Held {
        /// Which.
        snapshot: ObjectId,
        /// The name of the hold.
        name: String,
        /// Why it is held.
        reason: String,
    },
    /// Commits that were there are not, so that what they refer to looks like what nobody needs.
    #[error("the history ends with commit {newest}, but {witness}: commits are lost, or an older state was put back")]
    WentBack {
        /// The newest commit that is there; 0 if there is none.
        newest: u64,
        /// What tells of later ones.
        witness: String,
    },
    /// The store locks nothing that is written.
    #[error("nothing that is written there is locked: neither the newest commit nor the configuration is")]
    NotLocked,
    /// The session was fenced or a chunk it counted on was condemned.
    #[error("the session can no longer commit: {0}")]
    Fenced(String),
    /// The caller did not agree to its own commit.
    #[error("the backup was not made visible: {0}")]
    Withheld(String),
    /// No snapshot answers the description.
    #[error("{0}")]
    NoSnapshot(String),
    /// The snapshot that answers the description may be one that cannot be read.
    #[error("'{spec}' may mean a snapshot that cannot be read")]
    Doubtful {
        /// The description.
        spec: String,
        /// Why it cannot.
        source: Box<Error>,
    },
    /// An earlier failure closed this session.
    #[error("the session takes no more data: {0}")]
    Poisoned(Failure),
}

/// Why a session was closed, for everybody who comes later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    kind: ErrorKind,
    why: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.why)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error {
            Error::Poisoned(failure) => failure.clone(),
            error => Self { kind: error.kind(), why: chain(error) },
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self { kind: ErrorKind::Other, why }
    }
}

impl From<&str> for Failure {
    fn from(why: &str) -> Self {
        why.to_owned().into()
    }
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something that was asked for is not there.
    NotFound,
    /// Stored bytes are wrong or gone.
    Corrupt,
    /// The key is missing, wrong or not enough.
    Key,
    /// The store is full.
    NoSpace,
    /// The store denies access or is read-only.
    Permission,
    /// Trying again may help.
    Transient,
    /// The repository's rules forbid it.
    Refused,
    /// Anything else.
    Other,
}

impl Error {
    /// Classifies the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store { source, .. } => match store::kind(source) {
                store::ErrorKind::NotFound | store::ErrorKind::NoStore => ErrorKind::NotFound,
                store::ErrorKind::NoSpace => ErrorKind::NoSpace,
                store::ErrorKind::PermissionDenied | store::ErrorKind::ReadOnly => ErrorKind::Permission,
                store::ErrorKind::Transient => ErrorKind::Transient,
                store::ErrorKind::AlreadyExists | store::ErrorKind::Other => ErrorKind::Other,
            },
            Self::Missing { .. }
            | Self::Damaged { .. }
            | Self::Unindexed { .. }
            | Self::Doubtful { .. }
            | Self::WentBack { .. } => ErrorKind::Corrupt,
            Self::NoRepository | Self::NoSnapshot(_) => ErrorKind::NotFound,
            Self::Key(_) | Self::Foreign { .. } | Self::WriterOnly(_) | Self::NotLent(_) => ErrorKind::Key,
            Self::Exists
            | Self::NotACopy { .. }
            | Self::SameCopy
            | Self::TooNew { .. }
            | Self::ParentGone(_)
            | Self::Held { .. }
            | Self::NotLocked
            | Self::Fenced(_) => ErrorKind::Refused,
            Self::Cache { .. } | Self::Withheld(_) => ErrorKind::Other,
            Self::Poisoned(failure) => failure.kind,
        }
    }

    /// An object whose bytes break the format.
    pub(crate) fn damaged(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Damaged { name: name.into(), reason: reason.into() }
    }

    /// The same, from a parser.
    pub(crate) fn malformed(name: impl Into<String>) -> impl FnOnce(Malformed) -> Self {
        let name = name.into();
        move |fault| Self::Damaged { name, reason: fault.to_string() }
    }
}

/// An error and its causes in one line. What a cause says that was said already, as wrappers do, is not repeated.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        next = cause.source();
        let said = cause.to_string();
        let is_wrapper = matches!(cause.downcast_ref(), Some(object_store::Error::Generic { .. }));
        if !is_wrapper && !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
    }
    text
}
