//! A search in all snapshots with keys of one's own: of one repository, or of all that a site has.

use std::collections::HashMap;

use strongroom_controller::journal::{Journal, Proven};
use strongroom_controller::pace::Pace;
use strongroom_controller::permissions::Sight;
use strongroom_plans::{Name, RepositorySpec};
use strongroom_repository::ObjectId;

use super::FindArgs;
use super::search::{Place, search};
use super::wanted::Wanted;
use crate::access::{self, Opened};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::JOURNAL;
use crate::{forget, site_directory};

pub(super) fn run(args: &FindArgs, context: &Context) -> Result<Exit, Failure> {
    let wanted = Wanted::of(&args.everywhere.request(), Sight::Everything)?;
    let opened = open(args, context)?;
    let (by_journal, pace) = if args.everywhere.site.is_some() { journal(context)? } else { Default::default() };
    let state = context.state_dir()?;
    let places: Vec<Place<'_>> = opened
        .iter()
        .map(|(name, opened)| {
            let mut proven = by_journal.clone();
            proven.extend(opened.iter().flat_map(|opened| forget::proven_when(&state, opened.repository.id())));
            let opened = opened.as_ref().map_err(ToString::to_string);
            Place { name: name.clone(), opened, proven }
        })
        .collect();
    let found = search(&wanted, &places, pace, context)?;
    found.left_out.iter().for_each(|left| context.say(&format!("{} is left out: {}", left.repository, left.why)));
    let exit = found.exit();
    context.output.answer(&found)?;
    Ok(exit)
}

/// By their names.
type Repositories = Vec<(String, Result<Opened, Failure>)>;

/// Where none of them can be opened there is nowhere to look, and why the first one cannot is the answer.
fn open(args: &FindArgs, context: &Context) -> Result<Repositories, Failure> {
    let Some(directory) = &args.everywhere.site else {
        let opened = access::open(args.url()?, &args.key, context)?;
        return Ok(vec![(opened.location.to_string(), Ok(opened))]);
    };
    let site = site_directory::load(directory, "find files")?;
    let open =
        |(name, spec): (&Name, &RepositorySpec)| (name.to_string(), access::open_declared(spec, &args.key, context));
    let mut all: Repositories = site.repositories().iter().map(open).collect();
    if all.iter().all(|(_, opened)| opened.is_err()) {
        all.truncate(1);
        all.pop().map_or(Ok(()), |(_, opened)| opened.map(drop))?;
    }
    Ok(all)
}

/// What the controller's journal says, where the controller is on this machine.
fn journal(context: &Context) -> Result<(HashMap<ObjectId, Proven>, Option<Pace>), Failure> {
    let path = context.state_dir()?.join(JOURNAL);
    if !path.exists() {
        return Ok(Default::default());
    }
    let journal = context.wait("open the journal", Journal::open(&path))?;
    known(&journal, context)
}

/// What a journal says of proofs, and of how long restores take.
pub(crate) fn known(
    journal: &Journal,
    context: &Context,
) -> Result<(HashMap<ObjectId, Proven>, Option<Pace>), Failure> {
    let proven = context.wait("read what was proven", journal.proven())?;
    let proven = proven.into_iter().filter_map(|(snapshot, proven)| Some((snapshot.parse().ok()?, proven)));
    let past = context.wait("read what restores took", journal.past_restores())?;
    Ok((proven.collect(), Pace::of(&past)))
}
