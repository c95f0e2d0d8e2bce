//! Finding out what a store really promises, by asking it.
//!
//! Some look-alikes of S3 accept `If-None-Match: *` and ignore it: every racer "wins", and the
//! old content is lost. A repository whose commits are made by several writers would lose history
//! there, so the answer decides who may commit.

use std::fmt::Display;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, Result};
use serde::{Deserialize, Serialize};

use super::{ErrorKind, kind};

/// How many put the same name at once. More find no other faults, and cost requests.
const RACERS: usize = 8;

/// Bytes of the object whose ranges are read: not a multiple of anything.
const RANGED_BYTES: usize = 100_003;

/// What a store was found to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The store, in its own words.
    pub store: String,
    /// Each question and its answer, in the order asked.
    pub checks: Vec<Check>,
    /// Who may commit to a repository there.
    pub commits: Commits,
}

impl ProbeReport {
    /// Whether every check passed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.outcome == Outcome::Passed)
    }
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The question.
    pub property: Property,
    /// The answer.
    pub outcome: Outcome,
    /// What was seen.
    pub detail: String,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// What was just put is found, whole, also by who had just seen that it was absent.
    ReadAfterWrite,
    /// The second put of a name fails and leaves the first's content.
    CreateTwice,
    /// Of several puts of one name at once exactly one succeeds.
    CreateRace,
    /// A range inside the object gives those bytes.
    RangeMiddle,
    /// A suffix gives the last bytes.
    RangeSuffix,
    /// A range that passes the end is cut there, one beyond it fails.
    RangePastEnd,
    /// A listing shows a new object.
    ListShowsNew,
    /// A deleted object is gone.
    DeleteWorks,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As promised.
    Passed,
    /// Not as promised, or not to be had.
    Failed,
    /// Not asked, because what it rests on had failed. Not a pass.
    Skipped,
}

/// Who may commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Commits {
    /// Any writer: the store decides races.
    Race,
    /// Only the controller, one commit at a time.
    ControllerOnly,
}

/// Asks `store` everything, with a few small objects under a random name below `probe/`, which are
/// deleted afterwards.
pub async fn probe(store: &dyn ObjectStore) -> ProbeReport {
    let mut probe = match random_folder() {
        Ok(folder) => Probe { store, folder, checks: Vec::new(), put: Vec::new() },
        Err(detail) => return nothing_known(store, &detail),
    };
    probe.ask().await;
    ProbeReport { store: store.to_string(), commits: commits(&probe.checks), checks: probe.checks }
}

/// Commits may race only where everything that they rest on was seen to hold.
fn commits(checks: &[Check]) -> Commits {
    let needed = [Property::ReadAfterWrite, Property::CreateTwice, Property::CreateRace];
    let passed = |property| checks.iter().any(|check| check.property == property && check.outcome == Outcome::Passed);
    if needed.into_iter().all(passed) { Commits::Race } else { Commits::ControllerOnly }
}

fn nothing_known(store: &dyn ObjectStore, detail: &str) -> ProbeReport {
    let check = Check { property: Property::ReadAfterWrite, outcome: Outcome::Skipped, detail: detail.into() };
    ProbeReport { store: store.to_string(), checks: vec![check], commits: Commits::ControllerOnly }
}

fn random_folder() -> std::result::Result<String, String> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| "no randomness for a name".to_owned())?;
    Ok(format!("probe/{}", data_encoding::HEXLOWER.encode(&random)))
}

/// The answer to one question: what was seen, or what was wrong.
type Answer = std::result::Result<String, String>;

struct Probe<'a> {
    store: &'a dyn ObjectStore,
    folder: String,
    checks: Vec<Check>,
    put: Vec<Path>,
}

