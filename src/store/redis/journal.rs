//! Intake journals: taking a partition over, and reading what waits.
//!
//! A journal is a stream whose ids are the sequence, counted from 1 there. The
//! counters say where it begins and ends; an entry missing in between is
//! damage. Messages are compared with the checksum in their entry when they are
//! read for their turn: a partition taken over in the middle of a wave of
//! messages must not read all of them first.

use redis::Value;
use tokio::time::Instant;

use araldo_actors::domain::id::{Epoch, PartitionId};
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::port::store::{Arrival, Backlog, Journal, Opened, StoreError};

use super::RedisStore;
use super::base::command;
use super::owner::{Known, Memory, Owned};
use super::row;
use super::step::untaken;
use super::{key, reply, script};

/// Entries read by one script.
const ARRIVALS: usize = 128;
/// Entries counted by one script: about a millisecond.
const COUNTED: u64 = 1_000;
/// Routes listed at once.
const ROUTES: usize = 1_000;
/// Bytes of a fiscal code.
const CODE: usize = 16;

/// A takeover under way.
struct Tenure {
    id: PartitionId,
    epoch: Epoch,
    /// When its lease was last asked for.
    renewed: Instant,
}

/// Where an error lies.
fn damaged(partition: u16, lane: Lane, sequence: u64, what: &str) -> StoreError {
    StoreError::Damaged(format!(
        "journal of partition {partition}, {lane:?}, entry {sequence}: {what}"
    ))
}

/// The sequence in the id of a stream's entry.
fn sequence(id: &Value) -> Option<u64> {
    let Value::BulkString(id) = id else { return None };
    let (number, _) = std::str::from_utf8(id).ok()?.split_once('-')?;
    number.parse::<u64>().ok()?.checked_sub(1)
}

impl RedisStore {
    pub(super) async fn take_over(&self, id: PartitionId) -> Result<Opened, StoreError> {
        self.check(id)?;
        let mut memory = self.owners[usize::from(id.0)].lock().await;
        *memory = Memory::default();
        // Higher than any this process was given, whatever a failover lost.
        let lowest = self.epochs[usize::from(id.0)].load(std::sync::atomic::Ordering::Acquire) + 1;
        let began = Instant::now();
        let (epoch, run) = self.acquire(id, lowest).await?;
        self.epochs[usize::from(id.0)].store(epoch, std::sync::atomic::Ordering::Release);
        let epoch = Epoch(epoch);
        memory.known = Some(Known::begin(epoch, run));
        let opened = self.look_over(Tenure { id, epoch, renewed: began }, &mut memory).await;
        drop(memory);
        match opened {
            Ok(opened) => {
                self.release_loose(id.0).await;
                Ok(opened)
            }
            Err(error) => {
                // Nobody works on it: another may, or find the same at once.
                if let Err(error) = self.give_lease_back(id, epoch).await {
                    tracing::debug!(partition = id.0, %error, "a lease lapses by itself");
                }
                Err(error)
            }
        }
    }

    /// Looks a partition over that was just taken.
    async fn look_over(
        &self,
        mut tenure: Tenure,
        memory: &mut Memory,
    ) -> Result<Opened, StoreError> {
        let Tenure { id, epoch, .. } = tenure;
        let owned = self.owned(id, epoch, memory).await?;
        let mut journals = ByLane::default();
        for lane in Lane::ALL {
            journals[lane] = self.count_journal(&mut tenure, lane, &owned).await?;
        }
        let backlogs = self.backlogs(id.0).await?;
        memory.owned = Some(owned);
        Ok(Opened { epoch, journals, backlogs })
    }

    /// Renews the lease of a takeover that takes long.
    async fn stay(&self, tenure: &mut Tenure) -> Result<(), StoreError> {
        if self.lease.is_zero() || tenure.renewed.elapsed() < self.lease / 5 {
            return Ok(());
        }
        let began = Instant::now();
        if !self.renew_lease(tenure.id, tenure.epoch).await? {
            return Err(StoreError::Fenced(tenure.id));
        }
        tenure.renewed = began;
        Ok(())
    }

