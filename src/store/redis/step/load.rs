//! Loading what a step names, as far as it is not remembered.

use redis::Cmd;
use std::collections::{BTreeSet, HashSet};

use araldo_actors::domain::alert::{Cursor, Walk};
use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::effect::Effect;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::lane::{ByLane, Lane};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;

use super::{Draft, Record, Stored};
use crate::store::codec::decode;
use crate::store::effect::Cell;
use crate::store::redis::RedisStore;
use crate::store::redis::alert::walk_name;
use crate::store::redis::base::command;
use crate::store::redis::link::Run;
use crate::store::redis::owner::Owned;
use crate::store::redis::row::{self, Held};
use crate::store::redis::{key, reply};

/// What the effects of a step name.
#[derive(Default)]
struct Named {
    messages: BTreeSet<MessageId>,
    /// Whose ordinal is needed.
    recipients: HashSet<FiscalCode>,
    /// Whose record is needed.
    records: HashSet<FiscalCode>,
    walks: BTreeSet<(MessageId, Walk)>,
    /// Where marks of earlier runs change.
    marks: BTreeSet<(MessageId, Walk, u32)>,
}

impl Named {
    fn by(effects: &[Effect]) -> Self {
        let mut named = Self::default();
        for effect in effects {
            match effect {
                Effect::Processed { message, citizen, .. } => {
                    named.messages.insert(*message);
                    named.recipients.insert(*citizen);
                }
                Effect::Rejected { message, .. }
                | Effect::Expired { message }
                | Effect::Quarantined { message, .. }
                | Effect::Settled { message, .. }
                | Effect::Deferred { message, .. } => {
                    named.messages.insert(*message);
                }
                Effect::DeviceDropped { citizen, .. } | Effect::AddressRefused { citizen, .. } => {
                    named.records.insert(*citizen);
                }
                Effect::Walked { alert, walk, changed, .. } => {
                    named.walks.insert((*alert, walk.clone()));
                    let marks = changed.iter().map(|(at, _)| (*alert, walk.clone(), *at));
                    named.marks.extend(marks);
                }
            }
        }
        named
    }
}

impl RedisStore {
    /// The rows that `effects` name.
    pub(super) async fn load_draft(
        &self,
        partition: u16,
        owned: &Owned,
        effects: &[Effect],
    ) -> Result<Draft, StoreError> {
        let named = Named::by(effects);
        let mut draft = Draft { partition, books: owned.books, ..Draft::default() };
        self.load_states(&mut draft, owned, named.messages).await?;
        self.load_recipients(&mut draft, owned, named.recipients).await?;
        let records: Vec<_> =
            named.records.into_iter().filter(|code| self.home(code) == partition).collect();
        let found = self.residents(partition, &records).await?;
        for (code, (ordinal, citizen)) in
            records.into_iter().zip(found).filter_map(|(code, found)| Some((code, found?)))
        {
            let before = citizen.revision;
            draft.citizens.insert(code, Record { cell: Cell::read(citizen), ordinal, before });
        }
        self.load_walks(&mut draft, owned, named.walks).await?;
        self.load_pieces(&mut draft, named.marks).await?;
        Ok(draft)
    }

