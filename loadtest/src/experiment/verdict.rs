//! The audit of an experiment that sent messages: what every one of them must say of lost, invented and doubled.
//!
//! Pure.

use serde_json::Value;

use super::{ExperimentError, Outcome, as_f64};
use crate::audit::{AuditReport, audit};
use crate::driver::DriveReport;
use crate::experiment::house::House;
use crate::simulator::Record;

/// Every citizen has one device: each message is one push.
pub(super) async fn judge(
    house: &House,
    driven: &DriveReport,
    status: &Value,
    outcome: &mut Outcome,
) -> Result<(AuditReport, Vec<Record>), ExperimentError> {
    let records = house.stage.records().await?;
    let report = audit(&driven.accepted, &records, |_| Some(1), Some(status));
    outcome.count("messages accepted", report.accepted);
    outcome.found("accepted a second", driven.accepted_per_second(), 0, None);
    outcome.count("tries after the first", driven.retries);
    outcome.none("lost", report.lost);
    outcome.none("delivered under a second id", report.excess);
    outcome.none("delivered and never accepted", report.phantoms);
    outcome.none("ids given twice", report.accepted - report.distinct_ids);
    outcome.none("refused for good", driven.refused);
    outcome.none("fate unknown to the sender", driven.gave_up);
    if let Some(server) = &report.server {
        outcome.none(
            "accepted by the server's books, beyond",
            server.accepted.abs_diff(report.accepted),
        );
        outcome.none("messages unaccounted for", server.unaccounted_messages.unsigned_abs());
        outcome.none("deliveries unaccounted for", server.unaccounted_deliveries.unsigned_abs());
        let delivered = server.delivered_push.abs_diff(report.delivered);
        outcome.none("delivered by the server's books, beyond the providers'", delivered);
    }
    let latency = report.latency;
    outcome.found("accepted to first arrival, median, ms", latency.p50_ms, 1, None);
    outcome.found("accepted to first arrival, 99 of 100, ms", latency.p99_ms, 1, None);
    Ok((report, records))
}

/// What crashes may repeat: `most` in all and, if there are messages enough to say so, one in a thousand.
pub(super) fn repeated(outcome: &mut Outcome, duplicates: u64, delivered: u64, most: u64) {
    /// Below it a single window is more than one in a thousand.
    const ENOUGH: u64 = 500_000;
    outcome.at_most("repeated at a provider, against the windows", duplicates, most);
    let share = as_f64(duplicates) * 100.0 / as_f64(delivered.max(1));
    let limit = (delivered >= ENOUGH).then_some(super::Limit::AtMost(0.1));
    outcome.found("repeated, percent", share, 4, limit);
}
