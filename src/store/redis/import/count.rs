//! Counting what was taken in: every key must have as many rows as were given.
//!
//! The source is read a second time. Its rows come in the order of the keys they
//! were put under, so that one number is enough for most of them; keys that
//! rows of all kinds of places go to are as many as partitions.

use std::collections::HashMap;

use araldo_actors::port::store::StoreError;
use redis::Cmd;

use super::super::{RedisStore, reply};
use super::{BLOCK, Target, command, walk_name};
use crate::store::migrate::row::Row;
use crate::store::redis::key::Space;

/// Keys counted with one question.
const AT_ONCE: usize = 256;

/// A key does not have the rows it was given.
#[derive(Debug)]
pub(in crate::store) struct Miscounted {
    /// Its name, without whose it is.
    pub(in crate::store) key: String,
    pub(in crate::store) given: u64,
    pub(in crate::store) found: u64,
}

struct Counted {
    partition: Option<u16>,
    key: String,
    with: &'static str,
    rows: u64,
}

/// Counts rows as they are read again.
#[derive(Default)]
pub(in crate::store) struct Counter {
    /// Of the key the last row was for.
    last: Option<Counted>,
    /// Of keys to which rows come out of order.
    scattered: HashMap<String, Counted>,
    /// Keys whose rows were all read.
    whole: Vec<Counted>,
}

impl Counter {
    /// Counts a row.
    pub(in crate::store) async fn add(
        &mut self,
        target: &Target,
        partition: u16,
        row: &Row,
    ) -> Result<Option<Miscounted>, StoreError> {
        let Some(counted) = counted(&target.store, partition, row) else { return Ok(None) };
        if matches!(row, Row::Claim { .. } | Row::Erasure(_)) {
            let same = self.scattered.entry(counted.key.clone());
            same.or_insert(Counted { rows: 0, ..counted }).rows += 1;
            return Ok(None);
        }
        match &mut self.last {
            Some(last) if last.key == counted.key => last.rows += 1,
            last => self.whole.extend(last.replace(counted)),
        }
        if self.whole.len() < AT_ONCE { Ok(None) } else { self.compare(target).await }
    }

    /// Compares what is left.
    pub(in crate::store) async fn finish(
        mut self,
        target: &Target,
    ) -> Result<Option<Miscounted>, StoreError> {
        self.whole.extend(self.last.take());
        self.whole.extend(self.scattered.drain().map(|(_, counted)| counted));
        self.compare(target).await
    }

    async fn compare(&mut self, target: &Target) -> Result<Option<Miscounted>, StoreError> {
        let store = &target.store;
        let mut by_space: HashMap<Option<u16>, Vec<Counted>> = HashMap::new();
        for counted in self.whole.drain(..) {
            by_space.entry(counted.partition).or_default().push(counted);
        }
        for (partition, keys) in by_space {
            let space = partition.map_or(&store.all, |partition| store.space(partition));
            for some in keys.chunks(AT_ONCE) {
                let found = count(store, space, some).await?;
                let mut pairs = some.iter().zip(found);
                if let Some((counted, found)) = pairs.find(|(one, found)| one.rows != *found) {
                    let key = kind_of(&counted.key);
                    return Ok(Some(Miscounted { key, given: counted.rows, found }));
                }
            }
        }
        Ok(None)
    }
}

async fn count(
    store: &RedisStore,
    space: &Space,
    keys: &[Counted],
) -> Result<Vec<u64>, StoreError> {
    let questions: Vec<Cmd> = keys.iter().map(|one| command(one.with, &one.key, &[])).collect();
    let answers = store.read(space, questions).await?;
    answers.map(|answer| reply::count(answer, "how many rows there are")).collect()
}

/// The name of a key up to whom or what it is about.
fn kind_of(key: &str) -> String {
    let name = key.rsplit_once("}:").map_or(key, |(_, name)| name);
    let kind = name.split(':').next().unwrap_or(name);
    key.strip_suffix(name).map_or_else(|| kind.to_owned(), |begin| format!("{begin}{kind}"))
}

/// The key a row is put under, and how its rows are counted.
fn counted(store: &RedisStore, partition: u16, row: &Row) -> Option<Counted> {
    let space = store.space(partition);
    let number = |hash: &[u8]| {
        let there = store.by_hash(hash);
        let found = store.spaces.iter().position(|space| space.slot() == there.slot());
        found.and_then(|place| u16::try_from(place).ok())
    };
    let mut of = Some(partition);
    let (key, with) = match row {
        Row::Registered(..) => {
            of = None;
            (store.all.registry(), "HLEN")
        }
        Row::Alert(_) => {
            of = None;
            (store.all.alerts(), "HLEN")
        }
        Row::Claim { scope, .. } => {
            of = number(scope);
            (store.by_hash(scope).claims(), "HLEN")
        }
        Row::Erasure(record) => {
            of = number(&record.subject);
            (store.by_hash(&record.subject).erasures(), "HLEN")
        }
        Row::Counters(_) => return None,
        Row::Citizen(..) => (space.citizens(), "HLEN"),
        Row::Ordinal(..) => (space.index(), "HLEN"),
        Row::Message(..) => (space.messages(), "HLEN"),
        Row::State(..) => (space.states(), "HLEN"),
        Row::Entry(entry) => (space.journal(entry.lane), "XLEN"),
        Row::Due(due) => (space.due(&due.route, due.lane), "ZCARD"),
        Row::Inbox(ordinal, _) => (space.inbox(*ordinal), "ZCARD"),
        Row::Change { ordinal, .. } => (space.changes(*ordinal), "ZCARD"),
        Row::Addressed(code, _) => (space.addressed(code), "ZCARD"),
        Row::Cursor(alert, ..) => (space.cursors(*alert), "HLEN"),
        Row::Piece(alert, walk, _) => (space.ledger(*alert, walk_name(walk)), "ZCARD"),
        Row::Shown(block, ..) => (space.shown(block.saturating_mul(BLOCK)), "ZCARD"),
    };
    Some(Counted { partition: of, key, with, rows: 1 })
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn a_key_is_named_without_whose_it_is() {
        assert_eq!(kind_of("a:{p7}:addressed:RSSMRA85T10A562S"), "a:{p7}:addressed");
        assert_eq!(kind_of("a:{p7}:messages"), "a:{p7}:messages");
    }
}
