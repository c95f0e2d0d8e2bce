//! The repository's linear history: numbered, signed, chained commits, folded into what is in force.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ObjectId, PublicKey, SessionId};

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// BLAKE3 of the object of the commit before.
    pub previous: Option<ObjectId>,
    /// When its writer made it, by the writer's clock.
    pub time: Timestamp,
    /// What it changes, in order.
    pub operations: Vec<Operation>,
}

/// A change to the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Operation {
    /// A backup is complete: its snapshot and new index runs count from now on, and its session is closed.
    AddSnapshot {
        /// The snapshot.
        snapshot: ObjectId,
        /// The session that wrote it.
        session: SessionId,
        /// Index runs of the packs that it wrote.
        index: Vec<ObjectId>,
    },
    /// Index runs were merged or rebuilt.
    ReplaceIndex {
        /// No longer in force.
        drop: Vec<ObjectId>,
        /// In force instead.
        add: Vec<ObjectId>,
    },
    /// A snapshot is forgotten, unless something holds it.
    DropSnapshot {
        /// Which.
        snapshot: ObjectId,
    },
    /// A snapshot must stay, whatever retention says.
    Hold {
        /// Which.
        snapshot: ObjectId,
        /// The name of the hold; the same name again replaces it.
        name: String,
        /// Why.
        reason: String,
        /// When it ends by itself; none: not before it is released.
        until: Option<Timestamp>,
    },
    /// A hold ends.
    Release {
        /// Of which snapshot.
        snapshot: ObjectId,
        /// Which hold.
        name: String,
        /// Why.
        reason: String,
    },
    /// New data keys are sealed to another public key.
    NewEpoch {
        /// Its number.
        epoch: u32,
        /// Its X25519 public key.
        public_key: PublicKey,
    },
    /// Sessions that begin after this treat the chunks of these packs as absent.
    Condemn {
        /// Which packs.
        packs: Vec<ObjectId>,
    },
    /// These packs are condemned no more: their bytes are right again.
    Reprieve {
        /// Which packs.
        packs: Vec<ObjectId>,
    },
    /// These condemned packs are deleted. Their names are never used again.
    Sweep {
        /// Which packs.
        packs: Vec<ObjectId>,
    },
    /// These packs and snapshots, which nothing refers to, are deleted. Their names are never used again.
    Discard {
        /// Which objects.
        objects: Vec<ObjectId>,
    },
    /// This session may no longer commit.
    Fence {
        /// Which session.
        session: SessionId,
    },
    /// Commits that this writer signs from now on are void; what it added before stays.
    RevokeWriter {
        /// Its Ed25519 public key.
        public_key: PublicKey,
    },
}

/// A snapshot in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Added {
    /// The snapshot.
    pub snapshot: ObjectId,
    /// The session that wrote it.
    pub session: SessionId,
    /// The commit that added it.
    pub commit: u64,
}

/// Why a snapshot must stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// When it began, by the clock of whoever asked for it.
    pub since: Timestamp,
}

impl Held {
    /// Whether it has not ended by itself.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// The history up to a commit, folded.
///
/// It is kept as it is, in the local cache and in checkpoints. So a new field has no default: what was folded without it is then folded anew from the commits. And a field that
/// is not known is a fault: a release that does not know what a commit meant must meet that commit, and not what a newer release made of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct History {
    /// Number of the newest commit; 0 when there is none.
    pub newest: u64,
    /// BLAKE3 of the newest commit's object.
    pub newest_object: Option<ObjectId>,
    /// BLAKE3 of the first commit's object: each copy of a repository has a history of its own, and this is its name.
    pub first_object: Option<ObjectId>,
    /// Snapshots in force, oldest commit first.
    pub snapshots: Vec<Added>,
    /// Index runs in force, oldest first.
    pub index: Vec<ObjectId>,
    /// Epochs after the first.
    pub epochs: BTreeMap<u32, PublicKey>,
    /// Condemned packs and the commit that condemned them.
    pub condemned: BTreeMap<ObjectId, u64>,
    /// The newest commit that took rows out of the index; 0 if none did. What was found there before may be gone.
    pub index_shrunk: u64,
    /// The newest commit that took names away for good, of packs or snapshots; 0 if none did.
    pub names_gone: u64,
    /// The holds of each snapshot in force, by name.
    pub holds: BTreeMap<ObjectId, BTreeMap<String, Held>>,
    /// Sessions whose snapshot was dropped since the last sweep, which deletes their records: they are not open.
    pub ended: BTreeSet<SessionId>,
    /// Sessions that may not commit.
    pub fenced: BTreeSet<SessionId>,
    /// Writers whose commits are void, and since which commit.
    pub revoked: BTreeMap<PublicKey, u64>,
}

