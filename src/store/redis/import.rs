//! Taking in the rows of another store.
//!
//! While it lasts, the row of the format names what is moved in ([`MOVING`]) and
//! nobody can open the store; the note is removed as the last step, when
//! everything was counted. Every write can be repeated, so that a move that was
//! interrupted goes on with the partition it was at.
//!
//! Rows are written in groups, each for one slot, and each is answered before
//! the next one for any slot is sent: what is buffered is bounded by
//! [`BUFFERED`].

use redis::Cmd;
use std::collections::HashMap;
use std::time::Duration;

use araldo_actors::domain::books::MessageTotals;
use araldo_actors::domain::lane::Lane;
use araldo_actors::port::store::StoreError;

use super::accept::{Kind, done_claim};
use super::alert::walk_name;
use super::base::command;
use super::batch::{Applied, Batch};
use super::erase::record_row;
use super::key::Space;
use super::link::Ask;
use super::open::unavailable;
use super::options::{OpenError, RedisOptions};
use super::row::{self, Held, Holder};
use super::{FORMAT_VERSION, RedisStore, key, reply, script};
use crate::store::codec::encode;
use crate::store::index::Indexed;
use crate::store::ledger::BLOCK;
use crate::store::migrate::row::{Counters, Due, Entry, Row};

mod count;
mod wipe;

pub(in crate::store) use count::{Counter, Miscounted};

/// Field of the format: what is moved in, as its source names it.
pub(super) const MOVING: &[u8] = b"moving";
/// Field of the format: how many partitions are there already.
const MOVED: &[u8] = b"moved";

/// Commands and bytes of a group: a few milliseconds of Redis.
const GROUP_COMMANDS: usize = 256;
const GROUP_BYTES: usize = 256 << 10;
/// Commands buffered in all.
const BUFFERED: usize = 16_384;
/// What any operation may take: there is nobody who waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is in the way of a move.
pub(in crate::store) enum Obstacle {
    /// A store is there already, in these servers.
    Taken(String),
    /// A move of something else began there.
    Other(String),
    /// It cannot be reached.
    Open(OpenError),
}

#[derive(Default)]
struct Group {
    commands: Vec<Cmd>,
    bytes: usize,
}

/// A store that takes rows in.
pub(in crate::store) struct Target {
    store: RedisStore,
    moving: String,
    groups: HashMap<u16, Group>,
    buffered: usize,
}

impl Target {
    /// Begins a move into the store of `options`, or goes on with it: how many
    /// partitions are there already. With `over`, what an unfinished move left is
    /// removed first.
    pub(in crate::store) async fn begin(
        options: &RedisOptions,
        moving: String,
        over: bool,
    ) -> Result<(Self, u16), Obstacle> {
        let answered_within = options.answered_within.max(PATIENCE);
        let confirmed_within = options.confirmed_within.max(PATIENCE / 2);
        let options = RedisOptions { answered_within, confirmed_within, ..options.clone() };
        let store = RedisStore::connect(&options).await.map_err(Obstacle::Open)?;
        let mut target = Self { store, moving, groups: HashMap::new(), buffered: 0 };
        if over {
            target.wipe().await?;
        }
        let moved = target.mark(options.partitions).await?;
        Ok((target, moved))
    }

    fn open(&self, error: StoreError) -> Obstacle {
        Obstacle::Open(unavailable(self.store.link.at(), error))
    }

    /// Notes what is moved in, unless that was done; partitions already there.
    async fn mark(&self, partitions: u16) -> Result<u16, Obstacle> {
        let (space, format) = (&self.store.all, self.store.all.format());
        let (version, count) = (FORMAT_VERSION.to_string(), partitions.to_string());
        let mut batch = Batch::new(space);
        batch.check_field(&format, b"version", b"");
        let fields: [&[u8]; 6] = [
            b"version",
            version.as_bytes(),
            b"partitions",
            count.as_bytes(),
            MOVING,
            self.moving.as_bytes(),
        ];
        batch.run("HSET", &format, &fields);
        let applied = self.store.apply(space, batch).await.map_err(|error| self.open(error))?;
        if let Applied::Done(_) = applied {
            return Ok(0);
        }
        let [found, stored, moved] = self.notes().await.map_err(|error| self.open(error))?;
        let number = |row: Option<Vec<u8>>| row.and_then(|row| reply::digits(&row)).unwrap_or(0);
        let number = |row| u16::try_from(number(row)).unwrap_or(u16::MAX);
        match found {
            None => Err(Obstacle::Taken(self.store.link.at())),
            Some(found) if found == self.moving.as_bytes() && number(stored) == partitions => {
                Ok(number(moved))
            }
            Some(_) => Err(Obstacle::Other(self.store.link.at())),
        }
    }

    /// What is moved in, the number of partitions, and how many are there.
    async fn notes(&self) -> Result<[Option<Vec<u8>>; 3], StoreError> {
        let what = "the format of a store";
        let look = command("HMGET", &self.store.all.format(), &[MOVING, b"partitions", MOVED]);
        let rows = reply::rows(self.store.read_one(&self.store.all, look).await?, what)?;
        rows.try_into().map_err(|_| reply::unexpected(what))
    }

