//! The protocol of sessions and prunes as a small machine, explored whole: every interleaving of two writers and one pruner, with crashes anywhere, and with records that are
//! written late. What must hold in every state: a snapshot in force finds its pack in the index and in the store.
//!
//! A model that cannot fail proves nothing: with each of its safeguards left out in turn, the same exploration must find a loss.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// Pack 0 lies there from the beginning; each other one is uploaded by one run of one writer.
type Pack = u8;
type Session = u8;

const WRITERS: usize = 2;
/// Backups of each writer; prunes; crashes altogether.
const BACKUPS: u8 = 1;
const PRUNES: u8 = 2;
const CRASHES: u8 = 1;

/// What the protocol rests on.
#[derive(Debug, Clone, Copy)]
struct Safeguards {
    /// A writer's commit looks whether what it needs is still in the index.
    writer_looks: bool,
    /// A sweep stands only if no snapshot was added since it was looked at.
    sweep_looks: bool,
    /// Strays are looked at again before they are deleted.
    strays_look: bool,
    /// Strays wait for the sessions that were open when they were seen.
    strays_wait: bool,
}

const ALL: Safeguards = Safeguards { writer_looks: true, sweep_looks: true, strays_look: true, strays_wait: true };

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    /// Commits so far.
    newest: u8,
    /// The newest commit that took something out of the index.
    shrunk: u8,
    /// Snapshots in force, by the session that made them, and the pack that each needs.
    snapshots: BTreeMap<Session, Pack>,
    index: BTreeSet<Pack>,
    condemned: BTreeMap<Pack, u8>,
    fenced: BTreeSet<Session>,
    /// Sessions that have committed.
    committed: BTreeSet<Session>,
    /// What the store holds: packs, and records with their base.
    packs: BTreeSet<Pack>,
    records: BTreeMap<Session, u8>,
    writers: [Writer; WRITERS],
    pruner: Pruner,
    backups: [u8; WRITERS],
    prunes: u8,
    crashes: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Writer {
    Idle,
    /// Has read the history: what it may build on is pack 0 or nothing.
    Begun {
        session: Session,
        base: u8,
        builds_on: Option<Pack>,
    },
    /// Its record is written.
    Recorded {
        session: Session,
        base: u8,
        builds_on: Option<Pack>,
    },
    /// Everything that it needs is stored, as far as it knows.
    Stored {
        session: Session,
        base: u8,
        needs: Pack,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Pruner {
    Idle,
    Listed {
        packs: BTreeSet<Pack>,
    },
    /// Has read sessions and history, and decided. Strays with those of whom they wait.
    Planned {
        condemn: BTreeSet<Pack>,
        fence: BTreeSet<Session>,
        strays: BTreeSet<Pack>,
    },
    Fenced {
        condemn: BTreeSet<Pack>,
        strays: BTreeSet<Pack>,
    },
    Condemned {
        strays: BTreeSet<Pack>,
    },
    /// Has read the sessions and marked: the packs that may go, for these snapshots.
    Marked {
        sweep: BTreeSet<Pack>,
        asked: BTreeSet<Session>,
        strays: BTreeSet<Pack>,
    },
    Swept {
        sweep: BTreeSet<Pack>,
        strays: BTreeSet<Pack>,
    },
    DeletingStrays {
        strays: BTreeSet<Pack>,
    },
}

impl World {
    fn new() -> Self {
        Self {
            newest: 1,
            shrunk: 0,
            snapshots: [(0, 0)].into(),
            index: [0].into(),
            condemned: BTreeMap::new(),
            fenced: BTreeSet::new(),
            committed: [0].into(),
            packs: [0].into(),
            records: BTreeMap::new(),
            writers: [Writer::Idle, Writer::Idle],
            pruner: Pruner::Idle,
            backups: [0; WRITERS],
            prunes: 0,
            crashes: 0,
        }
    }

    fn fault(&self) -> Option<String> {
        let lost = self.snapshots.iter().find(|(_, pack)| !self.packs.contains(pack) || !self.index.contains(pack));
        lost.map(|(session, pack)| format!("the snapshot of session {session} needs pack {pack}: {self:?}"))
    }

    fn open(&self) -> BTreeSet<Session> {
        let ended = |session: &Session| self.committed.contains(session) || self.fenced.contains(session);
        self.records.keys().filter(|session| !ended(session)).copied().collect()
    }

    /// Every state that one step of somebody leads to.
    fn next(&self, safeguards: Safeguards) -> Vec<Self> {
        let mut next = Vec::new();
        for writer in 0..WRITERS {
            self.write(writer, safeguards, &mut next);
        }
        self.prune(safeguards, &mut next);
        self.crash(&mut next);
        next
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut world = self.clone();
        change(&mut world);
        world
    }

    fn write(&self, writer: usize, safeguards: Safeguards, next: &mut Vec<Self>) {
        let turned = |state: Writer| self.with(|world| world.writers[writer] = state);
        match self.writers[writer].clone() {
            Writer::Idle if self.backups[writer] < BACKUPS => {
                let session = (1 + writer as u8) + 2 * self.backups[writer];
                let usable = self.index.iter().find(|pack| !self.condemned.contains_key(pack)).copied();
                let begun = |builds_on| Writer::Begun { session, base: self.newest, builds_on };
                // What it wants may be there already, or be new.
                for builds_on in [usable, None] {
                    let mut world = turned(begun(builds_on));
                    world.backups[writer] += 1;
                    next.push(world);
                }
            }
            Writer::Idle => {}
            Writer::Begun { session, base, builds_on } => {
                let mut world = turned(Writer::Recorded { session, base, builds_on });
                world.records.insert(session, base);
                next.push(world);
            }
            Writer::Recorded { session, base, builds_on: Some(needs) } => {
                next.push(turned(Writer::Stored { session, base, needs }));
            }
            // A pack of its own, of the same number as the session.
            Writer::Recorded { session, base, builds_on: None } => {
                let mut world = turned(Writer::Stored { session, base, needs: session });
                world.packs.insert(session);
                next.push(world);
            }
            Writer::Stored { session, base, needs } => {
                let mut world = turned(Writer::Idle);
                let is_there = needs == session || self.index.contains(&needs);
                let looks = safeguards.writer_looks && self.shrunk > base;
                if !self.fenced.contains(&session) && (!looks || is_there) {
                    world.newest += 1;
                    world.snapshots.insert(session, needs);
                    world.committed.insert(session);
                    if needs == session {
                        world.index.insert(needs);
                    }
                }
                next.push(world);
            }
        }
    }

    fn prune(&self, safeguards: Safeguards, next: &mut Vec<Self>) {
        let turned = |state: Pruner| self.with(|world| world.pruner = state);
        match self.pruner.clone() {
            Pruner::Idle if self.prunes < PRUNES => {
                // Some snapshot is forgotten first, or none.
                let forgets = self.snapshots.keys().copied().map(Some).chain([None]);
                for forgotten in forgets {
                    let mut world = turned(Pruner::Listed { packs: self.packs.clone() });
                    world.prunes += 1;
                    if let Some(session) = forgotten {
                        world.snapshots.remove(&session);
                        world.newest += 1;
                    }
                    next.push(world);
                }
            }
            Pruner::Idle => {}
            Pruner::Listed { packs } => {
                let needed: BTreeSet<Pack> = self.snapshots.values().copied().collect();
                let fresh = |pack: &&Pack| !needed.contains(pack) && !self.condemned.contains_key(pack);
                let condemn: BTreeSet<Pack> = self.index.iter().filter(fresh).copied().collect();
                for fence in [BTreeSet::new(), self.open()] {
                    let waited_for: BTreeSet<Session> = self.open().difference(&fence).copied().collect();
                    let may_go = !safeguards.strays_wait || waited_for.is_empty();
                    let strays = packs.iter().filter(|pack| may_go && !self.index.contains(pack)).copied().collect();
                    next.push(turned(Pruner::Planned { condemn: condemn.clone(), fence, strays }));
                }
            }
            Pruner::Planned { condemn, fence, strays } => {
                let mut world = turned(Pruner::Fenced { condemn, strays });
                if !fence.is_empty() {
                    world.newest += 1;
                    world.fenced.extend(fence);
                }
                next.push(world);
            }
            Pruner::Fenced { condemn, strays } => {
                let mut world = turned(Pruner::Condemned { strays });
                if !condemn.is_empty() {
                    world.newest += 1;
                    let number = world.newest;
                    world.condemned.extend(condemn.into_iter().map(|pack| (pack, number)));
                }
                next.push(world);
            }
            Pruner::Condemned { strays } => {
                let (needed, open) = (self.snapshots.values().copied().collect::<BTreeSet<_>>(), self.open());
                let waits = |commit: u8| open.iter().any(|session| self.records[session] < commit);
                let unneeded = || self.condemned.iter().filter(|(pack, _)| !needed.contains(pack));
                let asked: BTreeSet<Session> = self.snapshots.keys().copied().collect();
                // To wait is a courtesy: it is not extended to sessions that rest, which may be at work again.
                let patient = unneeded().filter(|(_, commit)| !waits(**commit)).map(|(pack, _)| *pack).collect();
                let impatient = unneeded().map(|(pack, _)| *pack).collect();
                for sweep in [patient, impatient] {
                    next.push(turned(Pruner::Marked { sweep, asked: asked.clone(), strays: strays.clone() }));
                }
            }
            Pruner::Marked { sweep, asked, strays } => {
                let is_overtaken = self.snapshots.keys().any(|session| !asked.contains(session));
                if safeguards.sweep_looks && is_overtaken {
                    return next.push(turned(Pruner::Condemned { strays }));
                }
                let mut world = turned(Pruner::Swept { sweep: sweep.clone(), strays });
                if !sweep.is_empty() {
                    world.newest += 1;
                    world.shrunk = world.newest;
                    world.index.retain(|pack| !sweep.contains(pack));
                    world.condemned.retain(|pack, _| !sweep.contains(pack));
                }
                next.push(world);
            }
            Pruner::Swept { sweep, strays } => {
                let mut world = turned(Pruner::DeletingStrays { strays });
                world.packs.retain(|pack| !sweep.contains(pack));
                next.push(world);
            }
            Pruner::DeletingStrays { strays } => {
                let goes =
                    |pack: &Pack| strays.contains(pack) && !(safeguards.strays_look && self.index.contains(pack));
                let mut world = turned(Pruner::Idle);
                world.packs.retain(|pack| !goes(pack));
                let open = self.open();
                world.records.retain(|session, _| open.contains(session));
                next.push(world);
            }
        }
    }

    /// Somebody is gone; their records stay.
    fn crash(&self, next: &mut Vec<Self>) {
        if self.crashes == CRASHES {
            return;
        }
        for writer in (0..WRITERS).filter(|writer| self.writers[*writer] != Writer::Idle) {
            next.push(self.with(|world| (world.writers[writer], world.crashes) = (Writer::Idle, self.crashes + 1)));
        }
        if self.pruner != Pruner::Idle {
            next.push(self.with(|world| (world.pruner, world.crashes) = (Pruner::Idle, self.crashes + 1)));
        }
    }
}

/// Explores everything; says how many states there are, or what was lost.
fn explore(safeguards: Safeguards) -> Result<usize, String> {
    let mut seen = HashSet::from([World::new()]);
    let mut waiting = VecDeque::from([World::new()]);
    while let Some(world) = waiting.pop_front() {
        if let Some(fault) = world.fault() {
            return Err(fault);
        }
        for next in world.next(safeguards) {
            if !seen.contains(&next) {
                seen.insert(next.clone());
                waiting.push_back(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn no_interleaving_loses_anything() {
    let states = explore(ALL).unwrap();
    assert!(states > 100_000, "only {states} states");
}

#[test]
fn each_safeguard_is_needed() {
    let without = [
        Safeguards { writer_looks: false, ..ALL },
        Safeguards { sweep_looks: false, ..ALL },
        Safeguards { strays_look: false, ..ALL },
        Safeguards { strays_wait: false, ..ALL },
    ];
    for safeguards in without {
        assert!(explore(safeguards).is_err(), "nothing is lost with {safeguards:?}");
    }
}
