//! The audit: what the driver was told against what the simulators saw and what the server says of itself.
//!
//! Owns nothing; three sources that share no code are joined by message id, one channel at a time: pushes by `apns-id` or
//! FCM's delivery id, mails by Message-ID, each with the records of its own simulators. *Lost*: a push or mail that the
//! published rules call for and that never arrived. *Excess*: one beyond those called for, under an id of its own.
//! *Duplicate*: a delivery accepted more than once by a provider. *Phantom*: an arrival of a message nobody was told was
//! accepted. Memory: about 64 bytes a message and a delivery while it runs.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::driver::Accepted;
use crate::simulator::Record;

/// The result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditReport {
    /// Messages the driver got a 201 for.
    pub accepted: u64,
    /// Different message ids among them; fewer would mean one id for two messages.
    pub distinct_ids: u64,
    /// Pushes (or mails) the rules call for.
    pub expected_deliveries: u64,
    /// Different deliveries at the simulators, of these messages.
    pub delivered: u64,
    /// Those called for that never arrived.
    pub lost: u64,
    /// Messages with at least one lost.
    pub messages_with_losses: u64,
    /// Deliveries beyond those called for.
    pub excess: u64,
    /// Accepts beyond the first of the same delivery.
    pub duplicates: u64,
    /// Deliveries of messages nobody was told about.
    pub phantoms: u64,
    /// Messages that arrived before the sender had read the 201; their latency counts as 0.
    pub arrived_before_answer: u64,
    /// From the 201 to the first arrival at a provider, per message.
    pub latency: Latency,
    /// What the server says, compared.
    pub server: Option<ServerCheck>,
}

/// A distribution in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Values in it.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 99 in 100 are not above.
    pub p99_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

impl Latency {
    /// Reads a histogram of microseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a run")]
    pub fn of_us(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let ms = |us: u64| us as f64 / 1_000.0;
        Self {
            count: histogram.len(),
            p50_ms: ms(histogram.value_at_quantile(0.5)),
            p99_ms: ms(histogram.value_at_quantile(0.99)),
            max_ms: ms(histogram.max()),
        }
    }
}

/// The server's own books beside ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCheck {
    /// `messages.accepted`.
    pub accepted: u64,
    /// `messages.pending`.
    pub messages_pending: u64,
    /// `deliveries.pending`.
    pub deliveries_pending: u64,
    /// `messages.rejected`.
    pub rejected: u64,
    /// `delivered_by_channel.push`.
    pub delivered_push: u64,
    /// `delivered_by_channel.email`.
    #[serde(default)]
    pub delivered_email: u64,
    /// `unaccounted.messages`; 0 when the first law of conservation holds.
    pub unaccounted_messages: i64,
    /// `unaccounted.deliveries`; 0 when the second law holds.
    pub unaccounted_deliveries: i64,
}

impl ServerCheck {
    /// Reads the answer of `GET /api/operator/v1/status`; absent numbers count as 0.
    #[must_use]
    pub fn read(status: &Value) -> Self {
        let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let signed = |pointer: &str| status.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
        Self {
            accepted: number("/messages/accepted"),
            messages_pending: number("/messages/pending"),
            deliveries_pending: number("/deliveries/pending"),
            rejected: number("/messages/rejected"),
            delivered_push: number("/delivered_by_channel/push"),
            delivered_email: number("/delivered_by_channel/email"),
            unaccounted_messages: signed("/unaccounted/messages"),
            unaccounted_deliveries: signed("/unaccounted/deliveries"),
        }
    }
}

impl AuditReport {
    /// Whether no accept came twice but those whose answer a simulator withheld (`lost_answers` of its books) or that a
    /// crash explains, `others` at most.
    #[must_use]
    pub const fn repeats_are_explained(&self, lost_answers: u64, others: u64) -> bool {
        self.duplicates <= lost_answers + others
    }

    /// Whether nothing is missing, doubled or invented. Duplicates are judged apart: a crash may cause some.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let server = self.server.as_ref().is_none_or(|server| {
            server.unaccounted_messages == 0 && server.unaccounted_deliveries == 0
        });
        self.lost == 0
            && self.phantoms == 0
            && self.excess == 0
            && self.distinct_ids == self.accepted
            && server
    }
}

struct Seen {
    index: u64,
    at_us: u64,
    arrivals: u32,
    first_us: u64,
}

