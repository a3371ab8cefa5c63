//! The server's books by channel, read from `/metrics` (Prometheus text format).
//!
//! Owns nothing. Only plain samples with labels are read, which is what the server writes for these counters.

use hyper::Method;
use serde::Serialize;

use super::{Stage, StageError};
use crate::client::Client;

/// The channels, by the names the metrics use.
pub const CHANNELS: [&str; 3] = ["in_app", "push", "email"];

/// Deliveries of one channel since the store was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChannelTotals {
    /// `in_app`, `push` or `email`.
    pub channel: &'static str,
    /// Planned.
    pub planned: u64,
    /// Taken by the provider, or stored in the inbox.
    pub delivered: u64,
    /// Given up, by the provider's word or after all attempts.
    pub failed: u64,
    /// Too late.
    pub expired: u64,
    /// Not wanted any more.
    pub cancelled: u64,
    /// Against the citizen's choice.
    pub suppressed: u64,
    /// Attempts repeated.
    pub retried: u64,
}

impl Stage {
    /// The books by channel, in the order of [`CHANNELS`].
    ///
    /// # Errors
    /// [`StageError::Client`].
    pub async fn channels(&self) -> Result<Vec<ChannelTotals>, StageError> {
        let mut client = Client::new(self.base_url(), None)?;
        let text = client.send(Method::GET, "/metrics", None, bytes::Bytes::new()).await?;
        let text = String::from_utf8_lossy(&text);
        Ok(CHANNELS.iter().map(|channel| totals(&text, channel)).collect())
    }
}

fn totals(text: &str, channel: &'static str) -> ChannelTotals {
    let own = ("channel", channel);
    let ended =
        |outcome| sample(text, "araldo_deliveries_ended_total", &[own, ("outcome", outcome)]);
    ChannelTotals {
        channel,
        planned: sample(text, "araldo_deliveries_planned_total", &[own]),
        delivered: ended("delivered"),
        failed: ended("failed"),
        expired: ended("expired"),
        cancelled: ended("cancelled"),
        suppressed: ended("suppressed"),
        retried: sample(text, "araldo_deliveries_retried_total", &[own]),
    }
}

/// The value of the sample with this name and all of these labels; 0 when there is none.
fn sample(text: &str, name: &str, labels: &[(&str, &str)]) -> u64 {
    let has = |line: &str| {
        labels.iter().all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
    };
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
    let found = lines.find(|rest| rest.starts_with('{') && has(rest));
    found.and_then(|rest| rest.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let text = "# HELP araldo_deliveries_planned_total x\n\
            araldo_deliveries_planned_total{channel=\"push\"} 7\n\
            araldo_deliveries_planned_total{channel=\"email\"} 5\n\
            araldo_deliveries_ended_total{channel=\"email\",outcome=\"failed\"} 2\n\
            araldo_deliveries_ended_total{channel=\"email\",outcome=\"delivered\"} 3\n";
        let email = totals(text, "email");
        assert_eq!((email.planned, email.delivered, email.failed, email.expired), (5, 3, 2, 0));
        assert_eq!(totals(text, "push").planned, 7);
        assert_eq!(totals(text, "in_app").planned, 0);
    }
}
