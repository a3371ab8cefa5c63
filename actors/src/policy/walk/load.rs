//! A load: the deliveries of a route's walk that are on their way together,
//! and what becomes of each.
//!
//! Every delivery ends in exactly one of three ways: with an outcome, as a
//! straggler that is tried again later, or not yet, and then it goes again in
//! place. Which of the last two is the rule that keeps an outage from writing a
//! heap of retries: what is wrong with one delivery makes a straggler, what is
//! wrong with the route holds the load.

use std::time::Duration;

use super::{Landing, advanced, marks, raise, run};
use crate::domain::alert::Cursor;
use crate::domain::answer::Answer;
use crate::domain::delivery::Endpoint;
use crate::domain::effect::Effect;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::MessageId;
use crate::domain::ledger::{Mark, Straggler};
use crate::domain::outcome::Outcome;
use crate::domain::time::Millis;
use crate::policy::backoff::{self, RetryPolicy};
use crate::policy::turn::{self, Answered, Target};

/// Pauses of a load that goes again because its route fails. The breaker
/// decides how often the provider is asked; this only how soon the queue is
/// filled again.
const IN_PLACE: RetryPolicy =
    RetryPolicy { base: Duration::from_secs(2), max: Duration::from_secs(30), budget: u16::MAX };
/// Pause before deliveries that came back without an attempt go again: their
/// route was being restarted.
const RETURNED: Duration = Duration::from_millis(200);
/// Failures in place after which a delivery is taken to be what is wrong, if
/// the route has worked for others since the first of them.
const TROUBLES: u16 = 3;

/// One delivery of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whose it is.
    pub ordinal: u32,
    /// Where it goes.
    pub endpoint: Endpoint,
    /// Attempts before this load that count for its budget.
    pub retries: u16,
    troubles: u16,
    /// What the route had got through at the first of them.
    successes: u64,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Ended(Outcome),
    Straggles(Millis),
}

impl Item {
    /// A delivery to be attempted.
    #[must_use]
    pub const fn new(ordinal: u32, endpoint: Endpoint) -> Self {
        Self::with(ordinal, endpoint, 0, Fate::Open)
    }

    /// A delivery that waits for something else first.
    #[must_use]
    pub const fn later(ordinal: u32, endpoint: Endpoint, due: Millis) -> Self {
        Self::with(ordinal, endpoint, 0, Fate::Straggles(due))
    }

    /// Whether it is to be attempted (again).
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.fate, Fate::Open)
    }

    /// One that was wrong before: if it is again while the route works for
    /// others, it waits at once.
    const fn again(straggler: Straggler, successes: u64) -> Self {
        let Straggler { ordinal, endpoint, retries, .. } = straggler;
        let troubles = TROUBLES - 1;
        Self { troubles, successes, ..Self::with(ordinal, endpoint, retries, Fate::Open) }
    }

    const fn with(ordinal: u32, endpoint: Endpoint, retries: u16, fate: Fate) -> Self {
        Self { ordinal, endpoint, retries, troubles: 0, successes: 0, fate }
    }
}

/// What is needed to understand answers.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// The alert.
    pub alert: MessageId,
    /// When it expires.
    pub expires_at: Millis,
    /// How failures of the route are retried.
    pub retry: &'a RetryPolicy,
    /// Deliveries that the route got through so far, whosever they are.
    pub successes: u64,
    /// Now.
    pub now: Millis,
}

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The ordinals it visits; none: stragglers.
    stretch: Option<(u32, u32)>,
    items: Vec<Item>,
    retried: u64,
    /// Times it went again because the route failed.
    rounds: u16,
    troubled: bool,
    returned: bool,
}

impl Load {
    /// The deliveries to whoever is there from `from` up to `next`, in order.
    #[must_use]
    pub const fn stretch(from: u32, next: u32, items: Vec<Item>) -> Self {
        Self::of(Some((from, next)), items)
    }

    /// Deliveries tried again; `successes` is what the route has got through.
    #[must_use]
    pub fn stragglers(stragglers: Vec<Straggler>, successes: u64) -> Self {
        let again = |straggler| Item::again(straggler, successes);
        Self::of(None, stragglers.into_iter().map(again).collect())
    }

    const fn of(stretch: Option<(u32, u32)>, items: Vec<Item>) -> Self {
        Self { stretch, items, retried: 0, rounds: 0, troubled: false, returned: false }
    }

    /// Its deliveries.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Whether it has no delivery at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Places of the deliveries that are to be attempted (again).
    pub fn open(&self) -> impl Iterator<Item = usize> {
        let open = self.items.iter().enumerate().filter(|(_, item)| item.is_open());
        open.map(|(place, _)| place)
    }

