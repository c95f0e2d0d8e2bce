//! One state, restored beside its place and looked at as a whole.

use std::fs;
use std::path::{Path, PathBuf};

use strongroom_controller::journal::{EntryHash, Journal};
use strongroom_controller::runs::Run;
use strongroom_controller::site::Loaded;
use strongroom_repository::Snapshot;
use strongroom_worker::restore::{Outcome, RestoreOptions, RestoreReport};

use crate::access::Opened;
use crate::choice::short;
use crate::context::Context;
use crate::failure::{Cause, Doing, Failure};
use crate::fleet::JOURNAL;
use crate::own_state::{ABOUT, About, LAYOUT, SITE, STATE};
use crate::restore::{carry_out, plan};

/// So many lost files are named; one is enough to pass a state over.
const NAMED_MAX: usize = 20;

/// A state that is whole.
#[derive(Debug)]
pub(super) struct Rebuilt {
    /// Where it lies for now.
    pub(super) folder: PathBuf,
    pub(super) snapshot: Snapshot,
    pub(super) about: About,
    pub(super) site: Loaded,
    /// The newest run of each plan on each host.
    pub(super) runs: Vec<Run>,
    pub(super) files: u64,
    /// What of the metadata could not be set, such as owners that only root can set.
    pub(super) deviations: u64,
}

/// Restores it into an empty directory, and checks it.
pub(super) fn rebuild(
    opened: &Opened,
    snapshot: &Snapshot,
    folder: &Path,
    context: &Context,
) -> Result<Rebuilt, Failure> {
    let options = RestoreOptions { writers: context.threads(), ..RestoreOptions::into_target(folder) };
    let report = carry_out(plan(opened, snapshot, options, context)?, "restoring the controller", context)?;
    refuse_incomplete(&report, snapshot)?;
    let about = read_about(folder)?;
    let site = check_site(folder, &about)?;
    let runs = check_journal(folder, &about, context)?;
    let (files, deviations) = (report.counts.files, report.deviations_total);
    Ok(Rebuilt { folder: folder.to_owned(), snapshot: snapshot.clone(), about, site, runs, files, deviations })
}

fn refuse_incomplete(report: &RestoreReport, snapshot: &Snapshot) -> Result<(), Failure> {
    if matches!(report.outcome, Outcome::Restored | Outcome::Deviating) {
        return Ok(());
    }
    let named = report.problems.iter().take(NAMED_MAX).map(|problem| format!("{}: {}", problem.path, problem.error));
    let mut why = named.collect::<Vec<_>>().join("; ");
    if why.is_empty() {
        why.push_str("what was read back is not what was stored");
    }
    Err(Failure::new(format!("restore the state in snapshot {}", short(snapshot)), Cause::Damaged(why)))
}

fn read_about(folder: &Path) -> Result<About, Failure> {
    let what = || "understand what the state is of".to_owned();
    let text = fs::read_to_string(folder.join(ABOUT));
    let text = text.map_err(|error| Cause::Damaged(format!("{ABOUT}: {error}"))).doing(what)?;
    let about: About =
        serde_json::from_str(&text).map_err(|error| Cause::Damaged(format!("{ABOUT}: {error}"))).doing(what)?;
    match about.strongroom_controller {
        LAYOUT => Ok(about),
        newer => {
            let why = Cause::Usage(format!("{ABOUT} is of version {newer}, and this release reads {LAYOUT}"));
            Err(Failure::new(what(), why).advise(format!("use the release that wrote it: {}", about.program)))
        }
    }
}

fn check_site(folder: &Path, about: &About) -> Result<Loaded, Failure> {
    let what = || format!("check the site's files in {SITE}/");
    let loaded = Loaded::read(&folder.join(SITE)).doing(what)?;
    match loaded.version == about.site.version {
        true => Ok(loaded),
        false => Err(Failure::new(what(), Cause::Damaged("they are not those that were stored".into()))),
    }
}

/// Every entry must hang on the one before, and the last one be the one that was written down beside it.
fn check_journal(folder: &Path, about: &About, context: &Context) -> Result<Vec<Run>, Failure> {
    let what = format!("check the journal {STATE}/{JOURNAL}");
    let path = folder.join(STATE).join(JOURNAL);
    if !path.is_file() {
        return Err(Failure::new(what, Cause::Damaged("it is missing".into())));
    }
    let journal = context.wait(&what, Journal::open(&path))?;
    let checked = context.wait(&what, async {
        let (entry, hash): (u64, EntryHash) = journal.verify().await?;
        let runs = journal.latest_of_each().await?;
        journal.close().await.map(|()| (entry, hash.to_string(), runs))
    });
    let (entry, hash, runs) = checked?;
    if (entry, &hash) != (about.journal.entry, &about.journal.hash) {
        let why = format!("it ends with entry {entry}, and entry {} was the last one", about.journal.entry);
        return Err(Failure::new(what, Cause::Damaged(why)));
    }
    Ok(runs)
}
