//! The inbox walk: takes the turn of each citizen who has come into its way,
//! in place and under `catch_unwind`, and puts the alert into the inboxes of
//! those in the audience.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{State, Which};
use crate::actor::partition::state::Outcomes;
use crate::domain::ledger::Mark;
use crate::message::batch::{Cohort, Passenger};
use crate::policy::walk;
use crate::port::store::StoreError;

impl State {
    /// A step of the inbox walk of the alert at this place.
    pub(super) async fn visit_inboxes(&mut self, alert: usize, limit: usize) -> Outcomes {
        let walks = &self.walks.alerts[alert];
        let (from, end) = (walks.inbox.next, walks.end);
        let running = Arc::clone(&walks.running);
        let visit = self.context.store.visit(self.context.id, from, end, limit, None).await?;
        check(from, visit.next)?;
        let service = self.context.world.directory.service(&running.alert.service);
        let now = self.now();
        let mut judged = Vec::with_capacity(visit.citizens.len());
        let mut passengers = Vec::with_capacity(visit.citizens.len());
        for (ordinal, citizen) in visit.citizens {
            if self.erasures.includes(&citizen.fiscal_code) {
                continue;
            }
            let (alert, members) = (&running.alert, &running.members);
            let turn = || walk::judge(alert, members, &citizen, service.as_deref(), now);
            // A turn that fails must not stop the walk for all others.
            let mark = catch_unwind(AssertUnwindSafe(turn)).unwrap_or_else(|_| {
                self.metrics.panics.increment(1);
                Mark::Failed
            });
            judged.push((ordinal, mark));
            if mark == Mark::Delivered {
                passengers.push(Passenger::new(ordinal, citizen));
            }
        }
        let landing = walk::publish(&self.walks.alerts[alert].inbox, visit.next, &judged);
        let cohort = Arc::new(Cohort { from, next: visit.next, passengers });
        self.step(alert, Which::Inbox, landing, Vec::new(), Some(cohort));
        Ok(())
    }
}

/// A visit that gets nowhere would be repeated for ever.
pub(super) fn check(from: u32, next: u32) -> Result<(), StoreError> {
    if next > from {
        Ok(())
    } else {
        Err(StoreError::Damaged(format!("a visit from ordinal {from} ended at {next}")))
    }
}
