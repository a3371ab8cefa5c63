//! Metrics of alerts. By walk, which is the inbox or a configured route, never
//! by alert: the gauges are sums over the alerts under way, and each walk
//! takes back what it added when it goes.

use metrics::{Counter, Gauge, counter, gauge};
use std::sync::Arc;

use super::{
    ALERTS, ALERTS_OLDEST, WALK_END, WALK_ENDED, WALK_FLYING, WALK_RECIPIENTS, WALK_RETRIED,
    WALK_STRAGGLERS, WALK_VISITED,
};
use crate::domain::alert::{Cursor, Walk};
use crate::domain::books::DeliveryTotals;
use crate::domain::time::Millis;

/// Handles of the board's metrics.
pub(crate) struct AlertMetrics {
    running: Gauge,
    paused: Gauge,
    oldest: Gauge,
}

impl AlertMetrics {
    pub(crate) fn new() -> Self {
        Self {
            running: gauge!(ALERTS, "status" => "running"),
            paused: gauge!(ALERTS, "status" => "paused"),
            oldest: gauge!(ALERTS_OLDEST),
        }
    }

    /// Shows how many alerts are under way, and since when the oldest is.
    pub(crate) fn open(&self, running: usize, paused: usize, oldest: Option<Millis>) {
        self.running.set(running as f64);
        self.paused.set(paused as f64);
        self.oldest.set(oldest.map_or(0.0, |at| at.0 as f64 / 1_000.0));
    }
}

/// Handles of one kind of walk's metrics, looked up once for each partition.
pub(crate) struct WalkMetrics {
    visited: Gauge,
    end: Gauge,
    stragglers: Gauge,
    flying: Gauge,
    delivered: Counter,
    failed: Counter,
    expired: Counter,
    cancelled: Counter,
    suppressed: Counter,
    retried: Counter,
    recipients: Counter,
}

impl WalkMetrics {
    pub(crate) fn new(walk: &Walk) -> Self {
        let name = match walk {
            Walk::Inbox => "inbox".to_owned(),
            Walk::Route(route) => route.as_str().to_owned(),
        };
        let walk = || name.clone();
        let ended =
            |outcome: &'static str| counter!(WALK_ENDED, "walk" => walk(), "outcome" => outcome);
        Self {
            visited: gauge!(WALK_VISITED, "walk" => walk()),
            end: gauge!(WALK_END, "walk" => walk()),
            stragglers: gauge!(WALK_STRAGGLERS, "walk" => walk()),
            flying: gauge!(WALK_FLYING, "walk" => walk()),
            delivered: ended("delivered"),
            failed: ended("failed"),
            expired: ended("expired"),
            cancelled: ended("cancelled"),
            suppressed: ended("suppressed"),
            retried: counter!(WALK_RETRIED, "walk" => walk()),
            recipients: counter!(WALK_RECIPIENTS, "walk" => walk()),
        }
    }

    /// Begins to show a walk.
    pub(crate) fn show(self: &Arc<Self>, cursor: &Cursor, end: u32) -> ShownWalk {
        let shown = ShownWalk {
            metrics: Arc::clone(self),
            visited: f64::from(cursor.next),
            end: f64::from(end),
            stragglers: cursor.stragglers.len() as f64,
            flying: 0.0,
        };
        self.visited.increment(shown.visited);
        self.end.increment(shown.end);
        self.stragglers.increment(shown.stragglers);
        shown
    }
}

/// What one walk adds to the gauges; takes it back when dropped.
pub(crate) struct ShownWalk {
    metrics: Arc<WalkMetrics>,
    visited: f64,
    end: f64,
    stragglers: f64,
    flying: f64,
}

fn move_to(gauge: &Gauge, shown: &mut f64, now: f64) {
    gauge.increment(now - *shown);
    *shown = now;
}

impl ShownWalk {
    /// The walk went on from `before` to `after`, which is stored.
    pub(crate) fn stepped(&mut self, before: &Cursor, after: &Cursor) {
        let Self { metrics, visited, stragglers, .. } = self;
        move_to(&metrics.visited, visited, f64::from(after.next));
        move_to(&metrics.stragglers, stragglers, after.stragglers.len() as f64);
        metrics.recipients.increment(after.recipients.saturating_sub(before.recipients));
        let (was, is) = (&before.totals, &after.totals);
        let add = |counter: &Counter, of: fn(&DeliveryTotals) -> u64| {
            counter.increment(of(is).saturating_sub(of(was)));
        };
        add(&metrics.delivered, |totals| totals.delivered);
        add(&metrics.failed, |totals| totals.failed);
        add(&metrics.expired, |totals| totals.expired);
        add(&metrics.cancelled, |totals| totals.cancelled);
        add(&metrics.suppressed, |totals| totals.suppressed);
        add(&metrics.retried, |totals| totals.retried);
    }

    /// This many deliveries are on their way.
    pub(crate) fn flying(&mut self, count: usize) {
        move_to(&self.metrics.flying, &mut self.flying, count as f64);
    }
}

impl Drop for ShownWalk {
    fn drop(&mut self) {
        self.metrics.visited.decrement(self.visited);
        self.metrics.end.decrement(self.end);
        self.metrics.stragglers.decrement(self.stragglers);
        self.metrics.flying.decrement(self.flying);
    }
}
