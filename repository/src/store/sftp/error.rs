//! What an SFTP server answers when it does not do what it was asked, as the error that every store speaks.

use std::error::Error as StdError;
use std::sync::Arc;

use russh_sftp::client::error::Error as ClientError;
use russh_sftp::protocol::StatusCode;

use crate::store::ErrorKind;

/// A failed step.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SftpError {
    /// No stream to a server.
    #[error("cannot reach the SFTP server")]
    Connect {
        /// What callers ask.
        kind: ErrorKind,
        /// What a person can do about it, if that is known.
        remedy: Option<&'static str>,
        /// Why.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The stream ended, or nothing came for too long.
    #[error("the SFTP session is lost: {0}")]
    Lost(String),
    /// A name that objects cannot have.
    #[error("'{0}' cannot be the name of an object")]
    Name(String),
    /// There is no such file.
    #[error("no such file: {path}")]
    Missing {
        /// Its path.
        path: String,
    },
    /// The name is taken.
    #[error("the file exists: {path}")]
    Exists {
        /// Its path.
        path: String,
    },
    /// The server's user may not.
    #[error("the server does not permit to {doing} {path}{why}")]
    Denied {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: String,
        /// The server's words behind a colon, if it has more than everybody's.
        why: String,
    },
    /// The server's disk or quota is full.
    #[error("the server has no room to {doing} {path}")]
    Full {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: String,
    },
    /// The server's disk takes no writes.
    #[error("the server's file system is read-only: cannot {doing} {path}")]
    ReadOnly {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: String,
    },
    /// Something else; many servers give no reason.
    #[error("the server cannot {doing} {path}: {why}")]
    Failed {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: String,
        /// The server's words.
        why: String,
    },
    /// A range that begins beyond the end.
    #[error("{path} has only {size} bytes")]
    Range {
        /// Where.
        path: String,
        /// Its size.
        size: u64,
    },
}

impl SftpError {
    /// No stream could be had: for connectors.
    pub fn connect(
        source: impl StdError + Send + Sync + 'static,
        kind: ErrorKind,
        remedy: Option<&'static str>,
    ) -> Self {
        Self::Connect { kind, remedy, source: Arc::new(source) }
    }

    /// A step's failure, as the client tells it.
    pub(super) fn step(doing: &'static str, path: &str) -> impl FnOnce(ClientError) -> Self {
        let path = path.to_owned();
        move |error| match error {
            ClientError::Status(status) => match status.status_code {
                StatusCode::NoSuchFile => Self::Missing { path },
                StatusCode::PermissionDenied => Self::Denied { doing, path, why: said_beyond(&status.error_message) },
                StatusCode::NoConnection | StatusCode::ConnectionLost => Self::Lost(status.error_message),
                _ => Self::Failed { doing, path, why: printable(&status.error_message) },
            },
            ClientError::Limited(why) => Self::Failed { doing, path, why },
            lost => Self::Lost(printable(&lost.to_string())),
        }
    }

    /// What callers ask.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { kind, .. } => *kind,
            Self::Lost(_) => ErrorKind::Transient,
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::AlreadyExists,
            Self::Denied { .. } => ErrorKind::PermissionDenied,
            Self::Full { .. } => ErrorKind::NoSpace,
            Self::ReadOnly { .. } => ErrorKind::ReadOnly,
            Self::Name(_) | Self::Failed { .. } | Self::Range { .. } => ErrorKind::Other,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Connect { remedy, .. } => *remedy,
            Self::Lost(_) => Some("check the network and the server, then run the same command again"),
            Self::Denied { .. } => Some(
                "let the server's user read and write the folder, or log in as another user or with a key that may",
            ),
            Self::Full { .. } => {
                Some("make room on the server, then run the same command again: what is stored already counts")
            }
            Self::ReadOnly { .. } | Self::Failed { .. } => {
                Some("look at the server: its disk, and the log of its sshd")
            }
            Self::Missing { .. } | Self::Exists { .. } | Self::Name(_) | Self::Range { .. } => None,
        }
    }
}

/// What every server says is left out.
fn said_beyond(text: &str) -> String {
    match printable(text) {
        usual if usual.is_empty() || usual.to_ascii_lowercase().starts_with("permission denied") => String::new(),
        words => format!(": {words}"),
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

impl From<SftpError> for object_store::Error {
    fn from(error: SftpError) -> Self {
        match &error {
            SftpError::Missing { path } => Self::NotFound { path: path.clone(), source: error.into() },
            SftpError::Exists { path } => Self::AlreadyExists { path: path.clone(), source: error.into() },
            _ => Self::Generic { store: "SFTP", source: error.into() },
        }
    }
}