/// Joins the sources. `expected` says for an index how many pushes the rules call for; `None` where it is not known
/// (then neither loss nor excess is judged for it).
#[must_use]
pub fn audit(
    accepted: &[Accepted],
    records: &[Record],
    expected: impl Fn(u64) -> Option<u32>,
    status: Option<&Value>,
) -> AuditReport {
    let mut seen: HashMap<u128, Seen> = HashMap::with_capacity(accepted.len());
    for message in accepted {
        seen.entry(message.id).or_insert(Seen {
            index: message.index,
            at_us: message.at_us,
            arrivals: 0,
            first_us: u64::MAX,
        });
    }
    let mut report = AuditReport {
        accepted: accepted.len() as u64,
        distinct_ids: seen.len() as u64,
        server: status.map(ServerCheck::read),
        ..AuditReport::default()
    };
    for record in records {
        report.duplicates += u64::from(record.accepted.saturating_sub(1));
        match seen.get_mut(&record.message) {
            Some(message) => {
                message.arrivals += 1;
                message.first_us = message.first_us.min(record.first_accept_us);
                report.delivered += 1;
            }
            None => report.phantoms += 1,
        }
    }
    let mut latency = Histogram::new_with_bounds(1, 3_600_000_000, 3).ok();
    for message in seen.values() {
        judge(message, expected(message.index), &mut report);
        if message.arrivals > 0 {
            if message.first_us < message.at_us {
                report.arrived_before_answer += 1;
            }
            if let Some(latency) = &mut latency {
                latency.saturating_record(message.first_us.saturating_sub(message.at_us));
            }
        }
    }
    report.latency = latency.as_ref().map(Latency::of_us).unwrap_or_default();
    report
}

fn judge(message: &Seen, expected: Option<u32>, report: &mut AuditReport) {
    let Some(expected) = expected else {
        return;
    };
    report.expected_deliveries += u64::from(expected);
    let lost = expected.saturating_sub(message.arrivals);
    report.lost += u64::from(lost);
    report.messages_with_losses += u64::from(lost > 0);
    report.excess += u64::from(message.arrivals.saturating_sub(expected));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(index: u64, id: u128, at_us: u64) -> Accepted {
        Accepted { index, id, at_us }
    }

    fn arrival(delivery: u128, message: u128, first_accept_us: u64, accepted: u32) -> Record {
        Record { delivery, message, device: 0, first_accept_us, accepted }
    }

    #[test]
    fn a_complete_run_is_clean_and_its_latency_is_from_answer_to_arrival() {
        let accepted = [told(0, 10, 1_000), told(1, 11, 2_000), told(2, 12, 9_000)];
        let records =
            [arrival(1, 10, 3_000, 1), arrival(2, 10, 2_500, 1), arrival(3, 11, 1_500, 1)];
        let expected = |index| Some([2, 1, 0][usize::try_from(index).unwrap()]);
        let report = audit(&accepted, &records, expected, None);
        assert!(report.is_clean(), "{report:?}");
        assert_eq!((report.delivered, report.expected_deliveries), (3, 3));
        assert_eq!(report.arrived_before_answer, 1);
        assert_eq!(report.latency.count, 2);
        assert!((report.latency.max_ms - 1.5).abs() < 0.01);
    }

    #[test]
    fn losses_duplicates_phantoms_and_excess_are_found() {
        let accepted = [told(0, 10, 0), told(1, 11, 0), told(2, 12, 0), told(3, 12, 0)];
        let records = [
            arrival(1, 10, 1, 3),
            arrival(2, 11, 1, 1),
            arrival(3, 11, 1, 1),
            arrival(4, 99, 1, 1),
        ];
        let expected =
            |index| if index == 2 { None } else { Some([3, 1][usize::try_from(index).unwrap()]) };
        let status =
            json!({"messages": {"accepted": 4}, "unaccounted": {"messages": 1, "deliveries": -2}});
        let report = audit(&accepted, &records, expected, Some(&status));
        assert!(!report.is_clean());
        assert_eq!((report.lost, report.messages_with_losses, report.excess), (2, 1, 1));
        assert_eq!((report.duplicates, report.phantoms, report.distinct_ids), (2, 1, 3));
        assert!(report.repeats_are_explained(1, 1) && !report.repeats_are_explained(1, 0));
        let server = report.server.unwrap();
        assert_eq!(
            (server.accepted, server.unaccounted_messages, server.unaccounted_deliveries),
            (4, 1, -2)
        );
    }
}
