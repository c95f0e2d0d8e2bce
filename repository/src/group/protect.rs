//! What is made and what goes, planned and then done.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use serde::Serialize;

use super::choose::{Choice, Make, Scene, choose};
use super::make::{Made, MadeShard, make};
use super::shape::Shape;
use super::size::GroupSize;
use super::{Catalog, Group, Protection, name_of};
use crate::error::Error;
use crate::ids::ObjectId;
use crate::object::{self, ObjectType};
use crate::parity::Subject;
use crate::repository::{Repository, list, put_new, remove, size};
use crate::scrub::Stored;
use crate::scrub::examine::{Verdict, examine};

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct ProtectOptions {
    /// How large groups are; none if there are to be none.
    pub size: Option<GroupSize>,
    /// Bytes of packs to read at most, but one group at least; none for all.
    pub bytes: Option<u64>,
    /// Names of objects that a scrub found damaged; those of groups are made anew.
    pub damaged: Vec<String>,
}

/// What will be done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProtectPlan {
    /// How large groups are; none if they go.
    pub size: Option<GroupSize>,
    /// Groups that are made or completed now.
    pub groups: u64,
    /// Packs in them.
    pub packs: u64,
    /// Bytes of packs to be read.
    pub read_bytes: u64,
    /// Bytes of parity to be written.
    pub written_bytes: u64,
    /// Bytes of older parity that go then.
    pub deleted_bytes: u64,
    /// Groups for which this run's bytes do not suffice.
    pub groups_later: u64,
    /// How it stands.
    pub before: Protection,
    /// How it will stand.
    pub after: Protection,
    #[serde(skip)]
    work: Work,
}

/// What the execution needs and nobody wants to read.
#[derive(Debug, Default)]
struct Work {
    size: Option<GroupSize>,
    catalog: Catalog,
    packs: Packs,
    damaged: BTreeSet<ObjectId>,
    /// What is kept and made in the end, of later runs as well.
    kept: Vec<Shape>,
    makes: Vec<Make>,
    later: Vec<Make>,
}

/// What is known of the packs.
#[derive(Debug, Default)]
struct Packs {
    needed: BTreeSet<ObjectId>,
    /// Those of them that are stored in full.
    there: BTreeSet<ObjectId>,
    /// Those of these that are not condemned.
    usable: BTreeMap<ObjectId, Subject>,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProtectReport {
    /// Groups that were made or completed.
    pub groups: u64,
    /// Names of the new objects.
    pub made: Vec<String>,
    /// Their bytes.
    pub written_bytes: u64,
    /// Names of the objects that went.
    pub deleted: Vec<String>,
    /// Their bytes.
    pub deleted_bytes: u64,
    /// Packs that turned out to be lost or damaged, and are in no new group.
    pub damaged_packs: Vec<String>,
    /// How it stands.
    pub after: Protection,
}

impl ProtectPlan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.work.makes.is_empty() && self.deleted_bytes == 0
    }
}

/// Plans; reads the heads of what is there, and changes nothing.
pub async fn plan(repository: &Arc<Repository>, options: &ProtectOptions) -> Result<ProtectPlan, Error> {
    // Before the history: a group that somebody makes meanwhile must not seem to be of packs that nobody needs.
    let catalog = Catalog::read(&repository.store, &repository.id()).await?;
    repository.refresh().await?;
    let packs = packs(repository).await?;
    let is_of_group = |name: &&String| name.starts_with(ObjectType::Group.folder());
    let damaged = options.damaged.iter().filter(is_of_group);
    let damaged = damaged.filter_map(|name| name.rsplit('/').next()?.parse().ok()).collect();
    let mut work = Work { size: options.size, catalog, packs, damaged, ..Work::default() };
    if let Some(size) = options.size {
        let Choice { kept, makes } = choose(&work.scene(), size);
        work.kept = kept;
        (work.makes, work.later) = within(options.bytes, work.most_urgent_first(makes));
    }
    let made: Vec<&Shape> = work.makes.iter().map(|make| &make.shape).collect();
    let written = |make: &Make| make.numbers.len() as u64 * make.shape.object_size();
    Ok(ProtectPlan {
        size: options.size,
        groups: made.len() as u64,
        packs: made.iter().map(|shape| shape.members.len() as u64).sum(),
        read_bytes: made.iter().map(|shape| shape.member_bytes()).sum(),
        written_bytes: work.makes.iter().map(written).sum(),
        deleted_bytes: work.superseded(&made).iter().map(|(_, size)| size).sum(),
        groups_later: work.later.len() as u64,
        before: work.sound(&BTreeSet::new()).protection(&work.packs.there),
        after: work.protection_with(&made),
        work,
    })
}

