//! Giving a finished file its name.

use std::io;

use strongroom_repository::ObjectId;

use super::files::Folder;
use super::names::Place;
use crate::gateway::named_hash;

/// Why a file does not get a name.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    #[error("only an unfinished file is given a name, and only a name of an object")]
    NoObject,
    #[error("{0} is not the name of these bytes")]
    Changed(String),
    #[error("this key only adds: {0} stays as it is")]
    Taken(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Under a name that nothing has.
pub(super) fn new(folder: &Folder, from: &Place, to: &Place) -> Result<(), PublishError> {
    let (Place::Unfinished(from), Place::Object(to)) = (from, to) else { return Err(PublishError::NoObject) };
    if let Some(id) = named_hash(to)
        && !has_hash(folder, from, &id)?
    {
        return Err(PublishError::Changed(to.clone()));
    }
    Ok(folder.link(from, to)?)
}

/// In place of what has the name.
pub(super) fn over(folder: &Folder, from: &Place, to: &Place) -> Result<(), PublishError> {
    let Place::Unfinished(unfinished) = from else { return Err(PublishError::NoObject) };
    match to.may_be_replaced() {
        true => Ok(folder.replace(unfinished, to.name())?),
        false => Err(PublishError::Taken(to.name().to_owned())),
    }
}

fn has_hash(folder: &Folder, name: &str, id: &ObjectId) -> io::Result<bool> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(folder.read(name)?)?;
    Ok(*hasher.finalize().as_bytes() == id.0)
}
