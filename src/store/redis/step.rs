//! A step of a partition's owner: rows are loaded, lent to `effect`, and what
//! changed is written by one script.
//!
//! Places in the order of events are taken by the script, since whoever marks
//! something read takes one too; until then a step counts with stand-ins (see
//! [`Place`]).
//!
//! A step whose answer is lost is sent again: the script knows the number and the
//! name of the last step and answers for it without writing. A copy that arrives
//! late finds that another step came before, or a newer token. A step that does
//! not follow the last one, though nothing was forgotten since that was answered,
//! tells that the store went back (see `owner`).

use std::collections::{BTreeMap, HashMap};

use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::books::Books;
use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::delivery::{Endpoint, MessageState};
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, Epoch, MessageId, PartitionId, RouteId};
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::ledger::Run;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Step, StoreError};

use super::RedisStore;
use super::base::{TRIES, overtaken};
use super::batch::{Applied, Batch, Claimed, Place};
use super::key;
use super::link::went_back;
use super::owner::Owned;
use super::row::{Held, Holder};
use crate::store::check_walk;
use crate::store::effect::{self, Cell, Rows, Waiting};
use crate::store::index::Indexed;
use crate::store::ledger::{Piece, Publication, encode_shown};

mod load;
mod write;

pub(super) use load::untaken;

/// Journal entries removed in one step, of all lanes together: keeps a script
/// short. A checkpoint further on is reached by the steps that follow; entries
/// it has passed are `done`, so that nothing is repeated meanwhile.
const REMOVED_AT_ONCE: u64 = 65_536;

/// A record to be changed.
struct Record {
    cell: Cell<Citizen>,
    ordinal: u32,
    /// Its revision as stored.
    before: u64,
}

/// A run to be changed, and its row as stored.
struct Stored {
    cell: Cell<Piece>,
    member: Option<Vec<u8>>,
}

/// A due entry but for its time, which can change.
#[derive(PartialEq, Eq, Hash)]
struct Entry {
    route: RouteId,
    lane: Lane,
    published: u64,
    message: MessageId,
    endpoint: Endpoint,
}

/// The rows of a step while it is put together.
#[derive(Default)]
struct Draft {
    partition: u16,
    /// None: the partition does not hold the message.
    states: HashMap<MessageId, Option<Cell<MessageState>>>,
    /// Recipients of messages that are in an inbox.
    recipients: HashMap<MessageId, u32>,
    books: Books,
    residents: HashMap<FiscalCode, u32>,
    citizens: HashMap<FiscalCode, Record>,
    /// Pending requests to be deleted: written (true) or removed.
    deletions: HashMap<(Millis, FiscalCode), bool>,
    loose: Vec<(AddressId, Holder)>,
    cursors: HashMap<(MessageId, Walk), Cell<Cursor>>,
    pieces: BTreeMap<(MessageId, Walk, u32), Stored>,
    /// Due entries: when, or removed.
    due: HashMap<Entry, Option<Millis>>,
    /// New inbox entries: whose, where, what, when.
    entries: Vec<(u32, Place, MessageId, Millis)>,
    /// New rows of the inbox's index: of which block, where, what.
    shown: Vec<(u32, Place, Vec<u8>)>,
    /// Places taken.
    taken: u64,
}

impl RedisStore {
    pub(super) async fn commit_step(
        &self,
        id: PartitionId,
        epoch: Epoch,
        step: Step,
    ) -> Result<(), StoreError> {
        let space = self.check(id)?;
        let mut memory = self.owners[usize::from(id.0)].lock().await;
        for _ in 0..TRIES {
            let mut owned = self.owned(id, epoch, &mut memory).await?;
            for effect in &step.effects {
                if let Effect::Walked { walk, cursor, run, changed, .. } = effect {
                    check_walk(walk, cursor, run.as_ref(), changed)?;
                }
            }
            let mut draft = self.load_draft(id.0, &owned, &step.effects).await?;
            for effect in step.effects.iter().cloned() {
                effect::apply(&mut draft, effect, step.at);
            }
            let passed = self.passed(id.0, &mut owned, &step.checkpoints, REMOVED_AT_ONCE).await?;
            let claimed = Claimed { token: self.token(epoch), step: owned.step };
            let mut batch = Batch::step(space, claimed);
            check_tails(space, &mut batch, &owned);
            draft.write(space, &owned, &mut batch)?;
            remove_passed(space, &mut batch, &passed);
            match self.apply_step(space, batch, owned.run).await? {
                Applied::Conflict => {}
                Applied::OutOfStep if owned.is_new => {}
                Applied::OutOfStep | Applied::WentBack => return Err(went_back()),
                Applied::Fenced => return Err(StoreError::Fenced(id)),
                Applied::Done(before) => {
                    for (lane, reached) in passed {
                        owned.checkpoints[lane] = reached;
                    }
                    let loose = draft.settle(&mut owned, before);
                    owned.step += 1;
                    memory.stepped(owned.step)?;
                    memory.owned = Some(owned);
                    drop(memory);
                    self.release(id.0, &loose).await;
                    return Ok(());
                }
            }
        }
        Err(overtaken())
    }

