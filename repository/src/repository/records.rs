//! Records: signed objects with a sealed JSON body, both bound to the object's name. Commits, checkpoints and sessions.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Repository;
use crate::error::Error;
use crate::history::Commit;
use crate::ids::{PublicKey, SessionId};
use crate::keys::inventory::{self, Binding};
use crate::object::{self, ObjectType};
use crate::session::SessionRecord;

impl Repository {
    /// Checks and opens the object of commit `number`; the signer may still be anybody.
    pub(crate) fn open_commit(&self, number: u64, bytes: &[u8]) -> Result<(Commit, PublicKey), Error> {
        self.open_record((ObjectType::Commit, &number.to_le_bytes()), &object::commit_name(number), bytes)
    }

    /// The object of a commit.
    pub(crate) fn seal_commit(&self, commit: &Commit) -> Vec<u8> {
        self.seal_record((ObjectType::Commit, &commit.number.to_le_bytes()), commit)
    }

    /// Checks and opens a session's object.
    pub(crate) fn open_session(&self, name: &str, bytes: &[u8]) -> Result<SessionRecord, Error> {
        let id = name.rsplit('/').next().and_then(|hex| hex.parse::<SessionId>().ok());
        let id = id.ok_or_else(|| Error::damaged(name, "its name is not that of a session"))?;
        self.open_record((ObjectType::Session, &id.0), name, bytes).map(|(record, _)| record)
    }

    /// The object of a session.
    pub(crate) fn seal_session(&self, record: &SessionRecord) -> Vec<u8> {
        self.seal_record((ObjectType::Session, &record.session.0), record)
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
