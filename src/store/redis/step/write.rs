//! Putting what a step changed into a batch.

use araldo_actors::domain::alert::Walk;
use araldo_actors::domain::inbox::Marks;
use araldo_actors::port::store::StoreError;

use super::{Draft, Entry};
use crate::store::codec::encode;
use crate::store::effect::Cell;
use crate::store::redis::alert::walk_name;
use crate::store::redis::batch::{Batch, Place};
use crate::store::redis::key::{self, Space};
use crate::store::redis::owner::Owned;
use crate::store::redis::row::{self, Held};

impl Draft {
    /// Writes all that changed.
    pub(super) fn write(
        &self,
        space: &Space,
        owned: &Owned,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        batch.take(self.taken);
        self.write_states(space, batch)?;
        self.write_due(space, owned, batch);
        for (ordinal, place, message, at) in &self.entries {
            // Never marked: the place of the last change is 0.
            let entry = row::inbox(*message, *at, Marks::default());
            let member = [0_u64.to_be_bytes().as_slice(), &entry].concat();
            batch.add_at(&space.inbox(*ordinal), *place, &member);
        }
        for (block, place, shown) in &self.shown {
            batch.add_at(&space.shown(*block), *place, shown);
        }
        self.write_citizens(space, batch)?;
        self.write_walks(space, batch)?;
        if self.books != owned.books {
            let mut books = Vec::new();
            encode("books", &self.books, &mut books)?;
            batch.run("HSET", &space.counters(), &[b"books", &books]);
        }
        Ok(())
    }

    fn write_states(&self, space: &Space, batch: &mut Batch) -> Result<(), StoreError> {
        for (id, cell) in &self.states {
            let Some(Cell { value, changed: true }) = cell else { continue };
            let ordinal = self.recipients.get(id).copied();
            let row = Held { state: value.clone(), ordinal }.encode()?;
            let place = Place::of(value.published);
            batch.run_prefixed("HSET", &space.states(), &[&id.to_bytes()], (place, &row));
        }
        Ok(())
    }

    fn write_due(&self, space: &Space, owned: &Owned, batch: &mut Batch) {
        for (entry, due) in &self.due {
            let Entry { route, lane, published, message, endpoint } = entry;
            let (key, place) = (space.due(route, *lane), Place::of(*published));
            let Some(ordinal) = self.recipients.get(message) else { continue };
            let member = row::due(*message, *endpoint, *ordinal);
            if let Some(due) = due {
                if !owned.routes.contains(route) {
                    batch.run("SADD", &space.routes(), &[route.as_str().as_bytes()]);
                }
                let score = key::score(*due);
                batch.run_prefixed("ZADD", &key, &[score.as_bytes()], (place, &member));
            } else if matches!(place, Place::At(_)) {
                batch.run_prefixed("ZREM", &key, &[], (place, &member));
            }
        }
    }

    fn write_citizens(&self, space: &Space, batch: &mut Batch) -> Result<(), StoreError> {
        for record in self.citizens.values().filter(|record| record.cell.changed) {
            let ordinal = record.ordinal.to_be_bytes();
            batch.check_field(&space.citizens(), &ordinal, &record.before.to_be_bytes());
            let row = row::citizen(&record.cell.value)?;
            batch.run("HSET", &space.citizens(), &[&ordinal, &row]);
        }
        for ((due, code), live) in &self.deletions {
            if *live {
                let score = key::score(*due);
                batch.run("ZADD", &space.deletions(), &[score.as_bytes(), code.as_bytes()]);
            } else {
                batch.run("ZREM", &space.deletions(), &[code.as_bytes()]);
            }
        }
        for (address, holder) in &self.loose {
            batch.run("SADD", &space.loose(), &[&row::loose(*address, *holder)]);
        }
        Ok(())
    }

    fn write_walks(&self, space: &Space, batch: &mut Batch) -> Result<(), StoreError> {
        let mut buffer = Vec::new();
        for ((alert, walk), cell) in self.cursors.iter().filter(|(_, cell)| cell.changed) {
            encode("cursors", &cell.value, &mut buffer)?;
            let name = walk_name(walk);
            batch.run("HSET", &space.cursors(*alert), &[name.as_bytes(), &buffer]);
        }
        for ((alert, walk, first), stored) in &self.pieces {
            if !stored.cell.changed {
                continue;
            }
            let key = space.ledger(*alert, walk_name(walk));
            if let Some(member) = &stored.member {
                batch.run("ZREM", &key, &[member]);
            }
            let (piece, score) = (row::piece(&stored.cell.value), first.to_string());
            match (&stored.cell.value.publication, walk) {
                (Some(publication), Walk::Inbox) => {
                    let place = Place::of(publication.sequence);
                    batch.run_prefixed("ZADD", &key, &[score.as_bytes()], (place, &piece));
                }
                _ => batch.run("ZADD", &key, &[score.as_bytes(), &piece]),
            }
        }
        Ok(())
    }
}
