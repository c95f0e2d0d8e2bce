//! `strongroom repo repair`: what is damaged is made anew, by a plan that can be looked at first.

use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_repository::repair::{self, Copy, FromWhere, How, Item, RepairPlan, RepairReport, Suspects};
use strongroom_repository::scrub::{Ledger, Outcome, Verified};
use strongroom_repository::store;
use strongroom_repository::{Error, RepositoryId};

use super::ledger::LedgerFile;
use super::scrub::write_affected;
use crate::access::{LocatedArgs, Opened};
use crate::backup::host_name;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Doing, Failure};
use crate::output::Answer;
use crate::shown::{self, count, size};

/// What is repaired first may show what else is wrong: commits that lead to snapshots, packs that parity is made from.
const ROUNDS_MAX: usize = 4;

/// Make damaged objects anew, from parity or from other copies
#[derive(Debug, Args)]
#[command(after_help = "\
Looks at what `repo scrub` found, at what is missing and at everything small, plans how each damaged \
object is made anew, and does just that: packs from their parity or that of their group (`repo \
protect`), everything from other copies of the repository (--from), the index from the packs. Where a copy has been pruned by itself and has no \
pack of that name, what is needed of it is taken frame by frame, into new packs. New bytes are \
compared with the object's name and are durable before the damaged ones go; a repair that is \
interrupted is completed by the next one. What cannot be repaired is listed with every file that it \
costs. Ends with 4 if damage is left.

Examples:
  strongroom repo repair /srv/backup --dry-run
  strongroom repo repair /srv/backup
  strongroom repo repair /srv/backup --from /mnt/offsite/backup --read-data")]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    repository: LocatedArgs,

    /// Another copy of the same repository to take objects from; may be repeated
    #[arg(long, value_name = "URL")]
    from: Vec<String>,

    /// Read every stored byte first, not only what a scrub has found
    #[arg(long)]
    read_data: bool,

    /// Only plan
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &RepairArgs, context: &Context) -> Result<Exit, Failure> {
    let copies = args.from.iter().map(|url| args.repository.open_copy(url, context)).collect::<Result<Vec<_>, _>>()?;
    let job = Job { args, context, copies: &copies, stores: copies.iter().map(copy_of).collect() };
    let mut answer = Repaired { dry_run: args.dry_run, ..Repaired::default() };
    let opened = match args.repository.open(context) {
        Ok(opened) => opened,
        Err(failure) => match job.open_again(failure, &mut answer)? {
            Some(opened) => opened,
            None => {
                context.output.answer(&answer)?;
                return Ok(Exit::Damaged);
            }
        },
    };
    job.refuse_foreign(opened.repository.id())?;
    let file = LedgerFile::of(&opened, context)?;
    let mut ledger = file.read(context)?;
    job.repair(&opened, &mut ledger, &mut answer)?;
    if !args.dry_run {
        file.keep(&ledger)?;
    }
    let exit = if answer.left.is_empty() { Exit::Success } else { Exit::Damaged };
    context.output.answer(&answer)?;
    Ok(exit)
}

fn copy_of(opened: &Opened) -> Copy {
    Copy { location: opened.location.to_string(), store: Arc::clone(opened.repository.store()) }
}

struct Job<'a> {
    args: &'a RepairArgs,
    context: &'a Context,
    copies: &'a [Opened],
    stores: Vec<Copy>,
}

impl Job<'_> {
    fn what(&self) -> String {
        format!("repair the repository at {}", shown::location(self.args.repository.url()))
    }

    fn refuse_foreign(&self, here: RepositoryId) -> Result<(), Failure> {
        match self.copies.iter().find(|copy| copy.repository.id() != here) {
            None => Ok(()),
            Some(other) => {
                let cause = Error::Foreign { key: other.repository.id(), here };
                Err(Failure::new(self.what(), cause)
                    .advise(format!("{} is another repository, and no copy of this one", other.location)))
            }
        }
    }

    /// Repairs what keeps the repository from being opened, by a copy that opens; none if that was only planned.
    fn open_again(&self, failure: Failure, answer: &mut Repaired) -> Result<Option<Opened>, Failure> {
        let Some(judge) = self.copies.first() else {
            return Err(
                failure.advise("what keeps it from being opened is repaired from another copy: give --from URL")
            );
        };
        self.refuse_foreign(judge.repository.id())?;
        let store = store::open(self.args.repository.url()).doing(|| self.what())?;
        let planned = repair::plan_to_open(&judge.repository, &store, &self.stores);
        let plan = self.context.wait(&self.what(), planned)?;
        if plan.items.iter().all(|item| item.how == How::Cannot) {
            return Err(failure);
        }
        answer.note_plan(&plan);
        if self.args.dry_run {
            return Ok(None);
        }
        let done = repair::run(&judge.repository, &store, &self.stores, &plan);
        answer.note_done(self.context.wait(&self.what(), done)?);
        self.args.repository.open(self.context).map(Some)
    }

    fn repair(&self, opened: &Opened, ledger: &mut Ledger, answer: &mut Repaired) -> Result<(), Failure> {
        let by = host_name()?;
        for round in 0..ROUNDS_MAX {
            let suspects = match self.args.read_data && round == 0 {
                true => Suspects::Everything,
                false => Suspects::Known(ledger),
            };
            self.context.wait(&self.what(), opened.repository.refresh())?;
            let planned = repair::plan(&opened.repository, &self.stores, suspects);
            let plan = self.context.wait(&self.what(), planned)?;
            // The same again: what is left waits for somebody else.
            let is_known = answer.plans.last() == Some(&plan);
            let is_over = plan.items.iter().all(|item| item.how == How::Cannot)
                && plan.reprieve.is_empty()
                && plan.condemn.is_empty();
            if is_known && !is_over {
                return Ok(());
            }
            answer.note_plan(&plan);
            if is_over || self.args.dry_run {
                return Ok(());
            }
            let store = opened.repository.store();
            let done = repair::run(&opened.repository, store, &self.stores, &plan);
            let done = self.context.wait(&self.what(), done)?;
            let verified = |outcome| Verified { at: Timestamp::now(), outcome, by: by.clone() };
            plan.items.iter().for_each(|item| ledger.note(&item.object, verified(Outcome::Bad)));
            done.repaired.iter().for_each(|object| ledger.note(object, verified(Outcome::Good)));
            answer.note_done(done);
        }
        Ok(())
    }
}

