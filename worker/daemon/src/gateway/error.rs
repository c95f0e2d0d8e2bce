//! The gateway's answers as errors of a store.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use tonic::{Code, Status};

/// Why a call failed for good.
#[derive(Debug, thiserror::Error)]
pub(super) enum GatewayError {
    #[error("no link to the gateway got this further for {} s", .waited.as_secs())]
    NoLink { waited: Duration, source: Option<Status> },
    #[error("the job was given up")]
    GivenUp,
    #[error("the gateway says: {}", .0.message())]
    Answer(Status),
    #[error("the gateway sent {0}")]
    Nonsense(&'static str),
    #[error("the gateway holds another object of this name than a moment ago")]
    Changed,
}

impl GatewayError {
    /// As every store speaks, about one object. What an `io::Error` says inside decides the kind.
    pub(super) fn about(self, name: &str) -> object_store::Error {
        let path = name.to_owned();
        let kind = match &self {
            Self::NoLink { .. } => io::ErrorKind::NotConnected,
            Self::GivenUp | Self::Nonsense(_) | Self::Changed => io::ErrorKind::Other,
            Self::Answer(status) => match status.code() {
                Code::NotFound => return object_store::Error::NotFound { path, source: self.into() },
                Code::AlreadyExists => return object_store::Error::AlreadyExists { path, source: self.into() },
                Code::PermissionDenied | Code::Unauthenticated => {
                    return object_store::Error::PermissionDenied { path, source: self.into() };
                }
                Code::ResourceExhausted => io::ErrorKind::StorageFull,
                Code::FailedPrecondition => io::ErrorKind::ReadOnlyFilesystem,
                _ => io::ErrorKind::Other,
            },
        };
        object_store::Error::Generic { store: "Gateway", source: io::Error::new(kind, self).into() }
    }
}

/// What a failed call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The gateway has answered.
    Final,
    /// The link failed, or the gateway for now.
    TryAgain,
}

/// A status that the gateway sent has no cause; one that was made on this side, because the link failed, does.
pub(super) fn meaning(status: &Status, link_is_cut: bool) -> Meaning {
    match status.code() {
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Aborted => Meaning::TryAgain,
        Code::Unknown | Code::Internal if link_is_cut || status.source().is_some() => Meaning::TryAgain,
        _ => Meaning::Final,
    }
}

#[cfg(test)]
mod tests {
    use strongroom_repository::store::{ErrorKind, kind};

    use super::*;

    fn check(code: Code, expect_meaning: Meaning, expect_kind: ErrorKind) {
        let status = Status::new(code, "because");
        assert_eq!(meaning(&status, false), expect_meaning, "{code:?}");
        let error = GatewayError::Answer(status).about("packs/aa");
        assert_eq!(kind(&error), expect_kind, "{code:?}");
        assert!(strongroom_repository::chain(&error).contains("because"), "{error}");
    }

    #[test]
    fn answers_have_their_kinds() {
        check(Code::NotFound, Meaning::Final, ErrorKind::NotFound);
        check(Code::AlreadyExists, Meaning::Final, ErrorKind::AlreadyExists);
        check(Code::PermissionDenied, Meaning::Final, ErrorKind::PermissionDenied);
        check(Code::ResourceExhausted, Meaning::Final, ErrorKind::NoSpace);
        check(Code::FailedPrecondition, Meaning::Final, ErrorKind::ReadOnly);
        check(Code::InvalidArgument, Meaning::Final, ErrorKind::Other);
        check(Code::Internal, Meaning::Final, ErrorKind::Other);
        check(Code::Unavailable, Meaning::TryAgain, ErrorKind::Other);
    }

    #[test]
    fn a_link_that_is_gone_is_worth_another_try() {
        let error = GatewayError::NoLink { waited: Duration::from_secs(5), source: None }.about("config");
        assert_eq!(kind(&error), ErrorKind::Transient);
        assert_eq!(kind(&GatewayError::GivenUp.about("config")), ErrorKind::Other);
        assert_eq!(meaning(&Status::unknown("transport"), true), Meaning::TryAgain);
        let local = Status::from_error(Box::new(io::Error::from(io::ErrorKind::BrokenPipe)));
        assert_eq!(meaning(&local, false), Meaning::TryAgain, "{local:?}");
    }
}
