//! What this machine remembers of the place where a repository lies: which one it is, how much it may hold, and what was measured of it.
//!
//! By the first, a disk that is not mounted and another one in its place are found out before a byte is written. All of it may be lost: then the next run learns it anew.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use strongroom_controller::capacity::{Measure, Measures};
use strongroom_repository::{ObjectId, RepositoryId};

use crate::access::Opened;
use crate::context::Context;
use crate::failure::{Cause, Doing, Failure};
use crate::state_file;
use crate::store_place::StorePlace;

/// Enough to tell places apart.
const PLACE_DIGITS: usize = 32;

/// The files about one place.
#[derive(Debug, Clone)]
pub(crate) struct PlaceMemory {
    file: PathBuf,
    measures: PathBuf,
    location: String,
}

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Known {
    /// For people who look into the file.
    location: String,
    pub(crate) repository: RepositoryId,
    /// How much it may hold; nothing where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quota_bytes: Option<u64>,
}

impl PlaceMemory {
    pub(crate) fn of(opened: &Opened, context: &Context) -> Result<Self, Failure> {
        Self::at(&opened.location.to_string(), &opened.reached_by, context)
    }

    pub(crate) fn of_place(place: &StorePlace, context: &Context) -> Result<Self, Failure> {
        Self::at(&place.location.to_string(), &place.reached_by, context)
    }

    /// The same name may be another store by another endpoint.
    fn at(location: &str, reached_by: &str, context: &Context) -> Result<Self, Failure> {
        let name = ObjectId::of(format!("{location} {reached_by}").as_bytes()).hex();
        let folder = context.state_dir()?.join("places");
        let file = |suffix: &str| folder.join(format!("{}.{suffix}", &name[..PLACE_DIGITS]));
        Ok(Self { file: file("json"), measures: file("measures"), location: location.to_owned() })
    }

    /// What is known. A file that cannot be understood is as good as none, which is said.
    pub(crate) fn known(&self, context: &Context) -> Result<Option<Known>, Failure> {
        let Some(text) = self.text(&self.file)? else { return Ok(None) };
        let known = parse(&text);
        if known.is_none() {
            context.say(&format!("{}: it is not what was written; it is made anew", self.file.display()));
        }
        Ok(known)
    }

    /// What is no text is as good as empty: a disk has turned bits over.
    fn text(&self, path: &Path) -> Result<Option<String>, Failure> {
        match state_file::read(path) {
            Err(source) if source.kind() == io::ErrorKind::InvalidData => Ok(Some(String::new())),
            Err(source) => Err(self.unreadable(source)),
            Ok(text) => Ok(text),
        }
    }

    /// Refuses another repository than the one that was here. The first one that is seen is remembered.
    pub(crate) fn check(&self, found: RepositoryId, context: &Context) -> Result<(), Failure> {
        if self.known(context)?.is_none() {
            self.remember_if_possible(found);
        }
        self.check_known(found, context)
    }

    /// The same, and what is seen for the first time is not remembered.
    pub(crate) fn check_known(&self, found: RepositoryId, context: &Context) -> Result<(), Failure> {
        match self.known(context)? {
            None => Ok(()),
            Some(known) if known.repository == found => Ok(()),
            Some(Known { repository, .. }) => {
                let why = format!("another repository lies there: {found}, where {repository} was");
                Err(Failure::new(format!("use the repository at {}", self.location), Cause::WrongPlace(why)).advise(format!(
                    "mount the right disk, or name the right place; if {found} is meant to take its place: `strongroom repo adopt {}`",
                    self.location
                )))
            }
        }
    }

    /// Refuses to take a place for empty where a repository was.
    pub(crate) fn check_absent(&self, context: &Context) -> Result<(), Failure> {
        let Some(Known { repository, .. }) = self.known(context)? else { return Ok(()) };
        let why = format!("there is nothing, where repository {repository} was: its disk may not be mounted");
        Err(Failure::new(format!("open the repository at {}", self.location), Cause::WrongPlace(why)).advise(format!(
            "mount it; if a new one is meant to take its place: `strongroom repo init {}`",
            self.location
        )))
    }

    /// The same beside something that matters more.
    pub(crate) fn remember_if_possible(&self, repository: RepositoryId) {
        if let Err(failure) = self.remember(repository, None) {
            tracing::warn!(%failure, "which repository lies there is not remembered");
        }
    }

    /// From now on this one is here.
    pub(crate) fn remember(&self, repository: RepositoryId, quota_bytes: Option<u64>) -> Result<(), Failure> {
        let known = Known { location: self.location.clone(), repository, quota_bytes };
        let text = serde_json::to_string_pretty(&known).map_err(|error| Cause::Program(Box::new(error)));
        let text = text.doing(|| "remember the repository".into())?;
        state_file::replace(
            &self.file,
            format!("{}\n{text}\n", blake3::hash(text.as_bytes())),
            "remember the repository",
        )
    }

    /// What was measured, day by day.
    pub(crate) fn measures(&self) -> Result<Measures, Failure> {
        let text = self.text(&self.measures)?;
        Ok(Measures::parse(&text.unwrap_or_default()))
    }

    /// Notes what was measured today.
    pub(crate) fn note(&self, now: Timestamp, measure: Measure) -> Result<Measures, Failure> {
        let mut measures = self.measures()?;
        measures.note(now.to_zoned(TimeZone::system()).date(), measure);
        state_file::replace(&self.measures, measures.to_text(), "note what was measured")?;
        Ok(measures)
    }

    fn unreadable(&self, source: io::Error) -> Failure {
        let cause = Cause::File { doing: "read", path: self.file.clone(), source };
        Failure::new(format!("remember what lies at {}", self.location), cause)
    }
}

/// The file's first line is the BLAKE3 of the rest: a bit that a disk turned over must not make another repository of the one that is there.
fn parse(text: &str) -> Option<Known> {
    let (hash, json) = text.split_once('\n')?;
    let json = json.strip_suffix('\n')?;
    (blake3::hash(json.as_bytes()).to_hex().as_str() == hash).then(|| serde_json::from_str(json).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_that_was_turned_over_is_found() {
        let json = r#"{"location":"file:///srv/a","repository":"000102030405060708090a0b0c0d0e0f"}"#;
        let text = format!("{}\n{json}\n", blake3::hash(json.as_bytes()));
        assert!(parse(&text).is_some());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(String::from_utf8(bytes).map_or(true, |turned| parse(&turned).is_none()), "byte {at}");
        }
    }
}
