//! Alerts through the sender API: sent, looked at, waited for.
//!
//! Owns nothing. What an alert's answer holds is read as far as a judge needs it.

use std::time::Duration;

use hyper::header::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{Stage, StageError};
use crate::client::Client;
use crate::simulator::clock::unix_us;

/// Between two looks at an alert's status.
const LOOK: Duration = Duration::from_millis(100);

/// An alert the server has answered 201 for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentAlert {
    /// Its ULID as a number, as the simulators' records carry it.
    pub id: u128,
    /// Unix microseconds when the answer was read.
    pub at_us: u64,
}

/// An alert as `GET /api/v1/alerts/{id}` shows it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct AlertState {
    /// `running`, `paused`, `completed`, `cancelled` or `expired`.
    pub status: String,
    /// When it was accepted.
    pub accepted_at: Option<jiff::Timestamp>,
    /// Last change of the status: its end, once it has ended.
    pub updated_at: Option<jiff::Timestamp>,
    /// How far it is.
    #[serde(default)]
    pub progress: AlertProgress,
}

/// How far an alert is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct AlertProgress {
    /// Citizens the inbox walk has visited.
    pub citizens: u64,
    /// Citizens to visit.
    pub of: u64,
    /// Those in the audience.
    pub recipients: u64,
    /// The inbox walk, and one for each route.
    pub walks: Vec<WalkState>,
}

/// One walk through the citizens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct WalkState {
    /// `inbox`, or the name of the route.
    pub walk: String,
    /// Delivered.
    pub delivered: u64,
    /// Given up.
    pub failed: u64,
    /// Too late.
    pub expired: u64,
    /// Stopped.
    pub cancelled: u64,
    /// Against a choice.
    pub suppressed: u64,
    /// Waiting for another try.
    pub pending: u64,
    /// Attempts repeated.
    pub retried: u64,
}

impl AlertState {
    /// Whether nothing of it will change any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "cancelled" | "expired")
    }

    /// Seconds from its acceptance to its end, by the server's clock; none before the end.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let (start, end) = (self.accepted_at?, self.updated_at?);
        self.has_ended().then(|| end.duration_since(start).as_secs_f64())
    }

    /// A walk by its name.
    #[must_use]
    pub fn walk(&self, name: &str) -> Option<&WalkState> {
        self.progress.walks.iter().find(|walk| walk.walk == name)
    }

    /// Delivered by all routes together, the inbox not counted.
    #[must_use]
    pub fn delivered_by_routes(&self) -> u64 {
        let routes = self.progress.walks.iter().filter(|walk| walk.walk != "inbox");
        routes.map(|walk| walk.delivered).sum()
    }
}

impl Stage {
    /// Sends an alert.
    ///
    /// # Errors
    /// [`StageError::Client`] with the server's answer.
    pub async fn send_alert(
        &self,
        key: &HeaderValue,
        alert: &Value,
    ) -> Result<SentAlert, StageError> {
        let mut client = Client::sender(self.base_url(), key.clone())?;
        let answer = client.post("/api/v1/alerts", alert).await?;
        let at_us = unix_us();
        let id = answer["id"].as_str().and_then(|text| ulid::Ulid::from_string(text).ok());
        let id = id.ok_or_else(|| StageError::Other("an alert without a ULID".to_owned()))?;
        Ok(SentAlert { id: u128::from(id), at_us })
    }

    /// Where an alert stands.
    ///
    /// # Errors
    /// [`StageError::Client`] with the server's answer.
    pub async fn alert(
        &self,
        key: &HeaderValue,
        alert: SentAlert,
    ) -> Result<AlertState, StageError> {
        let mut client = Client::sender(self.base_url(), key.clone())?;
        let path = format!("/api/v1/alerts/{}", ulid::Ulid::from(alert.id));
        let view = client.get(&path).await?;
        serde_json::from_value(view).map_err(|error| StageError::Other(format!("alert: {error}")))
    }

    /// Waits until an alert has ended, looking ten times a second; gives its last state either way. A server that does not
    /// answer is asked again.
    ///
    /// # Errors
    /// [`StageError::Client`] when it never answered within the limit.
    pub async fn wait_alert(
        &self,
        key: &HeaderValue,
        alert: SentAlert,
        limit: Duration,
        mut on_state: impl FnMut(&AlertState),
    ) -> Result<AlertState, StageError> {
        let deadline = Instant::now() + limit;
        loop {
            let asked = self.alert(key, alert).await;
            if let Ok(state) = &asked {
                on_state(state);
                if state.has_ended() {
                    return asked;
                }
            }
            if Instant::now() >= deadline {
                return asked;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_view_is_read_and_its_duration_is_the_servers_own() {
        let view = json!({"id": "x", "status": "completed", "lane": "bulk",
            "accepted_at": "2026-01-01T10:00:00.250Z", "updated_at": "2026-01-01T10:00:10.750Z",
            "progress": {"citizens": 3, "of": 3, "recipients": 3, "walks": [
                {"walk": "inbox", "channel": "in_app", "visited": 3, "end": 3, "delivered": 3, "failed": 0, "expired": 0,
                 "cancelled": 0, "suppressed": 0, "pending": 0, "retried": 0},
                {"walk": "apple", "channel": "push", "visited": 3, "end": 3, "delivered": 2, "failed": 1, "expired": 0,
                 "cancelled": 0, "suppressed": 0, "pending": 0, "retried": 0}]}});
        let state: AlertState = serde_json::from_value(view).unwrap();
        assert!((state.seconds().unwrap() - 10.5).abs() < 1e-9);
        assert_eq!((state.delivered_by_routes(), state.walk("apple").unwrap().failed), (2, 1));
        assert!(!AlertState { status: "paused".to_owned(), ..state }.has_ended());
    }
}