/// Who signed a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// The admin key.
    Admin,
    /// A registered writer, with this key.
    Writer(PublicKey),
    /// Nobody whom the admin registered.
    Nobody,
}

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Its operations are in force.
    InForce,
    /// Its signer had no right to its operations: it takes its number and changes nothing. So no host can remove anything, nor stop the history for the others.
    Void,
}

/// A commit that cannot follow the ones before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCommit {
    /// The numbers do not follow each other.
    #[error("commit {found} follows commit {newest}")]
    Number {
        /// The number found.
        found: u64,
        /// The newest one known.
        newest: u64,
    },
    /// It names another predecessor.
    #[error("commit {0} does not continue the history before it")]
    Chain(u64),
}

impl History {
    /// Whether a snapshot is in force.
    #[must_use]
    pub fn has_snapshot(&self, id: &ObjectId) -> bool {
        self.snapshots.iter().any(|added| added.snapshot == *id)
    }

    /// The holds that keep a snapshot.
    pub fn holds_on(&self, snapshot: &ObjectId, now: Timestamp) -> impl Iterator<Item = (&str, &Held)> {
        let holds = self.holds.get(snapshot).into_iter().flatten();
        holds.filter(move |(_, held)| held.is_in_force(now)).map(|(name, held)| (name.as_str(), held))
    }

    /// Whether a signer has the right to a commit's operations.
    fn permits(&self, commit: &Commit, authority: Authority) -> bool {
        match authority {
            Authority::Admin => true,
            Authority::Writer(key) => {
                !self.revoked.contains_key(&key)
                    && commit.operations.iter().all(|operation| self.is_open_to_writers(operation))
            }
            Authority::Nobody => false,
        }
    }

    /// Whether a writer's signature is enough; everything but adding a backup removes or grants, and needs the admin's.
    fn is_open_to_writers(&self, operation: &Operation) -> bool {
        matches!(operation, Operation::AddSnapshot { session, .. } if !self.fenced.contains(session))
    }

    /// Folds the next commit in; `object` is the BLAKE3 of its object. On an error nothing has changed.
    pub fn apply(&mut self, commit: &Commit, object: ObjectId, authority: Authority) -> Result<Effect, BadCommit> {
        if commit.number != self.newest + 1 {
            return Err(BadCommit::Number { found: commit.number, newest: self.newest });
        }
        if commit.previous != self.newest_object {
            return Err(BadCommit::Chain(commit.number));
        }
        let permitted = self.permits(commit, authority);
        if permitted {
            commit.operations.iter().for_each(|operation| self.fold(operation, commit.number, commit.time));
        }
        self.newest = commit.number;
        self.newest_object = Some(object);
        self.first_object.get_or_insert(object);
        Ok(if permitted { Effect::InForce } else { Effect::Void })
    }