async fn packs(repository: &Arc<Repository>) -> Result<Packs, Error> {
    let index = repository.open_whole_index().await?;
    let mut stored = BTreeMap::new();
    for kind in [ObjectType::Pack, ObjectType::PagePack] {
        stored.extend(list(&*repository.store, kind.folder()).await?);
    }
    let condemned = &repository.history().condemned;
    let mut packs = Packs::default();
    for pack in index.packs() {
        packs.needed.insert(pack.id);
        if stored.get(&object::hashed_name(pack.kind, &pack.id)) != Some(&pack.size) {
            continue;
        }
        packs.there.insert(pack.id);
        if !condemned.contains_key(&pack.id) {
            packs.usable.insert(pack.id, Subject { kind: pack.kind, id: pack.id, size: pack.size });
        }
    }
    Ok(packs)
}

/// As many as the budget allows, but one at least; and the others.
fn within(bytes: Option<u64>, mut makes: Vec<Make>) -> (Vec<Make>, Vec<Make>) {
    let mut sum = 0;
    let mut fits = |make: &Make| {
        sum += make.shape.member_bytes();
        bytes.is_none_or(|bytes| sum <= bytes)
    };
    let count = makes.iter().take_while(|make| fits(make)).count().max(1).min(makes.len());
    let later = makes.split_off(count);
    (makes, later)
}

impl Work {
    fn scene(&self) -> Scene<'_> {
        Scene { catalog: &self.catalog, needed: &self.packs.needed, usable: &self.packs.usable, damaged: &self.damaged }
    }

    /// Groups with the packs that bear the fewest losses in front, the largest first.
    fn most_urgent_first(&self, mut makes: Vec<Make>) -> Vec<Make> {
        let borne = self.sound(&BTreeSet::new()).losses_borne(&self.packs.there);
        let least = |shape: &Shape| shape.members.iter().filter_map(|member| borne.get(&member.id)).min().copied();
        makes.sort_by_key(|make| (least(&make.shape), Reverse(make.shape.member_bytes())));
        makes
    }

    /// What nobody misses once these are made.
    fn superseded(&self, made: &[&Shape]) -> Vec<(ObjectId, u64)> {
        if self.size.is_none() {
            return self.catalog.objects().collect();
        }
        let awaited: BTreeSet<&Shape> = self.makes.iter().chain(&self.later).map(|make| &make.shape).collect();
        let kept: BTreeSet<&Shape> = self.kept.iter().chain(awaited.iter().copied()).collect();
        let stands = self.kept.iter().filter(|shape| !awaited.contains(shape));
        let complete = stands.chain(made.iter().copied()).collect();
        self.scene().superseded(&complete, &kept)
    }

    /// How it stands once these are made, and what nobody misses is gone.
    fn protection_with(&self, made: &[&Shape]) -> Protection {
        let gone = self.superseded(made).into_iter().map(|(id, _)| id).collect();
        let mut catalog = self.sound(&gone);
        catalog.groups.retain(|group| !made.contains(&&group.shape));
        catalog.groups.extend(made.iter().map(|shape| {
            // Their names are not known yet, nor needed.
            let shards = (0..shape.parity).map(|number| (number, ObjectId([0; 32]))).collect();
            Group { shape: (*shape).clone(), shards }
        }));
        catalog.protection(&self.packs.there)
    }

    /// The groups without what is damaged, or gone.
    fn sound(&self, gone: &BTreeSet<ObjectId>) -> Catalog {
        let stays = |id: &ObjectId| !gone.contains(id) && !self.damaged.contains(id);
        let mut catalog = self.catalog.clone();
        catalog.groups.iter_mut().for_each(|group| group.shards.retain(|_, id| stays(id)));
        catalog.groups.retain(|group| !group.shards.is_empty());
        catalog.unreadable.retain(|(id, _)| stays(id));
        catalog
    }
}

