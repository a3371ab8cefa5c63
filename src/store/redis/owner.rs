//! What the owner of a partition remembers of it between two steps.
//!
//! Only the owner writes states, books, cursors and checkpoints, so what it
//! wrote last is what is stored, as long as its token is the newest; and the
//! script that writes a step looks at the token first, then at the number of the
//! step before. So a step is usually made without reading anything. Whatever is
//! not certain to have been written is forgotten, and read again.
//!
//! What outlives that is [`Known`]: the run of the server that gave the epoch, the
//! last step that was answered, and how far the journals reached. A store that
//! has less went back to an earlier state while the token stayed valid: a master
//! was replaced or restarted, and lost what it had not passed on. What was told
//! of it is then not to be built on, so every further step under this epoch is
//! refused, and the partition must be taken over anew.
//!
//! One step at a time: the lock around it is held from its reads to its answer.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::books::Books;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{Epoch, MessageId, PartitionId, RouteId};
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::port::store::StoreError;

use super::RedisStore;
use super::base::command;
use super::key;
use super::link::{Run, went_back};
use super::reply;
use super::row::Held;
use crate::store::codec::decode;

/// Rows remembered of each kind, twice over: at most, and at least however many
/// partitions share [`IN_ALL`].
const REMEMBERED: usize = 1_024;
const LEAST: usize = 64;
/// Rows remembered of each kind in all partitions.
const IN_ALL: usize = 65_536;

/// Values used lately: the newest `most`, and up to as many that were before
/// them.
pub(super) struct Recent<K, V> {
    most: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self::of(REMEMBERED)
    }
}

impl<K, V> Recent<K, V> {
    fn of(most: usize) -> Self {
        Self { most, young: HashMap::new(), old: HashMap::new() }
    }

    /// One of a partition among `count`.
    fn among(count: u16) -> Self {
        Self::of((IN_ALL / usize::from(count.max(1))).clamp(LEAST, REMEMBERED))
    }
}

impl<K: Eq + Hash, V> Recent<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.most && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// What is known to be stored, as long as the epoch lasts.
pub(super) struct Known {
    epoch: Epoch,
    /// Who gave it.
    run: Run,
    /// The last step that was answered.
    step: u64,
    /// The journals reach at least so far.
    tails: ByLane<u64>,
}

impl Known {
    /// What is known when `run` has just given an epoch.
    pub(super) fn begin(epoch: Epoch, run: Run) -> Self {
        Self { epoch, run, step: 0, tails: ByLane::default() }
    }

    /// Notes what was read, or answered.
    ///
    /// # Errors
    /// The store has less than before.
    pub(super) fn learn(&mut self, step: u64, tails: &ByLane<u64>) -> Result<(), StoreError> {
        self.learn_tails(tails)?;
        if step < self.step {
            return Err(went_back());
        }
        self.step = step;
        Ok(())
    }

    fn learn_tails(&mut self, tails: &ByLane<u64>) -> Result<(), StoreError> {
        tails.iter().try_for_each(|(lane, tail)| self.learn_tail(lane, *tail))
    }

    /// Notes how far a journal reaches.
    ///
    /// # Errors
    /// Less far than before.
    pub(super) fn learn_tail(&mut self, lane: Lane, tail: u64) -> Result<(), StoreError> {
        if tail < self.tails[lane] {
            return Err(went_back());
        }
        self.tails[lane] = tail;
        Ok(())
    }
}

/// What this process remembers of a partition.
#[derive(Default)]
pub(super) struct Memory {
    /// None: to be read again.
    pub(super) owned: Option<Owned>,
    /// None: it was never taken over.
    pub(super) known: Option<Known>,
}

impl Memory {
    /// The run that may be asked about the partition; none: any.
    pub(super) fn run(&self) -> Option<Run> {
        self.known.as_ref().map(|known| known.run)
    }

    /// Notes a step that was answered.
    ///
    /// # Errors
    /// The store has less than before.
    pub(super) fn stepped(&mut self, step: u64) -> Result<(), StoreError> {
        let Some(known) = &mut self.known else { return Ok(()) };
        let tails = known.tails;
        known.learn(step, &tails)
    }
}

