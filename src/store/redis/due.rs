//! Due deliveries: the search for the next ones.

use araldo_actors::domain::delivery::{DeliveryRecord, Endpoint};
use araldo_actors::domain::id::{MessageId, PartitionId, RouteId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{DueDelivery, StoreError};
use std::collections::HashSet;

use super::RedisStore;
use super::reply;
use super::row;

/// Entries read at once.
const PAGE: usize = 1_000;
/// Searches before an entry without its delivery is damage: a step may have
/// removed both between two reads.
const LOOKS: usize = 3;

/// What to look for.
pub(super) struct Search<'a> {
    pub(super) partition: PartitionId,
    pub(super) route: &'a RouteId,
    pub(super) lane: Lane,
    pub(super) until: Millis,
    pub(super) limit: usize,
    pub(super) except: &'a [(MessageId, Endpoint)],
}

/// A due entry.
struct Entry {
    message: MessageId,
    endpoint: Endpoint,
    ordinal: u32,
}

impl RedisStore {
    pub(super) async fn search_due(
        &self,
        search: &Search<'_>,
    ) -> Result<(Vec<DueDelivery>, Option<Millis>), StoreError> {
        let mut looks = 0;
        loop {
            looks += 1;
            match self.look_for_due(search).await {
                Err(StoreError::Damaged(_)) if looks < LOOKS => {}
                found => return found,
            }
        }
    }

    async fn look_for_due(
        &self,
        search: &Search<'_>,
    ) -> Result<(Vec<DueDelivery>, Option<Millis>), StoreError> {
        let space = self.check(search.partition)?;
        let except: HashSet<_> = search.except.iter().copied().collect();
        let key = space.due(search.route, search.lane);
        let (mut found, mut next, mut rank) = (Vec::new(), None, 0);
        while next.is_none() {
            // The excepted are the oldest, so that they are in the way first.
            let wanted = search.limit.saturating_add(except.len()) + 1;
            let page = wanted.saturating_sub(rank).clamp(16, PAGE);
            let mut look = redis::cmd("ZRANGE");
            look.arg(&key).arg(rank).arg(rank + page - 1).arg("WITHSCORES");
            let entries = reply::scored(self.read_one(space, look).await?, "due entries")?;
            let last = entries.len() < page;
            for (member, due) in entries {
                let (message, endpoint, ordinal) =
                    row::read_due(&member).ok_or_else(|| reply::unexpected("a due entry"))?;
                if except.contains(&(message, endpoint)) {
                    continue;
                }
                if Millis(due) > search.until || found.len() == search.limit {
                    next = Some(Millis(due));
                    break;
                }
                found.push(Entry { message, endpoint, ordinal });
            }
            if last {
                break;
            }
            rank += page;
        }
        Ok((self.deliveries(search, found).await?, next))
    }

    async fn deliveries(
        &self,
        search: &Search<'_>,
        entries: Vec<Entry>,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let partition = search.partition.0;
        let ids: Vec<MessageId> = entries.iter().map(|entry| entry.message).collect();
        let ordinals: Vec<u32> = entries.iter().map(|entry| entry.ordinal).collect();
        let messages = self.stored_messages(partition, &ids).await?;
        let citizens = self.by_ordinal(partition, &ordinals).await?;
        let mut deliveries = Vec::with_capacity(entries.len());
        for ((entry, found), citizen) in entries.into_iter().zip(messages).zip(citizens) {
            let damaged = |what: &str| {
                let id = entry.message;
                StoreError::Damaged(format!("partition {partition}, message {id}: {what}"))
            };
            let (message, held) =
                found.ok_or_else(|| damaged("a delivery is due, but the message is missing"))?;
            let (state, endpoint) = (held.state, entry.endpoint);
            let waits = |one: &DeliveryRecord| {
                one.endpoint == endpoint && one.route.as_ref() == Some(search.route)
            };
            let due =
                state.deliveries.iter().find(|one| waits(one)).and_then(|one| one.status.due());
            let due = due.filter(|_| state.lane == search.lane);
            let due = due
                .ok_or_else(|| damaged("a delivery is due that its state does not have waiting"))?;
            deliveries.push(DueDelivery { due, message, state, endpoint, citizen });
        }
        Ok(deliveries)
    }
}
