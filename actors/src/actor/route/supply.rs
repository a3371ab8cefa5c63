//! What a route may start: its part of the budget that all nodes share.
//!
//! Owns the purse and the one draw under way, which comes back as a message:
//! the actor never waits for it. A route without a rate owns nothing and asks
//! nobody. While no draw is answered nothing leaves beyond what is held; it is
//! asked again after a pause. If the route crashes, what it held is lost.

use futures_util::FutureExt;
use ractor::ActorRef;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

use crate::domain::id::RouteId;
use crate::message::route::RouteMessage;
use crate::policy::rate::{Purse, Rate};
use crate::port::budget::{Budget, Grant};
use crate::port::store::StoreError;

/// A draw that takes longer counts as failed.
const DRAWN_WITHIN: Duration = Duration::from_secs(2);
/// Between a draw that failed and the next.
const PAUSE: Duration = Duration::from_millis(200);

/// See the module's text.
pub(super) struct Supply {
    route: RouteId,
    myself: ActorRef<RouteMessage>,
    budget: Arc<dyn Budget>,
    /// None: no limit.
    purse: Option<Purse>,
    /// The draw under way, and at most one that has just come back.
    draws: JoinSet<()>,
    is_drawing: bool,
    /// How long the next draw waits.
    again: Duration,
    failed: bool,
}

impl Supply {
    pub(super) fn new(
        route: RouteId,
        myself: ActorRef<RouteMessage>,
        budget: Arc<dyn Budget>,
        rate: Option<Rate>,
    ) -> Self {
        let purse = rate.map(Purse::new);
        let (draws, again) = (JoinSet::new(), Duration::ZERO);
        Self { route, myself, budget, purse, draws, is_drawing: false, again, failed: false }
    }

    /// Whether one more attempt may start.
    pub(super) fn has_any(&self) -> bool {
        self.purse.is_none_or(|purse| purse.held() > 0)
    }

    /// One starts.
    pub(super) fn spend(&mut self) {
        if let Some(purse) = &mut self.purse {
            purse.spend();
        }
    }

    /// Draws, if there is need and no draw under way.
    pub(super) fn refill(&mut self) {
        let Some(purse) = &self.purse else { return };
        let (rate, want) = (purse.rate(), purse.wants());
        if want == 0 || self.is_drawing {
            return;
        }
        while self.draws.try_join_next().is_some() {}
        self.is_drawing = true;
        let (budget, route, wait) = (Arc::clone(&self.budget), self.route.clone(), self.again);
        let myself = self.myself.clone();
        self.draws.spawn(async move {
            tokio::time::sleep(wait).await;
            let draw = AssertUnwindSafe(budget.draw(&route, rate, want)).catch_unwind();
            let failed = |why: &str| Err(StoreError::Unavailable(why.to_owned()));
            let drawn = match tokio::time::timeout(DRAWN_WITHIN, draw).await {
                Ok(Ok(drawn)) => drawn,
                Ok(Err(_)) => failed("drawing panicked"),
                Err(_) => failed("no answer in time"),
            };
            // Fails only when the route is gone.
            let _ = myself.cast(RouteMessage::Drawn(drawn));
        });
    }

    /// A draw came back.
    pub(super) fn drawn(&mut self, drawn: Result<Grant, StoreError>) {
        self.is_drawing = false;
        match drawn {
            Ok(Grant { granted, again }) => {
                self.failed = false;
                self.again = again;
                if let Some(purse) = &mut self.purse {
                    purse.fill(granted);
                }
            }
            Err(error) => {
                if !self.failed {
                    tracing::warn!(route = %self.route, %error, "the route's budget cannot be drawn from");
                }
                self.failed = true;
                self.again = PAUSE;
            }
        }
    }
}
