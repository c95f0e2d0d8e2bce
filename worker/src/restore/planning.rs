//! Making the plan: one walk through the selected entries, with a look at what the target holds.

use std::sync::Arc;

use strongroom_repository::text::escape;
use strongroom_repository::{ChunkRef, Content, Entry, Error, ErrorKind, Repository, Snapshot, Tree};

use super::draft::Draft;
use super::error::RestoreError;
use super::ground::Ground;
use super::options::RestoreOptions;
use super::owners::OwnerMap;
use super::plan::{PlanSummary, RestorePlan, Resumes, Warning};
use super::selection::{Selection, Step, Walk};
use super::staging;
use super::surveyor::Surveyor;
use super::threads::on_thread;

/// How many entries are compared with the target at once.
const BATCH_ENTRIES: usize = 4096;

/// Plans a restore. Reads the snapshot's tree and looks at the target; transfers no content and changes nothing.
pub async fn plan(
    repository: &Arc<Repository>,
    snapshot: &Snapshot,
    options: RestoreOptions,
) -> Result<RestorePlan, RestoreError> {
    let selection = Selection::new(&options.paths)?;
    repository.open_index().await?;
    let tree = repository.tree(snapshot);
    let staging = staging::name(snapshot, &selection, &options);
    let owners = Arc::new(OwnerMap::new(options.owners));
    let ground = look_at_target(&options, &staging, &owners).await?;
    let (resumes, unfinished, free_bytes) = (ground.resumes, ground.unfinished, ground.free_bytes);
    let real = escape(ground.real.as_os_str().as_encoded_bytes());
    let mut draft = Draft::new(repository, options.overwrite);
    let mut walk = selection.walk(&tree);
    let surveyor = Surveyor::start(ground.survey)?;
    while let Some(steps) = next_batch(&mut walk).await? {
        let (steps, seen) = surveyor.look(steps).await?;
        for (step, seen) in steps.iter().zip(&seen) {
            let elsewhere = unlisted_chunks(&tree, &step.1).await?;
            draft.take(step, seen, &elsewhere);
        }
    }
    draft.settle_links();
    walk.damage().iter().for_each(|damage| draft.lost.add(&damage.after));
    let mut summary = summarise(snapshot, &options, &selection, &draft);
    (summary.resumes, summary.free_bytes, summary.target_real) = (resumes, free_bytes, Some(real));
    summary.warnings = warnings(&summary, &draft, unfinished);
    let (repository, decisions) = (Arc::clone(repository), draft.decisions);
    Ok(RestorePlan { summary, repository, tree, options, selection, owners, staging, decisions })
}

async fn look_at_target(
    options: &RestoreOptions,
    staging: &str,
    owners: &Arc<OwnerMap>,
) -> Result<Ground, RestoreError> {
    let (wanted, staging, owners) = (options.clone(), staging.to_owned(), Arc::clone(owners));
    let shown = escape(options.target.as_os_str().as_encoded_bytes());
    let look = move || Ground::of(&wanted, &staging, owners);
    on_thread("restore-ground", look).await?.map_err(RestoreError::target("inspect the target", shown))
}

async fn next_batch(walk: &mut Walk) -> Result<Option<Vec<Step>>, RestoreError> {
    let mut steps = Vec::new();
    while steps.len() < BATCH_ENTRIES {
        match walk.next().await? {
            Some(step) => steps.push(step),
            None => break,
        }
    }
    Ok((!steps.is_empty()).then_some(steps))
}

/// The chunks of a file whose entry does not list them; none if they cannot be read, which the run will say.
async fn unlisted_chunks(tree: &Tree, entry: &Entry) -> Result<Vec<ChunkRef>, Error> {
    if !matches!(entry.content, Content::Whole | Content::Pages(_)) {
        return Ok(Vec::new());
    }
    match tree.chunks(entry).await {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Vec::new()),
        other => other,
    }
}

fn summarise(snapshot: &Snapshot, options: &RestoreOptions, selection: &Selection, draft: &Draft) -> PlanSummary {
    let (packs, frames, fetch_bytes) = draft.transfer();
    let paths = selection.paths().iter().filter(|path| !path.is_empty());
    PlanSummary {
        snapshot: snapshot.id,
        host: snapshot.manifest.host.clone(),
        time: snapshot.manifest.time,
        paths: paths.map(|path| format!("/{}", escape(path))).collect(),
        target: escape(options.target.as_os_str().as_encoded_bytes()),
        target_real: None,
        overwrite: options.overwrite,
        resumes: Resumes::Nothing,
        files: draft.files,
        hard_links: draft.hard_links,
        directories: draft.directories,
        others: draft.others,
        bytes: draft.bytes,
        replaced: draft.replaced.total,
        unchanged: draft.unchanged,
        kept: draft.kept.total,
        packs,
        frames,
        fetch_bytes,
        needed_bytes: draft.needed_bytes,
        free_bytes: 0,
        replaced_paths: draft.replaced.paths.clone(),
        kept_paths: draft.kept.paths.clone(),
        warnings: Vec::new(),
    }
}

fn warnings(summary: &PlanSummary, draft: &Draft, unfinished: Vec<String>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |applies: bool, warning: Warning| {
        if applies {
            warnings.push(warning);
        }
    };
    warn(summary.lacks_room() && summary.resumes == Resumes::Nothing, Warning::NoRoom);
    warn(!rustix::process::geteuid().is_root(), Warning::NotRoot);
    warn(draft.torn.total > 0, Warning::Torn(draft.torn.paths.clone()));
    warn(draft.lost.total > 0, Warning::Lost(draft.lost.paths.clone()));
    let conflicts = &draft.decisions.conflicts;
    warn(!conflicts.is_empty(), Warning::Conflicts(conflicts.iter().take(super::draft::SHOWN_MAX).cloned().collect()));
    warn(!unfinished.is_empty(), Warning::Unfinished(unfinished));
    warnings
}
