//! Key files: JSON outside the repository, readable by their owner only.

use serde::{Deserialize, Serialize};

use super::secrets::Secret;
use crate::error::Error;
use crate::ids::{PublicKey, RepositoryId};

/// A key file's content.
#[derive(Debug, Clone)]
pub enum KeyFile {
    /// Opens the repository's secrets.
    Reader(ReaderFile),
    /// Adds backups, reads nothing.
    Writer(WriterFile),
}

/// A holder's X25519 private key.
#[derive(Debug, Clone)]
pub struct ReaderFile {
    /// The repository it was made for.
    pub repository: RepositoryId,
    /// Whose key it is.
    pub holder: String,
    /// The private key.
    pub private_key: Secret,
}

/// What a worker holds.
#[derive(Debug, Clone)]
pub struct WriterFile {
    /// The repository it was made for.
    pub repository: RepositoryId,
    /// Whose key it is.
    pub holder: String,
    /// Names and cuts.
    pub writer_secret: Secret,
    /// Signs; an Ed25519 seed.
    pub signing_key: Secret,
    /// Whose signature on the configuration to accept.
    pub admin_key: PublicKey,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Shape {
    strongroom_key: u32,
    role: Role,
    repository: RepositoryId,
    holder: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    writer_secret: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_key: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_key: Option<PublicKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Role {
    Reader,
    Writer,
}

impl KeyFile {
    /// The repository that the key is for.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        match self {
            Self::Reader(file) => file.repository,
            Self::Writer(file) => file.repository,
        }
    }

    /// Reads a key file's text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        // The parser's message may quote the text, and the text is a secret: only the place is told.
        let shape: Shape = serde_json::from_str(text).map_err(|fault| {
            Error::Key(format!("not a Strongroom key file (line {}, column {})", fault.line(), fault.column()))
        })?;
        if shape.strongroom_key != 1 {
            return Err(Error::Key(format!("key file of version {}, this release reads 1", shape.strongroom_key)));
        }
        let need = |field: Option<PublicKey>, name: &str| {
            field.map(|hex| hex.0).ok_or_else(|| Error::Key(format!("the key file lacks '{name}'")))
        };
        let (repository, holder) = (shape.repository, shape.holder);
        Ok(match shape.role {
            Role::Reader => Self::Reader(ReaderFile {
                repository,
                holder,
                private_key: Secret::new(need(shape.private_key, "private-key")?),
            }),
            Role::Writer => Self::Writer(WriterFile {
                repository,
                holder,
                writer_secret: Secret::new(need(shape.writer_secret, "writer-secret")?),
                signing_key: Secret::new(need(shape.signing_key, "signing-key")?),
                admin_key: PublicKey(need(shape.admin_key, "admin-key")?),
            }),
        })
    }

    /// The key file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let hex = |secret: &Secret| Some(PublicKey(*secret.expose()));
        let shape = match self {
            Self::Reader(file) => Shape {
                strongroom_key: 1,
                role: Role::Reader,
                repository: file.repository,
                holder: file.holder.clone(),
                private_key: hex(&file.private_key),
                writer_secret: None,
                signing_key: None,
                admin_key: None,
            },
            Self::Writer(file) => Shape {
                strongroom_key: 1,
                role: Role::Writer,
                repository: file.repository,
                holder: file.holder.clone(),
                private_key: None,
                writer_secret: hex(&file.writer_secret),
                signing_key: hex(&file.signing_key),
                admin_key: Some(file.admin_key),
            },
        };
        // BUG if it fails: strings and numbers always serialise.
        serde_json::to_string_pretty(&shape).expect("a key file serialises") + "\n"
    }
}