    /// Whether no delivery is left to attempt.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.open().next().is_none()
    }

    /// A delivery ended.
    pub fn end(&mut self, place: usize, outcome: Outcome) {
        if let Some(item) = self.items.get_mut(place).filter(|item| item.is_open()) {
            item.fate = Fate::Ended(outcome);
        }
    }

    /// A delivery waits for something else first.
    pub fn delay(&mut self, place: usize, due: Millis) {
        if let Some(item) = self.items.get_mut(place).filter(|item| item.is_open()) {
            item.fate = Fate::Straggles(due);
        }
    }

    /// A delivery came back without an attempt: it goes again.
    pub const fn give_back(&mut self) {
        self.returned = true;
    }

    /// An attempt was answered, otherwise than by acceptance. Returns what else
    /// is to be stored. `unit` is a random number from 0 up to 1.
    pub fn answer(
        &mut self,
        place: usize,
        citizen: FiscalCode,
        target: Option<Target>,
        answer: Answer,
        answers: &Answers<'_>,
        unit: f64,
    ) -> Vec<Effect> {
        let Some(item) = self.items.get(place).filter(|item| item.is_open()) else {
            return Vec::new();
        };
        let answered = Answered {
            message: answers.alert,
            endpoint: item.endpoint,
            retries: item.retries,
            expires_at: answers.expires_at,
            target,
            answer,
        };
        let mut effects = turn::react(citizen, &answered, answers.retry, answers.now, unit);
        effects.retain(|effect| match effect {
            Effect::Settled { outcome, .. } => {
                self.end(place, *outcome);
                false
            }
            Effect::Deferred { due, retry, .. } => {
                self.defer(place, &answered.answer, *due, *retry, answers);
                false
            }
            _ => true,
        });
        effects
    }

    /// Decides between straggling and going again.
    fn defer(
        &mut self,
        place: usize,
        answer: &Answer,
        due: Millis,
        counts: bool,
        answers: &Answers<'_>,
    ) {
        let Some(item) = self.items.get_mut(place) else { return };
        self.retried += u64::from(counts);
        let own = match answer {
            Answer::RetryDelivery { .. } => true,
            Answer::RetryElsewhere { .. } if due <= answers.now => {
                // At once, over another connection; a few times only.
                item.retries = item.retries.saturating_add(1);
                return;
            }
            Answer::Halt { .. } => false,
            _ => {
                if item.troubles == 0 {
                    item.successes = answers.successes;
                }
                item.troubles = item.troubles.saturating_add(1);
                item.troubles >= TROUBLES && answers.successes > item.successes
            }
        };
        if own {
            item.retries = item.retries.saturating_add(1);
            item.fate = Fate::Straggles(due);
        } else {
            self.troubled = true;
        }
    }

    /// When what is open goes again, after everything of a round has come
    /// back. `unit` is a random number from 0 up to 1.
    pub fn again_at(&mut self, now: Millis, unit: f64) -> Millis {
        let wait = if std::mem::take(&mut self.troubled) {
            // At least half of the bound: a pause, and never two loads alike.
            let bound = backoff::delay(&IN_PLACE, self.rounds, None, 1.0);
            self.rounds = self.rounds.saturating_add(1);
            bound.mul_f64(0.5 + unit.clamp(0.0, 1.0) / 2.0)
        } else if self.returned {
            RETURNED
        } else {
            Duration::ZERO
        };
        self.returned = false;
        now.after(wait)
    }

    /// What is open becomes stragglers due at `due`.
    pub fn put_off(&mut self, due: Millis) {
        for item in self.items.iter_mut().filter(|item| item.is_open()) {
            item.fate = Fate::Straggles(due);
        }
    }

    /// Whatever has not ended ends so: the alert was stopped. Stragglers, too,
    /// for nobody looks after those of an alert that is final.
    pub fn give_up(&mut self, outcome: Outcome) {
        for item in self.items.iter_mut().filter(|item| !matches!(item.fate, Fate::Ended(_))) {
            item.fate = Fate::Ended(outcome);
        }
    }

    /// The step to store: `cursor` after this load, of which nothing is open.
    #[must_use]
    pub fn finish(self, cursor: &Cursor) -> Landing {
        match self.stretch {
            Some((from, next)) => self.finish_stretch(cursor, from, next),
            None => self.finish_stragglers(cursor),
        }
    }

    fn finish_stretch(self, cursor: &Cursor, from: u32, next: u32) -> Landing {
        let mut after = advanced(cursor, next);
        let mut marks = marks(from, next);
        let mut last = None;
        after.totals.retried += self.retried;
        for item in &self.items {
            after.recipients += u64::from(last != Some(item.ordinal));
            last = Some(item.ordinal);
            after.totals.planned += 1;
            raise(&mut marks, from, item.ordinal, item.record(&mut after));
        }
        Landing { cursor: after, run: run(from, marks), changed: Vec::new() }
    }

    fn finish_stragglers(self, cursor: &Cursor) -> Landing {
        let mut after = advanced(cursor, cursor.next);
        let mine = |one: &Straggler| {
            self.items.iter().any(|i| (i.ordinal, i.endpoint) == (one.ordinal, one.endpoint))
        };
        after.stragglers.retain(|one| !mine(one));
        after.totals.retried += self.retried;
        let mut changed: Vec<(u32, Mark)> = Vec::new();
        for item in &self.items {
            let mark = item.record(&mut after);
            match changed.iter_mut().find(|(ordinal, _)| *ordinal == item.ordinal) {
                Some((_, held)) => *held = mark.max(*held),
                None => changed.push((item.ordinal, mark)),
            }
        }
        // While another delivery of the same citizen waits, so does the mark.
        changed.retain(|(ordinal, mark)| {
            let waits = after.stragglers.iter().any(|one| one.ordinal == *ordinal);
            *mark == Mark::Delivered || !waits
        });
        Landing { cursor: after, run: None, changed }
    }
}

impl Item {
    /// Counts the delivery; returns its mark.
    fn record(&self, cursor: &mut Cursor) -> Mark {
        match self.fate {
            Fate::Ended(outcome) => {
                cursor.totals.end(outcome);
                Mark::of(outcome)
            }
            Fate::Open => self.wait(cursor, Millis(0)),
            Fate::Straggles(due) => self.wait(cursor, due),
        }
    }

    fn wait(&self, cursor: &mut Cursor, due: Millis) -> Mark {
        let Self { ordinal, endpoint, retries, .. } = *self;
        cursor.stragglers.push(Straggler { ordinal, endpoint, retries, due });
        Mark::Waiting
    }
}
