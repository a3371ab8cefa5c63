//! Falls: what a partition does when a citizen's actor panics.

use std::sync::Arc;

use super::State;
use super::active::Active;
use super::state::Outcomes;
use crate::domain::effect::Effect;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::outcome::{Failure, Outcome};
use crate::message::citizen::{CitizenMessage, Origin, Turn};

impl State {
    /// A citizen's actor panicked on the first of its inputs: rebuild it
    /// from the store and give it its inputs again, but for a message that
    /// has done this too often.
    pub(crate) async fn fell(&mut self, code: FiscalCode, incarnation: u64) -> Outcomes {
        let living = self.active.get(&code).map(|active| active.incarnation);
        if living != Some(incarnation) {
            return Ok(());
        }
        let Some(mut fallen) = self.active.remove(&code) else { return Ok(()) };
        self.metrics.panics.increment(1);
        let cell = Arc::clone(&fallen.cell);
        cell.store(self.record(code).await?);
        let mut active = Active::start(self.activation(code, cell)).await?;
        active.unsaved = fallen.unsaved;
        active.airborne = fallen.airborne;
        active.stile = std::mem::take(&mut fallen.stile);
        let mut inputs = std::mem::take(&mut fallen.inputs);
        let poisoned = inputs.front().is_some_and(|input| self.is_poisoned(input));
        let culprit = if poisoned { inputs.pop_front() } else { None };
        for input in inputs {
            active.give(input);
        }
        self.active.insert(code, active);
        if let Some(culprit) = culprit {
            self.save(code, set_aside(culprit));
        }
        Ok(())
    }

    /// Counts a fall against the message of `input`.
    fn is_poisoned(&mut self, input: &CitizenMessage) -> bool {
        let id = match input {
            CitizenMessage::Arrive { message, .. } | CitizenMessage::Due { message, .. } => {
                message.id
            }
            CitizenMessage::Answered { answered, .. } => answered.message,
        };
        let falls = self.panics.entry(id).or_default();
        *falls += 1;
        let poisoned = *falls >= self.context.limits.max_panics;
        if poisoned {
            self.panics.remove(&id);
        }
        poisoned
    }
}

/// The end of an input whose turn keeps failing.
fn set_aside(input: CitizenMessage) -> Turn {
    let outcome = Outcome::Failed(Failure::TurnFailed);
    let (origin, effect) = match input {
        CitizenMessage::Arrive { sequence, message } => {
            let reason = "its turn failed repeatedly".into();
            let effect = Effect::Quarantined { message: message.id, reason };
            (Origin::Arrival { lane: message.lane, sequence }, effect)
        }
        CitizenMessage::Due { message, endpoint, route, .. } => {
            let effect = Effect::Settled { message: message.id, endpoint, outcome };
            (Origin::Due { route, key: (message.id, endpoint) }, effect)
        }
        CitizenMessage::Answered { answered, route } => {
            let (message, endpoint) = (answered.message, answered.endpoint);
            let effect = Effect::Settled { message, endpoint, outcome };
            (Origin::Ticket { route, key: (message, endpoint) }, effect)
        }
    };
    Turn { origin, effects: vec![effect], attempts: Vec::new() }
}
