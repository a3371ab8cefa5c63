//! Due deliveries: the search for the next ones, and the count at opening.

use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::id::RouteId;
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Backlog, DueDelivery, StoreError};

use super::key::{self, DueKey};
use super::read::{Except, place};
use super::row::unreadable;
use super::shared::Shared;
use super::table::{Table, View};

/// What a search found, and when the first delivery after it is due.
pub(super) type Due = (Vec<DueDelivery>, Option<Millis>);

/// What to look for.
pub(super) struct Search {
    pub(super) partition: u16,
    pub(super) route: RouteId,
    pub(super) lane: Lane,
    pub(super) until: Millis,
    pub(super) limit: usize,
    pub(super) except: Except,
}

impl Shared {
    pub(super) fn due(&self, search: &Search) -> Result<Due, StoreError> {
        let Some(route) = self.routes.number(&search.route) else { return Ok((Vec::new(), None)) };
        let place = (search.partition, route, search.lane);
        self.floors.search(place, |begin| self.tables.view().due(search, route, begin))
    }

    /// Waiting deliveries of a partition, route by route, sorted by name.
    pub(super) fn backlogs(
        &self,
        view: &View<'_>,
        partition: u16,
    ) -> Result<Vec<Backlog>, StoreError> {
        let mut backlogs = Vec::new();
        for (route, number) in self.routes.all() {
            let mut pending = 0;
            for row in view.prefix(Table::Due, &key::due_route(partition, number)) {
                row?;
                pending += 1;
            }
            if pending > 0 {
                backlogs.push(Backlog { route, pending });
            }
        }
        backlogs.sort_by(|one, other| one.route.cmp(&other.route));
        Ok(backlogs)
    }
}

impl View<'_> {
    /// The search, and the first live entry it met.
    fn due(
        &self,
        search: &Search,
        route: u16,
        begin: Millis,
    ) -> Result<(Due, Option<Millis>), StoreError> {
        let (partition, lane) = (search.partition, search.lane);
        // One byte more than any key of the last instant.
        let mut to = [0xff; 48];
        to[..5].copy_from_slice(&key::due_lane(partition, route, lane));
        let from = key::due_from(partition, route, lane, begin);
        let (mut found, mut first) = (Vec::new(), None);
        for row in self.range(Table::Due, &from, &to) {
            let (at, _) = row?;
            let entry = DueKey::from_bytes(&at)
                .ok_or_else(|| unreadable(Table::Due, || format!("partition {partition}")))?;
            first.get_or_insert(entry.due);
            if search.except.contains(&(entry.message, entry.endpoint)) {
                continue;
            }
            if entry.due > search.until || found.len() == search.limit {
                return Ok(((found, Some(entry.due)), first));
            }
            found.push(self.delivery(partition, &entry)?);
        }
        Ok(((found, None), first))
    }

    fn delivery(&self, partition: u16, entry: &DueKey) -> Result<DueDelivery, StoreError> {
        let DueKey { lane, due, message: id, endpoint, .. } = *entry;
        let damaged = |what: &str| StoreError::Damaged(format!("{}: {what}", place(partition, id)));
        let message = self
            .message(partition, id)?
            .ok_or_else(|| damaged("a delivery is due, but the message is missing"))?;
        let state: MessageState = self.state(partition, &message)?;
        let waits = |one: &araldo_actors::domain::delivery::DeliveryRecord| {
            one.endpoint == endpoint && one.status.due() == Some(due)
        };
        if state.lane != lane || !state.deliveries.iter().any(waits) {
            return Err(damaged("a delivery is due that its state does not have waiting"));
        }
        let citizen = self.citizen(partition, &message.fiscal_code)?;
        Ok(DueDelivery { due, message, state, endpoint, citizen })
    }
}