/// Rows of the owner, as they are stored after its last step.
pub(super) struct Owned {
    pub(super) epoch: Epoch,
    /// Who told it.
    pub(super) run: Run,
    /// Read for the step under way: nothing was told of it yet.
    pub(super) is_new: bool,
    /// Number of the last step.
    pub(super) step: u64,
    pub(super) books: Books,
    pub(super) checkpoints: ByLane<u64>,
    /// As last read: the journals reach at least so far.
    pub(super) tails: ByLane<u64>,
    pub(super) states: Recent<MessageId, Held>,
    /// Ordinals of citizens who are known.
    pub(super) residents: Recent<FiscalCode, u32>,
    pub(super) cursors: Recent<(MessageId, Walk), Cursor>,
    /// Routes that are listed already.
    pub(super) routes: HashSet<RouteId>,
}

impl RedisStore {
    /// The fencing token of an epoch.
    pub(super) fn token(&self, epoch: Epoch) -> String {
        format!("{}:{:032x}", epoch.0, self.incarnation)
    }

    /// What is remembered of a partition owned under `epoch`, or read if
    /// nothing is.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: somebody newer owns it.
    pub(super) async fn owned(
        &self,
        id: PartitionId,
        epoch: Epoch,
        memory: &mut Memory,
    ) -> Result<Owned, StoreError> {
        // Taken out: whatever happens before the answer, it is read again.
        if let Some(owned) = memory.owned.take().filter(|owned| owned.epoch == epoch) {
            return Ok(Owned { is_new: false, ..owned });
        }
        let known = memory.known.take_if(|known| known.epoch == epoch);
        let owned = self.load_owned(id, epoch, known.as_ref().map(|known| known.run)).await;
        let known = known.or_else(|| Some(Known::begin(epoch, owned.as_ref().ok()?.run)));
        // A failed look changes nothing of what is known.
        memory.known = known.or(memory.known.take());
        let owned = owned?;
        if let Some(known) = &mut memory.known {
            known.learn(owned.step, &owned.tails)?;
        }
        Ok(owned)
    }

    async fn load_owned(
        &self,
        id: PartitionId,
        epoch: Epoch,
        run: Option<Run>,
    ) -> Result<Owned, StoreError> {
        let space = self.check(id)?;
        let mut fields = vec!["own".to_owned(), "step".to_owned(), "books".to_owned()];
        fields.extend(Lane::ALL.map(key::checkpoint));
        fields.extend(Lane::ALL.map(key::tail));
        let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
        let look = command("HMGET", &space.counters(), &fields);
        let what = "the counters of a partition";
        let (answer, run) = self.read_of(space, look, run).await?;
        let mut rows = reply::rows(answer, what)?.into_iter();
        if rows.next().flatten() != Some(self.token(epoch).into_bytes()) {
            return Err(StoreError::Fenced(id));
        }
        let number = |row: Option<Option<Vec<u8>>>| match row.flatten() {
            None => Ok(0),
            Some(row) => reply::digits(&row).ok_or_else(|| reply::unexpected(what)),
        };
        let step = number(rows.next())?;
        let books = read_books(id.0, rows.next().flatten())?;
        let (mut checkpoints, mut tails) = (ByLane::default(), ByLane::default());
        for journals in [&mut checkpoints, &mut tails] {
            for lane in Lane::ALL {
                journals[lane] = number(rows.next())?;
            }
        }
        Ok(Owned {
            epoch,
            run,
            is_new: true,
            step,
            books,
            checkpoints,
            tails,
            states: Recent::among(self.count()),
            residents: Recent::among(self.count()),
            cursors: Recent::among(self.count()),
            routes: HashSet::new(),
        })
    }
}

/// The books a partition's owner keeps; messages accepted are not among them.
pub(super) fn read_books(partition: u16, row: Option<Vec<u8>>) -> Result<Books, StoreError> {
    let place = || format!("partition {partition}");
    row.map_or_else(|| Ok(Books::default()), |row| decode("books", &row, place))
}

#[cfg(test)]
mod tests {
    use super::{REMEMBERED, Recent};

    #[test]
    fn what_was_used_lately_is_remembered_and_no_more_than_that() {
        let mut recent = Recent::default();
        for n in 0..3 * REMEMBERED {
            recent.insert(n, n);
        }
        assert!(recent.young.len() + recent.old.len() <= 2 * REMEMBERED);
        assert_eq!(recent.get(&(3 * REMEMBERED - 1)), Some(&(3 * REMEMBERED - 1)));
        assert_eq!(recent.get(&(2 * REMEMBERED)), Some(&(2 * REMEMBERED)));
        assert_eq!(recent.get(&0), None);
    }
}