/// Makes what is planned, group by group; what nobody misses any more goes as soon as that is so. Counts the bytes of packs that were read.
pub async fn run(repository: &Arc<Repository>, plan: &ProtectPlan, read: &AtomicU64) -> Result<ProtectReport, Error> {
    let work = &plan.work;
    let mut report = ProtectReport::default();
    let mut made: Vec<Shape> = Vec::new();
    delete(repository, work, &made, &mut report).await?;
    for make in &work.makes {
        if let Some(shape) = make_one(repository, work, make, &mut report, read).await? {
            made.push(shape);
            report.groups += 1;
            delete(repository, work, &made, &mut report).await?;
        }
    }
    report.after = work.protection_with(&made.iter().collect::<Vec<_>>());
    Ok(report)
}

/// Makes a group; of those of its members that are what they were.
async fn make_one(
    repository: &Arc<Repository>,
    work: &Work,
    make_this: &Make,
    report: &mut ProtectReport,
    read: &AtomicU64,
) -> Result<Option<Shape>, Error> {
    let Make { mut shape, mut numbers } = make_this.clone();
    loop {
        let without = match make(repository, &shape, &numbers, read).await? {
            Made::Without(bad) => bad,
            Made::Shards(shards) => {
                for shard in shards {
                    report.made.push(put(repository, work, shard).await?);
                    report.written_bytes += shape.object_size();
                }
                return Ok(Some(shape));
            }
        };
        let (bad, good): (Vec<Subject>, Vec<Subject>) =
            shape.members.iter().partition(|member| without.contains(&member.id));
        for member in bad {
            report.damaged_packs.extend(if_damaged(repository, member).await?);
        }
        if good.is_empty() {
            return Ok(None);
        }
        shape = Shape::of(good, shape.parity);
        numbers = (0..shape.parity).collect();
    }
}

/// Puts a shard's object in place, and looks whether it is there: others are deleted because of it.
async fn put(repository: &Arc<Repository>, work: &Work, shard: MadeShard) -> Result<String, Error> {
    let name = name_of(&shard.id);
    if work.damaged.contains(&shard.id) {
        remove(&*repository.store, &name).await?;
    }
    let bytes = shard.bytes().await?;
    let length = bytes.len() as u64;
    put_new(&*repository.store, &name, bytes).await?;
    match size(&*repository.store, &name).await? {
        Some(there) if there == length => Ok(name),
        _ => Err(Error::damaged(name, "it was written just now, and is not what was written")),
    }
}

/// The name of a pack that is lost or damaged, looked at once more: what turned over on its way is left for the next run, and is no damage.
async fn if_damaged(repository: &Arc<Repository>, pack: Subject) -> Result<Option<String>, Error> {
    let name = object::hashed_name(pack.kind, &pack.id);
    let stored = Stored { name, size: pack.size, since: Timestamp::MIN };
    match examine(repository, &repository.store, &stored).await? {
        Verdict::Good => Ok(None),
        Verdict::Bad(_) | Verdict::Gone | Verdict::Unreadable(..) => Ok(Some(stored.name)),
    }
}

async fn delete(
    repository: &Arc<Repository>,
    work: &Work,
    made: &[Shape],
    report: &mut ProtectReport,
) -> Result<(), Error> {
    for (id, size) in work.superseded(&made.iter().collect::<Vec<_>>()) {
        let name = name_of(&id);
        if !report.deleted.contains(&name) && !report.made.contains(&name) {
            remove(&*repository.store, &name).await?;
            report.deleted.push(name);
            report.deleted_bytes += size;
        }
    }
    Ok(())
}