    /// How far each checkpoint moves when it is asked to be at `checkpoints`,
    /// and no more than `most` entries are removed.
    pub(super) async fn passed(
        &self,
        partition: u16,
        owned: &mut Owned,
        checkpoints: &ByLane<u64>,
        mut most: u64,
    ) -> Result<Vec<(Lane, u64)>, StoreError> {
        let beyond = checkpoints.iter().any(|(lane, wanted)| *wanted > owned.tails[lane]);
        if beyond {
            owned.tails = self.tails(partition, owned.run).await?;
        }
        let mut passed = Vec::new();
        for (lane, wanted) in checkpoints.iter() {
            let stands = owned.checkpoints[lane];
            let reached = (*wanted).min(owned.tails[lane]).min(stands.saturating_add(most));
            if reached > stands {
                most -= reached - stands;
                passed.push((lane, reached));
            }
        }
        Ok(passed)
    }
}

/// Has the journals reach as far as they did: the turns of what they held are
/// taken.
pub(super) fn check_tails(space: &key::Space, batch: &mut Batch, owned: &Owned) {
    for (lane, tail) in owned.tails.iter().filter(|(_, tail)| **tail > 0) {
        batch.check_not_before(&space.counters(), &key::tail(lane), *tail);
    }
}

/// Moves checkpoints and removes what they pass.
pub(super) fn remove_passed(space: &key::Space, batch: &mut Batch, passed: &[(Lane, u64)]) {
    for (lane, reached) in passed {
        let (field, place) = (key::checkpoint(*lane), reached.to_string());
        batch.run("HSET", &space.counters(), &[field.as_bytes(), place.as_bytes()]);
        let first_kept = format!("{}-0", reached.saturating_add(1));
        batch.run("XTRIM", &space.journal(*lane), &[b"MINID", first_kept.as_bytes()]);
    }
}

impl Rows for Draft {
    fn state(&mut self, id: MessageId) -> Option<&mut Cell<MessageState>> {
        self.states.get_mut(&id)?.as_mut()
    }

    fn books(&mut self) -> &mut Books {
        &mut self.books
    }

    fn is_resident(&mut self, citizen: &FiscalCode) -> bool {
        self.residents.contains_key(citizen)
    }

    fn next_place(&mut self) -> u64 {
        self.taken += 1;
        Place::taken(self.taken)
    }

    fn publish(&mut self, citizen: &FiscalCode, message: MessageId, at: &Publication) {
        let Some(&ordinal) = self.residents.get(citizen) else { return };
        self.recipients.insert(message, ordinal);
        self.entries.push((ordinal, Place::of(at.sequence), message, at.published_at));
    }

    fn set_due(&mut self, waiting: Waiting, live: bool) {
        let Waiting { lane, due, published, message, endpoint, route } = waiting;
        let entry = Entry { route, lane, published, message, endpoint };
        self.due.insert(entry, live.then_some(due));
    }

    fn citizen(&mut self, code: &FiscalCode) -> Option<&mut Cell<Citizen>> {
        self.citizens.get_mut(code).map(|record| &mut record.cell)
    }

    fn reindex(&mut self, code: &FiscalCode, before: Indexed, after: Indexed) {
        let Some(record) = self.citizens.get(code) else { return };
        if let Some(address) = before.address.filter(|_| before.address != after.address) {
            let (partition, ordinal, revision) = (self.partition, record.ordinal, record.before);
            self.loose.push((address, Holder { partition, ordinal, revision }));
        }
        if before.deletion != after.deletion {
            let changed = [(before.deletion, false), (after.deletion, true)];
            let changed = changed.into_iter().filter_map(|(due, live)| Some(((due?, *code), live)));
            self.deletions.extend(changed);
        }
    }

    fn cursor(&mut self, alert: MessageId, walk: &Walk) -> Option<&mut Cell<Cursor>> {
        self.cursors.get_mut(&(alert, walk.clone()))
    }

    fn piece(&mut self, alert: MessageId, walk: &Walk, ordinal: u32) -> Option<&mut Cell<Piece>> {
        let (from, to) = ((alert, walk.clone(), 0), (alert, walk.clone(), ordinal));
        self.pieces.range_mut(from..=to).next_back().map(|(_, stored)| &mut stored.cell)
    }

    fn add_piece(&mut self, alert: MessageId, walk: &Walk, piece: Piece) {
        let at = (alert, walk.clone(), piece.run.first);
        let member = self.pieces.remove(&at).and_then(|replaced| replaced.member);
        self.pieces.insert(at, Stored { cell: Cell::written(piece), member });
    }

    fn show(&mut self, alert: MessageId, publication: &Publication, members: &Run) {
        let row = encode_shown(alert, publication.published_at, members);
        self.shown.push((members.first, Place::of(publication.sequence), row));
    }
}

impl Draft {
    /// Puts what was written into what is remembered; `before` is the place
    /// before the first one taken. What is left to release.
    fn settle(self, owned: &mut Owned, before: u64) -> Vec<(AddressId, Holder)> {
        owned.books = self.books;
        for (id, cell) in self.states {
            let Some(Cell { value: mut state, .. }) = cell else { continue };
            state.published = Place::settled(state.published, before);
            let ordinal = self.recipients.get(&id).copied();
            owned.states.insert(id, Held { state, ordinal });
        }
        for (code, ordinal) in self.residents {
            owned.residents.insert(code, ordinal);
        }
        for (at, cell) in self.cursors {
            owned.cursors.insert(at, cell.value);
        }
        owned.routes.extend(self.due.into_keys().map(|entry| entry.route));
        self.loose
    }
}
