//! Records: signed objects with a sealed JSON body, both bound to the object's name. Commits, checkpoints, sessions, and the word that one rests.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Repository;
use crate::error::Error;
use crate::history::Commit;
use crate::ids::{PublicKey, SessionId};
use crate::keys::inventory::{self, Binding};
use crate::object::{self, ObjectType};
use crate::session::SessionRecord;

/// The body of the word that a session rests: the name says all.
#[derive(Debug, Serialize, Deserialize)]
struct Rest {}

/// The session that an object is named after.
fn named(kind: ObjectType, name: &str) -> Result<SessionId, Error> {
    object::session_of(kind, name).ok_or_else(|| Error::damaged(name, "its name is not that of a session"))
}

impl Repository {
    /// Checks and opens the object of commit `number`; the signer may still be anybody.
    pub(crate) fn open_commit(&self, number: u64, bytes: &[u8]) -> Result<(Commit, PublicKey), Error> {
        self.open_record((ObjectType::Commit, &number.to_le_bytes()), &object::commit_name(number), bytes)
    }

    /// The object of a commit.
    pub(crate) fn seal_commit(&self, commit: &Commit) -> Vec<u8> {
        self.seal_record((ObjectType::Commit, &commit.number.to_le_bytes()), commit)
    }

    /// Checks and opens a session's object; the signer may still be anybody.
    pub(crate) fn open_session(&self, name: &str, bytes: &[u8]) -> Result<(SessionRecord, PublicKey), Error> {
        self.open_record((ObjectType::Session, &named(ObjectType::Session, name)?.0), name, bytes)
    }

    /// The object of a session.
    pub(crate) fn seal_session(&self, record: &SessionRecord) -> Vec<u8> {
        self.seal_record((ObjectType::Session, &record.session.0), record)
    }

    /// Checks and opens the word that a session rests. It says who signed it, and no more: whoever did not sign the session's record has no say.
    pub(crate) fn open_rest(&self, name: &str, bytes: &[u8]) -> Result<PublicKey, Error> {
        let opened = self.open_record((ObjectType::Rest, &named(ObjectType::Rest, name)?.0), name, bytes);
        opened.map(|(Rest {}, signer)| signer)
    }

    /// The word that a session rests.
    pub(crate) fn seal_rest(&self, session: &SessionId) -> Vec<u8> {
        self.seal_record((ObjectType::Rest, &session.0), &Rest {})
    }

    /// What a record says, and who signed it; `bound` is its type and its raw name, `name` that of the object.
    pub(super) fn open_record<T: DeserializeOwned>(
        &self,
        bound: (ObjectType, &[u8]),
        name: &str,
        bytes: &[u8],
    ) -> Result<(T, PublicKey), Error> {
        let signed = object::verify(bytes, bound.0, &self.id(), bound.1, name)?;
        let json = inventory::open(&self.key.shared.inventory, self.binding(bound), signed.body);
        let json = json.map_err(|bad| Error::damaged(name, bad.to_string()))?;
        let record = serde_json::from_slice(&json).map_err(|bad| Error::damaged(name, bad.to_string()))?;
        Ok((record, signed.signer))
    }

    /// The object of a record, signed by whoever opened the repository.
    pub(super) fn seal_record<T: Serialize>(&self, bound: (ObjectType, &[u8]), record: &T) -> Vec<u8> {
        // BUG if it fails: records serialise.
        let json = serde_json::to_vec(record).expect("a record serialises");
        let blob = inventory::seal(&self.key.shared.inventory, self.binding(bound), &json);
        object::sign(bound.0, &self.id(), &self.key.signer, bound.1, &blob)
    }

    fn binding<'a>(&'a self, (kind, name): (ObjectType, &'a [u8])) -> Binding<'a> {
        Binding { repository: &self.config.repository, kind, name }
    }
}
