//! Erasures: how a partition removes every row of a citizen without losing
//! count of anything (GDPR article 17).
//!
//! From the request on the citizen counts as unknown: arrivals are rejected,
//! queued attempts end, due ones do not start. Once every message accepted
//! before the request has had its turn and nothing of the citizen is in
//! flight, the journals are read no further for a moment, until every entry
//! read has had its turn stored; then the rows go, and the journals with them
//! up to there, in one step. So no journal entry is left that names a message
//! removed. A crash before that forgets the request, whose sender asks again.

use std::collections::HashMap;
use tokio::sync::oneshot;

use super::State;
use super::state::Outcomes;
use crate::domain::citizen::Citizen;
use crate::domain::data_request::{DataChoice, DataRequestStatus, Erasure};
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::lane::ByLane;
use crate::message::partition::{Erase, TooManyErasures};
use crate::port::store::{Backlog, StoreError};

/// Citizens waiting to be erased in one partition, and callers waiting for
/// that: callers come back, so few need to be held.
const MAX_WAITING: usize = 64;

type Answer = oneshot::Sender<Result<u64, TooManyErasures>>;

/// A citizen to be erased.
struct Waiting {
    /// Journal entries below this were accepted before the request.
    tails: ByLane<u64>,
    /// What the record calls the citizen.
    subject: [u8; 32],
    /// Only if the citizen's request is still pending.
    if_asked: bool,
    callers: Vec<Answer>,
}

/// Citizens to be erased.
#[derive(Default)]
pub(crate) struct Erasures(HashMap<FiscalCode, Waiting>);

impl Erasures {
    /// Whether `citizen` counts as unknown.
    pub(super) fn includes(&self, citizen: &FiscalCode) -> bool {
        self.0.contains_key(citizen)
    }

    fn callers(&self) -> usize {
        self.0.values().map(|waiting| waiting.callers.len()).sum()
    }

    /// Forgets callers that have given up; what they asked for is done
    /// nevertheless.
    fn forget_gone(&mut self) {
        for waiting in self.0.values_mut() {
            waiting.callers.retain(|caller| !caller.is_closed());
        }
    }

    fn is_full(&mut self) -> bool {
        self.forget_gone();
        self.0.len() >= MAX_WAITING || self.callers() >= MAX_WAITING
    }
}

/// Whether the citizen asked to be erased and did not take it back.
fn is_asked(citizen: &Citizen) -> bool {
    let request = citizen.data_requests.get(&DataChoice::Delete);
    request.is_some_and(|request| request.status == DataRequestStatus::Pending)
}

impl State {
    /// Begins to erase a citizen.
    pub(crate) async fn erase(&mut self, request: Erase) -> Outcomes {
        let Erase { citizen: code, subject, if_asked, done } = request;
        if self.erasures.is_full() {
            // The caller may have given up waiting.
            let _ = done.send(Err(TooManyErasures));
            return Ok(());
        }
        if if_asked && !self.context.store.citizen(code).await?.is_some_and(|c| is_asked(&c)) {
            let _ = done.send(Ok(0));
            return Ok(());
        }
        self.intake.learn_all(&self.context.handle().tails());
        let begun = Waiting { tails: self.intake.tails(), subject, if_asked, callers: Vec::new() };
        let waiting = self.erasures.0.entry(code).or_insert(begun);
        waiting.if_asked &= if_asked;
        waiting.callers.push(done);
        self.walks.renew(code, None);
        if let Some(active) = self.active.get_mut(&code) {
            active.cell.store(None);
            let behind = active.stile.withdraw();
            self.hold_back(code, behind);
        }
        self.read().await
    }

    /// The record of a citizen as turns and attempts shall see it.
    pub(super) async fn record(&self, code: FiscalCode) -> Result<Option<Citizen>, StoreError> {
        if self.erasures.includes(&code) {
            return Ok(None);
        }
        self.context.store.citizen(code).await
    }

    /// Whether an erasure only waits for the turns of the entries in hand, so
    /// that none must be read now.
    pub(super) fn holds_reading(&self) -> bool {
        self.erasures.0.iter().any(|(code, waiting)| {
            self.intake.has_read(&waiting.tails)
                && self.active.get(code).is_none_or(|active| active.airborne == 0)
                && !self.walks.carries(*code)
        })
    }

    /// Erases whoever nothing is left of in memory.
    pub(crate) async fn finish_erasures(&mut self) -> Outcomes {
        let mut any = false;
        while let Some((code, waiting)) = self.next_erasure() {
            let erased = self.remove(code, &waiting).await?;
            any = true;
            for caller in waiting.callers {
                // It may have given up waiting.
                let _ = caller.send(Ok(erased));
            }
        }
        // Reading may have been held.
        if any { self.read().await } else { Ok(()) }
    }

    fn next_erasure(&mut self) -> Option<(FiscalCode, Waiting)> {
        if !self.intake.is_at_rest() {
            return None;
        }
        let is_ready = |(code, waiting): &(&FiscalCode, &Waiting)| {
            self.intake.is_done(&waiting.tails)
                && !self.active.contains_key(code)
                && !self.walks.carries(**code)
        };
        let code = self.erasures.0.iter().find(is_ready).map(|(code, _)| *code)?;
        self.erasures.0.remove_entry(&code)
    }

    /// Removes the rows of a citizen of whom nothing is in memory, unless the
    /// request was taken back. Returns the number of messages removed.
    async fn remove(&mut self, code: FiscalCode, waiting: &Waiting) -> Result<u64, StoreError> {
        let store = &self.context.store;
        let citizen = store.citizen(code).await?;
        if waiting.if_asked && !citizen.as_ref().is_some_and(is_asked) {
            return Ok(0);
        }
        let now = self.now();
        let asked = citizen.and_then(|citizen| {
            citizen.data_requests.get(&DataChoice::Delete).map(|request| request.created_at)
        });
        let record = Erasure {
            subject: waiting.subject,
            requested_at: asked.unwrap_or(now),
            erased_at: now,
            messages: 0,
        };
        let marks = self.intake.marks();
        let erased = store.erase(self.context.id, self.epoch, code, marks, record).await?;
        self.intake.stored(&marks);
        for Backlog { route, pending } in &erased.cancelled {
            match self.routes.iter_mut().find(|book| book.id == *route) {
                Some(book) => book.cancelled(*pending),
                None => self.unrouted = self.unrouted.saturating_sub(*pending),
            }
        }
        // Falls are counted by message: which were the citizen's is not known
        // any more. The others get their tries once more.
        self.panics.clear();
        self.metrics.erasures.increment(1);
        // Sessions opened before have nothing to read any more.
        self.context.revoke(code);
        Ok(erased.messages)
    }
}
