//! What a route shows of itself.

use serde::{Deserialize, Serialize};

use super::id::RouteId;
use super::lane::ByLane;
use super::time::Millis;

/// State of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteState {
    /// At least one connection carries attempts.
    Up,
    /// No connection, or the breaker is open; messages wait.
    Down,
    /// The provider refuses our credentials or configuration; an operator
    /// must act.
    Halted,
}

/// What a route shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteView {
    /// Its name.
    pub id: RouteId,
    /// `apns`, `fcm`, `smtp`.
    pub kind: String,
    /// Its state.
    pub state: RouteState,
    /// Open connections.
    pub connections: usize,
    /// Deliveries in its queue and in flight.
    pub queued: usize,
    /// Since when the first one in its queue waits, by lane; none where none
    /// does.
    pub waits_since: ByLane<Option<Millis>>,
    /// Whether it is up, but the provider asked it to wait.
    pub is_paused: bool,
    /// Why it is not up, in one sentence; empty when it is.
    pub detail: String,
}
