//! The two sources of an inbox, merged in the order of places.
//!
//! Each is read some rows at a time. An alert whose marks changed has a row of
//! its own at the same place, which says all that the index says: the index's
//! is dropped.

use redis::Cmd;
use std::cmp::Ordering;
use std::collections::VecDeque;

use araldo_actors::domain::inbox::InboxEntry;
use araldo_actors::port::store::StoreError;

use super::{Owner, unmarked};
use crate::store::ledger::Shown;
use crate::store::redis::{RedisStore, key, reply, row};

/// Rows read at first, and at most, from one source at once. More each time:
/// who looks far back in a block with many alerts passes over many that are not
/// the citizen's.
const FIRST_ROWS: usize = 32;
const MOST_ROWS: usize = 1_024;

/// One source: rows read ahead, and where to go on.
struct Source<T> {
    ahead: VecDeque<T>,
    /// What is left to be read, both ends included; none: nothing.
    left: Option<(u64, u64)>,
    rows: usize,
}

impl<T> Source<T> {
    const fn new(left: Option<(u64, u64)>) -> Self {
        Self { ahead: VecDeque::new(), left, rows: FIRST_ROWS }
    }

    /// What to ask for the next rows of `key`; none when there are some, or
    /// none are left.
    fn look(&self, key: &str, upward: bool) -> Option<Cmd> {
        let (from, to) = self.left.filter(|_| self.ahead.is_empty())?;
        let (from, to) = (key::place(from), key::place(to));
        let mut look = redis::cmd("ZRANGE");
        look.arg(key);
        if upward {
            look.arg(from).arg(to).arg("BYSCORE");
        } else {
            look.arg(to).arg(from).arg("BYSCORE").arg("REV");
        }
        look.arg("LIMIT").arg(0).arg(self.rows).arg("WITHSCORES");
        Some(look)
    }

    /// Notes what was read: `count` rows, the last of them at `last`.
    fn note(&mut self, count: usize, last: Option<u64>, upward: bool) {
        let more = last.filter(|_| count >= self.rows);
        self.left = self.left.zip(more).and_then(|((from, to), last)| {
            let left =
                if upward { (last.checked_add(1)?, to) } else { (from, last.checked_sub(1)?) };
            (left.0 <= left.1).then_some(left)
        });
        self.rows = (self.rows * 2).min(MOST_ROWS);
    }
}

/// See the module's text.
pub(super) struct Merge {
    owner: Owner,
    upward: bool,
    own: Source<InboxEntry>,
    alerts: Source<Shown>,
}

impl Merge {
    /// Entries at places `from` to `to`, both included, the lowest first if
    /// `upward`; with alerts that have no row of their own, or without.
    pub(super) const fn new(owner: Owner, range: (u64, u64), upward: bool, alerts: bool) -> Self {
        let alerts = if alerts { Some(range) } else { None };
        Self { owner, upward, own: Source::new(Some(range)), alerts: Source::new(alerts) }
    }

    /// The next entry; `limit` is how many will be asked for at most.
    pub(super) async fn next(
        &mut self,
        store: &RedisStore,
        limit: usize,
    ) -> Result<Option<InboxEntry>, StoreError> {
        loop {
            self.read_ahead(store, limit).await?;
            let order = match (self.own.ahead.front(), self.alerts.ahead.front()) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(own), Some(shown)) => {
                    let order = own.sequence.cmp(&shown.publication.sequence);
                    if self.upward { order } else { order.reverse() }
                }
            };
            match order {
                Ordering::Less => return Ok(self.own.ahead.pop_front()),
                Ordering::Equal => drop(self.alerts.ahead.pop_front()),
                Ordering::Greater => {
                    if let Some(shown) = self.alerts.ahead.pop_front().filter(|one| one.member) {
                        return Ok(Some(unmarked(shown.alert, &shown.publication)));
                    }
                }
            }
        }
    }

    /// Reads on where nothing is read ahead, in one question.
    async fn read_ahead(&mut self, store: &RedisStore, limit: usize) -> Result<(), StoreError> {
        let (partition, ordinal) = self.owner;
        let space = store.space(partition);
        self.own.rows = self.own.rows.min(limit.clamp(1, MOST_ROWS));
        let own = self.own.look(&space.inbox(ordinal), self.upward);
        let alerts = self.alerts.look(&space.shown(ordinal), self.upward);
        let (reads_own, reads_alerts) = (own.is_some(), alerts.is_some());
        if !reads_own && !reads_alerts {
            return Ok(());
        }
        let looks = own.into_iter().chain(alerts).collect();
        let mut values = store.read(space, looks).await?;
        if reads_own {
            let rows = reply::scored(reply::next(&mut values), "an inbox")?;
            self.own.note(rows.len(), rows.last().map(|(_, at)| *at), self.upward);
            for (member, at) in rows {
                self.own.ahead.push_back(row::read_inbox(at, &member)?);
            }
        }
        if reads_alerts {
            let rows = reply::scored(reply::next(&mut values), "alerts of an inbox")?;
            self.alerts.note(rows.len(), rows.last().map(|(_, at)| *at), self.upward);
            for (member, at) in rows {
                let shown = Shown::read(at, &member, ordinal);
                let shown = shown.ok_or_else(|| reply::unexpected("alerts of an inbox"))?;
                self.alerts.ahead.push_back(shown);
            }
        }
        Ok(())
    }
}