    fn fold(&mut self, operation: &Operation, number: u64, time: Timestamp) {
        match operation {
            Operation::AddSnapshot { snapshot, session, index } => {
                self.snapshots.push(Added { snapshot: *snapshot, session: *session, commit: number });
                self.index.extend(index);
            }
            Operation::ReplaceIndex { drop, add } => {
                if !drop.is_empty() {
                    self.index_shrunk = number;
                }
                self.index.retain(|run| !drop.contains(run));
                self.index.extend(add);
            }
            Operation::DropSnapshot { snapshot } => {
                self.names_gone = number;
                if self.holds_on(snapshot, time).next().is_none() {
                    let dropped = self.snapshots.extract_if(.., |added| added.snapshot == *snapshot);
                    self.ended.extend(dropped.map(|added| added.session));
                    self.holds.remove(snapshot);
                }
            }
            Operation::Hold { snapshot, name, reason, until } => {
                let held = Held { reason: reason.clone(), until: *until, since: time };
                self.holds.entry(*snapshot).or_default().insert(name.clone(), held);
            }
            Operation::Release { snapshot, name, .. } => {
                if let Some(holds) = self.holds.get_mut(snapshot) {
                    holds.remove(name);
                }
                self.holds.retain(|_, holds| !holds.is_empty());
            }
            Operation::NewEpoch { epoch, public_key } => {
                self.epochs.insert(*epoch, *public_key);
            }
            Operation::Condemn { packs } => self.condemned.extend(packs.iter().map(|pack| (*pack, number))),
            Operation::Reprieve { packs } => self.condemned.retain(|pack, _| !packs.contains(pack)),
            Operation::Sweep { packs } => {
                self.names_gone = number;
                self.condemned.retain(|pack, _| !packs.contains(pack));
                self.ended.clear();
            }
            Operation::Discard { .. } => self.names_gone = number,
            Operation::Fence { session } => {
                self.fenced.insert(*session);
            }
            Operation::RevokeWriter { public_key } => {
                self.revoked.insert(*public_key, number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(number: u64, previous: Option<ObjectId>, operations: Vec<Operation>) -> Commit {
        Commit { number, previous, time: Timestamp::UNIX_EPOCH, operations }
    }

    fn add(seed: u8) -> Operation {
        Operation::AddSnapshot {
            snapshot: ObjectId([seed; 32]),
            session: SessionId([seed; 16]),
            index: vec![ObjectId([seed + 100; 32])],
        }
    }

    #[test]
    fn commits_fold_in_order_and_only_in_order() {
        let mut history = History::default();
        let first = ObjectId([1; 32]);
        let writer = Authority::Writer(PublicKey([5; 32]));
        history.apply(&commit(1, None, vec![add(1), add(2)]), first, writer).unwrap();
        let cases = [
            (commit(3, Some(first), vec![]), BadCommit::Number { found: 3, newest: 1 }),
            (commit(2, None, vec![]), BadCommit::Chain(2)),
        ];
        for (bad, expect) in cases {
            assert_eq!(history.clone().apply(&bad, first, writer), Err(expect));
        }
        let drop = vec![Operation::DropSnapshot { snapshot: ObjectId([1; 32]) }];
        history.apply(&commit(2, Some(first), drop), ObjectId([9; 32]), Authority::Admin).unwrap();
        assert!(!history.has_snapshot(&ObjectId([1; 32])) && history.has_snapshot(&ObjectId([2; 32])));
        assert_eq!((history.newest, history.index.len()), (2, 2));
    }

    #[test]
    fn what_is_held_stays_until_the_hold_ends() {
        let object = ObjectId([1; 32]);
        let held = ObjectId([1; 32]);
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let hold = |until| Operation::Hold { snapshot: held, name: "case".into(), reason: "audit".into(), until };
        let release = Operation::Release { snapshot: held, name: "case".into(), reason: "closed".into() };
        let drop = || Operation::DropSnapshot { snapshot: held };
        let cases = [
            (vec![hold(None), drop()], true),
            (vec![hold(Some(at(11))), drop()], true),
            (vec![hold(Some(at(10))), drop()], false),
            (vec![hold(None), release, drop()], false),
        ];
        for (operations, stays) in cases {
            let mut history = History::default();
            history.apply(&commit(1, None, vec![add(1)]), object, Authority::Admin).unwrap();
            let next = Commit { time: at(10), ..commit(2, Some(object), operations.clone()) };
            history.apply(&next, object, Authority::Admin).unwrap();
            assert_eq!(history.has_snapshot(&held), stays, "{operations:?}");
            assert_eq!(history.holds.is_empty(), !stays);
        }
    }

    #[test]
    fn without_the_right_a_commit_is_void_and_the_history_goes_on() {
        let (key, object) = (PublicKey([5; 32]), ObjectId([1; 32]));
        let mut before = History::default();
        before.apply(&commit(1, None, vec![add(1)]), object, Authority::Admin).unwrap();
        let fence = Operation::Fence { session: SessionId([3; 16]) };
        let revoke = Operation::RevokeWriter { public_key: key };
        before.apply(&commit(2, Some(object), vec![fence]), object, Authority::Admin).unwrap();
        let mut revoked = before.clone();
        revoked.apply(&commit(3, Some(object), vec![revoke.clone()]), object, Authority::Admin).unwrap();
        let drop = Operation::DropSnapshot { snapshot: ObjectId([1; 32]) };
        let writer = Authority::Writer(key);
        let cases = [
            (&before, add(4), writer, Effect::InForce),
            (&before, add(3), writer, Effect::Void),
            (&before, add(4), Authority::Nobody, Effect::Void),
            (&before, drop, writer, Effect::Void),
            (&before, revoke, writer, Effect::Void),
            (&revoked, add(4), writer, Effect::Void),
        ];
        for (history, operation, authority, expect) in cases {
            let mut after = history.clone();
            let next = commit(history.newest + 1, Some(object), vec![operation.clone()]);
            assert_eq!(after.apply(&next, object, authority), Ok(expect), "{operation:?} by {authority:?}");
            assert_eq!((after.newest, after.has_snapshot(&ObjectId([1; 32]))), (history.newest + 1, true));
            assert_eq!(after.snapshots.len() > history.snapshots.len(), expect == Effect::InForce);
        }
    }
}