    /// Notes that all partitions below `next` are there.
    pub(in crate::store) async fn note(&mut self, next: u16) -> Result<(), StoreError> {
        self.flush().await?;
        let next = next.to_string();
        let note = command("HSET", &self.store.all.format(), &[MOVED, next.as_bytes()]);
        self.store.write(&self.store.all, note).await.map(drop)
    }

    /// Ends the move: all nodes share `secret`, and from now on the store can be
    /// opened.
    pub(in crate::store) async fn finish(
        mut self,
        secret: Option<[u8; 32]>,
    ) -> Result<(), StoreError> {
        self.flush().await?;
        if let Some(secret) = secret
            && self.store.shared_secret(secret).await? != secret
        {
            let what = "another secret is there than that of the store moved in";
            return Err(StoreError::Damaged(what.to_owned()));
        }
        let format = self.store.all.format();
        let done = command("HDEL", &format, &[MOVED, MOVING]);
        self.store.write(&self.store.all, done).await.map(drop)
    }

    /// Writes what is buffered.
    pub(in crate::store) async fn flush(&mut self) -> Result<(), StoreError> {
        let mut slots: Vec<u16> = self.groups.keys().copied().collect();
        slots.sort_unstable();
        for slot in slots {
            self.send(slot).await?;
        }
        Ok(())
    }

    async fn send(&mut self, slot: u16) -> Result<(), StoreError> {
        let Some(Group { commands, .. }) = self.groups.remove(&slot) else { return Ok(()) };
        self.buffered -= commands.len();
        let space = self.store.spaces.iter().find(|space| space.slot() == slot);
        let pulse = space.unwrap_or(&self.store.all).pulse();
        let (run, deadline) = (None, None);
        let ask = Ask { slot, commands, pulse, confirmed: true, run, deadline };
        self.store.link.write(ask).await.map(drop)
    }

    async fn add(&mut self, slot: u16, one: Cmd) -> Result<(), StoreError> {
        let group = self.groups.entry(slot).or_default();
        group.bytes += one.get_packed_command().len();
        group.commands.push(one);
        self.buffered += 1;
        if group.commands.len() >= GROUP_COMMANDS || group.bytes >= GROUP_BYTES {
            self.send(slot).await?;
        }
        if self.buffered >= BUFFERED {
            self.flush().await?;
        }
        Ok(())
    }

    /// Takes a row of a partition in; of those that all share, `partition` is
    /// not looked at.
    pub(in crate::store) async fn put(
        &mut self,
        partition: u16,
        row: Row,
    ) -> Result<(), StoreError> {
        for (slot, one) in self.commands(partition, row)? {
            self.add(slot, one).await?;
        }
        Ok(())
    }

    fn commands(&self, partition: u16, row: Row) -> Result<Vec<(u16, Cmd)>, StoreError> {
        let (all, space) = (&self.store.all, self.store.space(partition));
        Ok(match row {
            Row::Registered(field, row) => {
                vec![(all.slot(), command("HSET", &all.registry(), &[&field, &row]))]
            }
            Row::Alert(record) => {
                let (id, mut row) = (record.alert.id.to_bytes(), Vec::new());
                encode("alerts", &*record, &mut row)?;
                let mut commands = vec![
                    command("HSET", &all.alerts(), &[&id, &row]),
                    command("ZADD", &all.alert_ids(), &[b"0", &id]),
                ];
                if !record.status.is_final() {
                    commands.push(command("ZADD", &all.open_alerts(), &[b"0", &id]));
                }
                in_slot(all, commands)
            }
            Row::Claim { scope, claim, is_alert } => {
                let kind = if is_alert { Kind::Alert } else { Kind::Message };
                let (space, at) = (self.store.by_hash(&scope), key::score(claim.at));
                let row = done_claim(kind, &claim)?;
                let commands = vec![
                    command("HSET", &space.claims(), &[&scope, &row]),
                    command("ZADD", &space.claims_by_time(), &[at.as_bytes(), &scope]),
                ];
                in_slot(space, commands)
            }
            Row::Erasure(record) => {
                let space = self.store.by_hash(&record.subject);
                let ((field, row), at) = (record_row(&record)?, key::score(record.erased_at));
                let commands = vec![
                    command("HSET", &space.erasures(), &[&field, &row]),
                    command("ZADD", &space.erasures_by_time(), &[at.as_bytes(), &field]),
                ];
                in_slot(space, commands)
            }
            Row::Citizen(ordinal, citizen) => {
                let (mut commands, number) = (Vec::new(), ordinal.to_be_bytes());
                let row = row::citizen(&citizen)?;
                commands.push((space.slot(), command("HSET", &space.citizens(), &[&number, &row])));
                let Indexed { address, deletion } = Indexed::of(&citizen);
                if let Some(due) = deletion {
                    let (due, code) = (key::score(due), citizen.fiscal_code.as_bytes().as_slice());
                    let index = command("ZADD", &space.deletions(), &[due.as_bytes(), code]);
                    commands.push((space.slot(), index));
                }
                if let Some(address) = address {
                    let holder = Holder { partition, ordinal, revision: citizen.revision };
                    let there = self.store.of_address(address);
                    let row = holder.to_bytes();
                    let index = command("HSET", &there.addresses(), &[&address.0, &row]);
                    commands.push((there.slot(), index));
                }
                commands
            }
            row => in_slot(space, of_partition(space, row)?),
        })
    }
}