    /// Checks a journal, and counts the messages whose turn is not yet taken.
    async fn count_journal(
        &self,
        tenure: &mut Tenure,
        lane: Lane,
        owned: &Owned,
    ) -> Result<Journal, StoreError> {
        let partition = tenure.id.0;
        let (checkpoint, tail) = (owned.checkpoints[lane], owned.tails[lane]);
        let space = self.space(partition);
        let keys = [space.journal(lane), space.messages(), space.states()];
        let what = "the count of a journal";
        let (mut at, mut unprocessed) = (checkpoint, 0);
        while at < tail {
            self.stay(tenure).await?;
            let most = COUNTED.min(tail - at);
            let mut call = script::call(&script::COUNT, &keys);
            call.arg(format!("{}-0", at + 1)).arg(format!("{}-0", at + most)).arg(most);
            let (answer, _) = self.read_of(space, call, Some(owned.run)).await?;
            let mut parts = reply::list(answer, what)?.into_iter();
            let mut number = || reply::count(reply::next(&mut parts), what);
            let (entries, waiting, missing) = (number()?, number()?, number()?);
            let (first, last) = (reply::next(&mut parts), reply::next(&mut parts));
            let whole = entries == most
                && sequence(&first) == Some(at)
                && sequence(&last) == Some(at + most - 1);
            if !whole {
                return Err(damaged(partition, lane, at, "an entry after it is missing"));
            }
            if missing > 0 {
                return Err(damaged(partition, lane, at, "a message after it is missing"));
            }
            unprocessed += waiting;
            at += most;
        }
        Ok(Journal { checkpoint, tail, unprocessed })
    }

    /// Waiting deliveries of a partition, route by route, sorted by name.
    async fn backlogs(&self, partition: u16) -> Result<Vec<Backlog>, StoreError> {
        let space = self.space(partition);
        let mut backlogs = Vec::new();
        let mut routes = self.routes(partition).await?;
        routes.sort();
        for route in routes {
            let look = |lane| command("ZCARD", &space.due(&route, lane), &[]);
            let mut values = self.read(space, Lane::ALL.map(look).into()).await?;
            let mut pending = 0;
            for _ in Lane::ALL {
                pending += reply::count(reply::next(&mut values), "waiting deliveries")?;
            }
            if pending > 0 {
                backlogs.push(Backlog { route, pending });
            }
        }
        Ok(backlogs)
    }

    pub(super) async fn read_arrivals(
        &self,
        id: PartitionId,
        lane: Lane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        self.check(id)?;
        // Held while reading: what is remembered of the turns not taken is then
        // as new as any step.
        let mut memory = self.owners[usize::from(id.0)].lock().await;
        let (mut next, mut arrivals) = (from, Vec::new());
        while arrivals.len() < limit {
            let most = (limit - arrivals.len()).min(ARRIVALS);
            let found = self.some_arrivals((id.0, lane), next, most, &mut memory).await?;
            let count = found.len();
            arrivals.extend(found);
            if count < most {
                break;
            }
            next = arrivals.last().map_or(next, |last: &Arrival| last.sequence + 1);
        }
        Ok(arrivals)
    }