impl Probe<'_> {
    async fn ask(&mut self) {
        let ranged = self.name("ranged");
        let content = pattern(RANGED_BYTES);
        let answer = self.read_after_write(&ranged, &content).await;
        let is_readable = self.note(Property::ReadAfterWrite, answer);
        let answer = self.create_twice().await;
        self.note(Property::CreateTwice, answer);
        let answer = self.create_race().await;
        self.note(Property::CreateRace, answer);
        if is_readable {
            self.ask_about_content(&ranged, &content).await;
        } else {
            self.skip_content();
        }
        let answer = self.delete_works().await;
        self.note(Property::DeleteWorks, answer);
    }

    async fn ask_about_content(&mut self, ranged: &Path, content: &Bytes) {
        let answer = self.range(ranged, GetRange::Bounded(1000..70_001), &content[1000..70_001]).await;
        self.note(Property::RangeMiddle, answer);
        let answer = self.range(ranged, GetRange::Suffix(77), &content[RANGED_BYTES - 77..]).await;
        self.note(Property::RangeSuffix, answer);
        let answer = self.range_past_end(ranged, content).await;
        self.note(Property::RangePastEnd, answer);
        let answer = self.list_shows_new(ranged).await;
        self.note(Property::ListShowsNew, answer);
    }

    fn skip_content(&mut self) {
        use Property::{ListShowsNew, RangeMiddle, RangePastEnd, RangeSuffix};
        let detail = "the object for it could not be put and read back";
        let skipped = |property| Check { property, outcome: Outcome::Skipped, detail: detail.into() };
        self.checks.extend([RangeMiddle, RangeSuffix, RangePastEnd, ListShowsNew].map(skipped));
    }

    fn note(&mut self, property: Property, answer: Answer) -> bool {
        let is_passed = answer.is_ok();
        let (outcome, detail) = match answer {
            Ok(detail) => (Outcome::Passed, detail),
            Err(detail) => (Outcome::Failed, detail),
        };
        self.checks.push(Check { property, outcome, detail });
        is_passed
    }

    /// A name for an object, which is remembered for the deletion.
    fn name(&mut self, name: &str) -> Path {
        let name = Path::from(format!("{}/{name}", self.folder));
        self.put.push(name.clone());
        name
    }

    async fn create(&self, name: &Path, content: impl Into<PutPayload>) -> Result<()> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        self.store.put_opts(name, content.into(), options).await.map(drop)
    }

    async fn content(&self, name: &Path, range: Option<GetRange>) -> Result<Bytes> {
        let options = GetOptions::new().with_range(range);
        self.store.get_opts(name, options).await?.bytes().await
    }

    async fn read_after_write(&self, name: &Path, content: &Bytes) -> Answer {
        match self.store.head(name).await {
            Err(error) if kind(&error) == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("asking for an absent object", error)),
            Ok(_) => return Err("an object is said to exist that nobody put".into()),
        }
        self.create(name, content.clone()).await.map_err(|error| failed("put", error))?;
        let meta = self.store.head(name).await.map_err(|error| failed("head after put", error))?;
        let found = self.content(name, None).await.map_err(|error| failed("get after put", error))?;
        if found != content || meta.size != content.len() as u64 {
            return Err(format!("{} bytes were put, {} others came back", content.len(), found.len()));
        }
        Ok(format!("{} bytes came back as they were put", content.len()))
    }

    async fn create_twice(&mut self) -> Answer {
        let name = self.name("twice");
        self.create(&name, "first").await.map_err(|error| failed("first put", error))?;
        match self.create(&name, "second").await {
            Err(error) if kind(&error) == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("the second put should find the name taken, but", error)),
            Ok(()) => return Err("the second put succeeded: the store ignores the condition".into()),
        }
        let found = self.content(&name, None).await.map_err(|error| failed("get", error))?;
        if found != "first" {
            return Err("the second put was refused, but the first's content is gone".into());
        }
        Ok("the second put was refused, the first's content stayed".into())
    }

    async fn create_race(&mut self) -> Answer {
        let name = self.name("race");
        let puts = (0..RACERS).map(|racer| self.create(&name, format!("racer {racer}")));
        let mut winners = Vec::new();
        for (racer, result) in join_all(puts).await.into_iter().enumerate() {
            match result {
                Ok(()) => winners.push(racer),
                Err(error) if kind(&error) == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("a racer should find the name taken, but", error)),
            }
        }
        let [winner] = winners[..] else {
            return Err(format!("{} of {RACERS} racers won", winners.len()));
        };
        let found = self.content(&name, None).await.map_err(|error| failed("get", error))?;
        if found != format!("racer {winner}") {
            return Err("the content is not the winner's".into());
        }
        Ok(format!("one of {RACERS} racers won"))
    }

    async fn range(&self, name: &Path, range: GetRange, expect: &[u8]) -> Answer {
        let asked = range.to_string();
        let found = self.content(name, Some(range)).await.map_err(|error| failed(&asked, error))?;
        if found != expect {
            return Err(format!("{asked} gave {} bytes, not the {} expected", found.len(), expect.len()));
        }
        Ok(format!("{asked} gave the right {} bytes", found.len()))
    }

    async fn range_past_end(&self, name: &Path, content: &Bytes) -> Answer {
        let end = content.len() as u64;
        let across = GetRange::Bounded(end - 10..end + 10);
        self.range(name, across, &content[content.len() - 10..]).await?;
        match self.content(name, Some(GetRange::Bounded(end + 10..end + 20))).await {
            Ok(found) => Err(format!("a range beyond the end gave {} bytes", found.len())),
            Err(_) => Ok("cut at the end, refused beyond it".into()),
        }
    }

    async fn list_shows_new(&self, expect: &Path) -> Answer {
        let folder = Path::from(self.folder.as_str());
        let listed: Vec<_> =
            self.store.list(Some(&folder)).try_collect().await.map_err(|error| failed("list", error))?;
        match listed.iter().find(|object| object.location == *expect) {
            None => Err(format!("the object is not among the {} listed", listed.len())),
            Some(object) if object.size != RANGED_BYTES as u64 => {
                Err(format!("it is listed with {} bytes", object.size))
            }
            Some(_) => Ok(format!("it is among the {} listed", listed.len())),
        }
    }

    /// Deletes all that the probe has put, as a check and as its duty.
    async fn delete_works(&mut self) -> Answer {
        let mut faults = Vec::new();
        for name in std::mem::take(&mut self.put) {
            if let Err(error) = self.store.delete(&name).await
                && kind(&error) != ErrorKind::NotFound
            {
                faults.push(failed(&format!("deleting {name}"), error));
                continue;
            }
            match self.store.head(&name).await {
                Err(error) if kind(&error) == ErrorKind::NotFound => {}
                Err(error) => faults.push(failed(&format!("asking for {name} afterwards"), error)),
                Ok(_) => faults.push(format!("{name} is still there")),
            }
        }
        if faults.is_empty() { Ok("nothing is left of the probe".into()) } else { Err(faults.join("; ")) }
    }
}

fn failed(doing: &str, error: impl Display) -> String {
    format!("{doing}: {error}")
}

/// Bytes of which no two ranges of a few bytes are alike.
fn pattern(size: usize) -> Bytes {
    let word = |index: usize| (index as u32).wrapping_mul(0x9E37_79B1).to_le_bytes();
    (0..size.div_ceil(4)).flat_map(word).take(size).collect()
}

#[cfg(test)]
#[path = "probe/tests.rs"]
mod tests;