fn in_slot(space: &Space, commands: Vec<Cmd>) -> Vec<(u16, Cmd)> {
    commands.into_iter().map(|one| (space.slot(), one)).collect()
}

/// A value behind its place.
fn placed(place: u64, row: &[u8]) -> Vec<u8> {
    [place.to_be_bytes().as_slice(), row].concat()
}

/// Rows that lie in their partition alone.
fn of_partition(space: &Space, row: Row) -> Result<Vec<Cmd>, StoreError> {
    Ok(match row {
        Row::Counters(counters) => vec![counters_row(space, &counters)?],
        Row::Ordinal(code, ordinal) => {
            vec![command("HSET", &space.index(), &[code.as_bytes(), &ordinal.to_be_bytes()])]
        }
        // Its place in the journal is of use only while it is there.
        Row::Message(id, row) => {
            vec![command("HSET", &space.messages(), &[&id.to_bytes(), &placed(0, &row)])]
        }
        Row::State(id, state, ordinal) => {
            let place = state.published;
            let row = placed(place, &Held { state: *state, ordinal }.encode()?);
            vec![command("HSET", &space.states(), &[&id.to_bytes(), &row])]
        }
        Row::Entry(entry) => journal_rows(space, &entry),
        Row::Due(due) => due_rows(space, &due),
        Row::Inbox(ordinal, entry) => {
            let row = row::inbox(entry.message, entry.published_at, entry.marks);
            let (row, place) = (placed(entry.marked, &row), entry.sequence.to_string());
            vec![command("ZADD", &space.inbox(ordinal), &[place.as_bytes(), &row])]
        }
        Row::Change { ordinal, place, entry } => {
            let place = place.to_string();
            let entry = entry.to_be_bytes();
            vec![command("ZADD", &space.changes(ordinal), &[place.as_bytes(), &entry])]
        }
        Row::Addressed(code, id) => {
            vec![command("ZADD", &space.addressed(&code), &[b"0", &id.to_bytes()])]
        }
        Row::Cursor(alert, walk, cursor) => {
            let mut row = Vec::new();
            encode("cursors", &cursor, &mut row)?;
            let name = walk_name(&walk).as_bytes();
            vec![command("HSET", &space.cursors(alert), &[name, &row])]
        }
        Row::Piece(alert, walk, piece) => {
            let (first, mut row) = (piece.run.first.to_string(), row::piece(&piece));
            if let Some(publication) = piece.publication {
                row = placed(publication.sequence, &row);
            }
            let ledger = space.ledger(alert, walk_name(&walk));
            vec![command("ZADD", &ledger, &[first.as_bytes(), &row])]
        }
        Row::Shown(block, place, row) => {
            let (block, place) = (space.shown(block.saturating_mul(BLOCK)), place.to_string());
            vec![command("ZADD", &block, &[place.as_bytes(), &row])]
        }
        Row::Registered(..)
        | Row::Alert(_)
        | Row::Claim { .. }
        | Row::Erasure(_)
        | Row::Citizen(..) => Vec::new(),
    })
}

fn counters_row(space: &Space, counters: &Counters) -> Result<Cmd, StoreError> {
    let (mut books, mut encoded) = (counters.books, Vec::new());
    // Counted by the ends of the journals here.
    books.messages = MessageTotals { accepted: 0, ..books.messages };
    encode("books", &books, &mut encoded)?;
    let mut set = redis::cmd("HSET");
    set.arg(space.counters()).arg("books").arg(encoded);
    set.arg("epoch").arg(counters.epoch).arg("events").arg(counters.events);
    set.arg("ordinals").arg(counters.next_ordinal);
    for lane in Lane::ALL {
        set.arg(key::checkpoint(lane)).arg(counters.checkpoints[lane]);
        set.arg(key::tail(lane)).arg(counters.tails[lane]);
    }
    Ok(set)
}

fn journal_rows(space: &Space, entry: &Entry) -> Vec<Cmd> {
    let message = placed(entry.sequence, &entry.row);
    let mut place = script::call(&script::PLACE, &[space.journal(entry.lane)]);
    place.arg(format!("{}-0", entry.sequence.saturating_add(1)));
    place.arg(row::entry(entry.message, entry.checksum, &entry.recipient));
    vec![command("HSET", &space.messages(), &[&entry.message.to_bytes(), &message]), place]
}

fn due_rows(space: &Space, due: &Due) -> Vec<Cmd> {
    let member = placed(due.published, &row::due(due.message, due.endpoint, due.ordinal));
    let (at, route) = (key::score(due.due), due.route.as_str().as_bytes());
    vec![
        command("SADD", &space.routes(), &[route]),
        command("ZADD", &space.due(&due.route, due.lane), &[at.as_bytes(), &member]),
    ]
}