    async fn some_arrivals(
        &self,
        (partition, lane): (u16, Lane),
        from: u64,
        limit: usize,
        memory: &mut Memory,
    ) -> Result<Vec<Arrival>, StoreError> {
        let space = self.space(partition);
        let keys = [
            space.counters(),
            space.journal(lane),
            space.messages(),
            space.states(),
            space.index(),
            space.citizens(),
        ];
        let what = "entries of a journal";
        let mut call = script::call(&script::ARRIVALS, &keys);
        call.arg(lane.number()).arg(from).arg(limit).arg(CODE);
        let (answer, _) = self.read_of(space, call, memory.run()).await?;
        let mut parts = reply::list(answer, what)?.into_iter();
        let checkpoint = reply::count(reply::next(&mut parts), what)?;
        let tail = reply::count(reply::next(&mut parts), what)?;
        if let Some(known) = &mut memory.known {
            known.learn_tail(lane, tail)?;
        }
        let rows = reply::list(reply::next(&mut parts), what)?;
        let from = from.max(checkpoint);
        let expected = tail.saturating_sub(from).min(limit as u64);
        if rows.len() as u64 != expected {
            return Err(damaged(partition, lane, from, "an entry after it is missing"));
        }
        let mut owned = memory.owned.as_mut();
        if let Some(owned) = &mut owned {
            owned.tails[lane] = owned.tails[lane].max(tail);
        }
        (from..)
            .zip(rows)
            .map(|(sequence, row)| self.arrival((partition, lane, sequence), row, &mut owned))
            .collect()
    }

    fn arrival(
        &self,
        (partition, lane, place): (u16, Lane, u64),
        row: Value,
        owned: &mut Option<&mut Owned>,
    ) -> Result<Arrival, StoreError> {
        let damaged = |what: &str| damaged(partition, lane, place, what);
        let what = "an entry of a journal";
        let mut parts = reply::list(row, what)?.into_iter();
        if sequence(&reply::next(&mut parts)) != Some(place) {
            return Err(damaged("it is missing"));
        }
        let entry = reply::row(reply::next(&mut parts), what)?;
        let (id, checksum) = entry
            .and_then(|entry| row::read_entry(&entry))
            .ok_or_else(|| damaged("the row cannot be read"))?;
        let message = reply::row(reply::next(&mut parts), what)?
            .ok_or_else(|| damaged("its message is missing"))?;
        if crc32fast::hash(row::message_part(&message)) != checksum {
            return Err(damaged("its message does not match its checksum"));
        }
        let message = row::read_message(&message, id)?;
        let done = reply::count(reply::next(&mut parts), what)? == 1;
        let ordinal = reply::row(reply::next(&mut parts), what)?;
        let record = reply::row(reply::next(&mut parts), what)?;
        let citizen = self.numbered(partition, ordinal, record)?;
        if let Some(owned) = owned {
            if !done {
                owned.states.insert(id, untaken());
            }
            if let Some((ordinal, citizen)) = &citizen {
                owned.residents.insert(citizen.fiscal_code, *ordinal);
            }
        }
        let citizen = citizen.map(|(_, citizen)| citizen);
        Ok(Arrival { sequence: place, message, citizen, done })
    }

    /// Routes that ever had a due entry in a partition.
    pub(super) async fn routes(
        &self,
        partition: u16,
    ) -> Result<Vec<araldo_actors::domain::id::RouteId>, StoreError> {
        let space = self.space(partition);
        let found = self.scan(space, "SSCAN", &space.routes(), ROUTES).await?;
        let read = |name: Vec<u8>| {
            let name = std::str::from_utf8(&name).ok()?;
            araldo_actors::domain::id::RouteId::parse(name).ok()
        };
        found
            .into_iter()
            .map(|name| read(name).ok_or_else(|| reply::unexpected("the name of a route")))
            .collect()
    }

    /// All of a set's members, or a hash's fields and values, some at a time:
    /// each at least once, in no order.
    pub(super) async fn scan(
        &self,
        space: &key::Space,
        name: &str,
        key: &str,
        at_once: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let (mut cursor, mut found) = (b"0".to_vec(), Vec::new());
        loop {
            let count = at_once.to_string();
            let look = command(name, key, &[&cursor, b"COUNT", count.as_bytes()]);
            let mut parts = reply::list(self.read_one(space, look).await?, "a scan")?.into_iter();
            let next = reply::row(reply::next(&mut parts), "a scan")?;
            found.extend(reply::members(reply::next(&mut parts), "a scan")?);
            cursor = next.ok_or_else(|| reply::unexpected("a scan"))?;
            if cursor == b"0" {
                return Ok(found);
            }
        }
    }
}