/// Everything that was planned and done, over all rounds.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Repaired {
    dry_run: bool,
    /// In the order of the rounds; what could not be repaired is in each.
    plans: Vec<RepairPlan>,
    done: Vec<RepairReport>,
    /// What is damaged still, as far as it was looked at.
    left: Vec<Item>,
}

impl Repaired {
    fn note_plan(&mut self, plan: &RepairPlan) {
        self.left = plan.items.clone();
        if !plan.is_empty() {
            self.plans.push(plan.clone());
        }
    }

    fn note_done(&mut self, done: RepairReport) {
        let is_done = |object: &String| {
            [&done.repaired, &done.repacked, &done.deleted].iter().any(|objects| objects.contains(object))
        };
        self.left.retain(|item| !is_done(&item.object));
        self.done.push(done);
    }
}

impl Answer for Repaired {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(first) = self.plans.first() else { return writeln!(out, "nothing is damaged") };
        writeln!(out, "PLAN: {} objects", count(first.items.len() as u64))?;
        first.items.iter().try_for_each(|item| write_item(out, item))?;
        for pack in &first.reprieve {
            writeln!(out, "  pack {pack} is condemned no longer")?;
        }
        for pack in &first.condemn {
            writeln!(out, "  pack {pack} is condemned: nothing is built upon it any more")?;
        }
        if self.dry_run {
            writeln!(out, "\nnothing was changed")?;
            return self.write_lost(out);
        }
        for plan in self.plans.iter().skip(1) {
            let more = plan.items.iter().filter(|item| item.how != How::Cannot);
            more.into_iter().try_for_each(|item| write_item(out, item))?;
        }
        let repaired: usize = self.done.iter().map(|done| done.repaired.len()).sum();
        writeln!(out, "\n{} objects are what they were again", count(repaired as u64))?;
        self.write_repacked(out)?;
        self.write_lost(out)
    }
}

impl Repaired {
    fn write_repacked(&self, out: &mut dyn Write) -> io::Result<()> {
        let repacked: usize = self.done.iter().map(|done| done.repacked.len()).sum();
        if repacked == 0 {
            return Ok(());
        }
        let new: u64 = self.done.iter().map(|done| done.new_packs).sum();
        writeln!(out, "what is needed of {} packs lies in {} new ones", count(repacked as u64), count(new))?;
        match self.done.last().map_or(0, |done| done.waiting.len()) {
            0 => Ok(()),
            waiting => writeln!(
                out,
                "{} of them are condemned and stay until the sessions end that may have built on them: then a prune deletes them",
                count(waiting as u64)
            ),
        }
    }

    fn write_lost(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(last) = self.plans.last().filter(|_| self.left.iter().any(|item| !item.how.heals())) else {
            return Ok(());
        };
        writeln!(out, "\nDAMAGE that stays: {} objects", count(self.left.len() as u64))?;
        self.left.iter().try_for_each(|item| writeln!(out, "  {}: {}", item.object, item.fault))?;
        write_affected(out, &last.lost)?;
        writeln!(
            out,
            "\nThe next backup stores again what its source still has of them; another copy (--from) has it all."
        )
    }
}

fn write_item(out: &mut dyn Write, item: &Item) -> io::Result<()> {
    writeln!(out, "  {}: {}", item.object, item.fault)?;
    match &item.how {
        How::Interrupted => writeln!(out, "    a repair that was interrupted is completed"),
        How::Parity => writeln!(out, "    made anew from its parity"),
        How::Group => writeln!(out, "    made anew from its group: the other packs of it, and their parity"),
        How::Copy { location, .. } => writeln!(out, "    taken from {location}"),
        How::Repacked { from, lost_frames } => write_sources(out, from, *lost_frames),
        How::Recoded => writeln!(out, "    made anew from its pack"),
        How::RebuiltIndex => writeln!(out, "    the index is made anew from the packs"),
        How::Deleted => writeln!(out, "    deleted: nobody needs it"),
        How::Cannot => writeln!(out, "    CANNOT be repaired: no parity that suffices, no copy that has it"),
    }
}

fn write_sources(out: &mut dyn Write, from: &[FromWhere], lost_frames: u64) -> io::Result<()> {
    for FromWhere { location, frames, bytes } in from {
        writeln!(out, "    into new packs: {} frames ({}) from {location}", count(*frames), size(*bytes))?;
    }
    match (lost_frames, from.is_empty()) {
        (0, true) => writeln!(out, "    nothing in it is needed: it is condemned, and goes"),
        (0, false) => writeln!(out, "    the damaged pack is condemned, and goes"),
        (lost, _) => writeln!(out, "    CANNOT be had anywhere: {} frames", count(lost)),
    }
}