    async fn load_states(
        &self,
        draft: &mut Draft,
        owned: &Owned,
        messages: BTreeSet<MessageId>,
    ) -> Result<(), StoreError> {
        let mut missing = Vec::new();
        for id in messages {
            match owned.states.get(&id) {
                Some(held) => draft.hold(id, Some(held.clone())),
                None => missing.push(id),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let space = self.space(draft.partition);
        let ids: Vec<[u8; 16]> = missing.iter().map(|id| id.to_bytes()).collect();
        let fields: Vec<&[u8]> = ids.iter().map(<[u8; 16]>::as_slice).collect();
        let mut looks = vec![command("HMGET", &space.states(), &fields)];
        let messages = space.messages();
        looks.extend(fields.iter().map(|id| command("HEXISTS", &messages, &[*id])));
        let mut values = self.read(space, looks).await?;
        let states = reply::rows(reply::next(&mut values), "states of messages")?;
        for (id, state) in missing.into_iter().zip(states) {
            let exists = reply::count(reply::next(&mut values), "messages")? == 1;
            let held = match state {
                Some(row) => Some(Held::read(&row, id)?),
                // Not written before the first change, which sets the time.
                None => exists.then(untaken),
            };
            draft.hold(id, held);
        }
        Ok(())
    }

    async fn load_recipients(
        &self,
        draft: &mut Draft,
        owned: &Owned,
        recipients: HashSet<FiscalCode>,
    ) -> Result<(), StoreError> {
        let mut missing = Vec::new();
        for code in recipients.into_iter().filter(|code| self.home(code) == draft.partition) {
            match owned.residents.get(&code) {
                Some(ordinal) => drop(draft.residents.insert(code, *ordinal)),
                None => missing.push(code),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let space = self.space(draft.partition);
        let fields: Vec<&[u8]> = missing.iter().map(|code| code.as_bytes().as_slice()).collect();
        let look = command("HMGET", &space.index(), &fields);
        let rows = reply::rows(self.read_one(space, look).await?, "ordinals")?;
        for (code, found) in missing.iter().zip(rows) {
            if let Some(ordinal) = found {
                draft.residents.insert(*code, row::read_ordinal(&ordinal)?);
            }
        }
        Ok(())
    }

    async fn load_walks(
        &self,
        draft: &mut Draft,
        owned: &Owned,
        walks: BTreeSet<(MessageId, Walk)>,
    ) -> Result<(), StoreError> {
        let mut missing = Vec::new();
        for at in walks {
            match owned.cursors.get(&at) {
                Some(cursor) => {
                    draft.cursors.insert(at, Cell::read(cursor.clone()));
                }
                None if self.has_alert(at.0).await? => missing.push(at),
                None => {}
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let space = self.space(draft.partition);
        let look = |(alert, walk): &(MessageId, Walk)| {
            command("HGET", &space.cursors(*alert), &[walk_name(walk).as_bytes()])
        };
        let mut values = self.read(space, missing.iter().map(look).collect()).await?;
        for at in missing {
            let found = reply::row(reply::next(&mut values), "a cursor")?;
            let place = || format!("partition {}, alert {}", draft.partition, at.0);
            let cursor: Option<Cursor> =
                found.map(|row| decode("cursors", &row, place)).transpose()?;
            draft.cursors.insert(at, Cell::read(cursor.unwrap_or_default()));
        }
        Ok(())
    }

    /// Loads the stored runs that may cover ordinals.
    async fn load_pieces(
        &self,
        draft: &mut Draft,
        marks: BTreeSet<(MessageId, Walk, u32)>,
    ) -> Result<(), StoreError> {
        if marks.is_empty() {
            return Ok(());
        }
        let space = self.space(draft.partition);
        let look = |(alert, walk, ordinal): &(MessageId, Walk, u32)| -> Cmd {
            let key = space.ledger(*alert, walk_name(walk));
            let mut look = redis::cmd("ZRANGE");
            look.arg(key).arg(*ordinal).arg("-inf").arg("BYSCORE").arg("REV");
            look.arg("LIMIT").arg(0).arg(1);
            look
        };
        let mut values = self.read(space, marks.iter().map(look).collect()).await?;
        for (alert, walk, _) in marks {
            let found = reply::members(reply::next(&mut values), "a run")?;
            if let Some(member) = found.into_iter().next() {
                let piece = row::read_piece(&member, walk == Walk::Inbox)?;
                let at = (alert, walk, piece.run.first);
                let stored = Stored { cell: Cell::read(piece), member: Some(member) };
                draft.pieces.entry(at).or_insert(stored);
            }
        }
        Ok(())
    }

    /// How far each journal reaches.
    pub(super) async fn tails(&self, partition: u16, run: Run) -> Result<ByLane<u64>, StoreError> {
        let space = self.space(partition);
        let fields = Lane::ALL.map(key::tail);
        let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
        let look = command("HMGET", &space.counters(), &fields);
        let (answer, _) = self.read_of(space, look, Some(run)).await?;
        let rows = reply::rows(answer, "tails of journals")?;
        let mut tails = ByLane::default();
        for (lane, row) in Lane::ALL.into_iter().zip(rows) {
            let row = row.as_deref().unwrap_or(b"0");
            tails[lane] =
                reply::digits(row).ok_or_else(|| reply::unexpected("the tail of a journal"))?;
        }
        Ok(tails)
    }
}

/// A message whose turn is not taken.
pub(in crate::store::redis) fn untaken() -> Held {
    Held { state: MessageState::accepted(Millis(0)), ordinal: None }
}

impl Draft {
    fn hold(&mut self, id: MessageId, held: Option<Held>) {
        if let Some(ordinal) = held.as_ref().and_then(|held| held.ordinal) {
            self.recipients.insert(id, ordinal);
        }
        self.states.insert(id, held.map(|held| Cell::read(held.state)));
    }
}
