//! What must hold once everything is at rest: three sources that share no
//! code agree (the senders' answers, the simulators' books, the server's).

use std::collections::BTreeMap;
use std::time::Duration;

use araldo_loadtest::audit::{AuditReport, audit};
use araldo_loadtest::driver::Accepted;
use araldo_loadtest::morning::Expected;
use araldo_loadtest::simulator::Behaviour;
use serde_json::Value;

use super::load::{Driven, Registry};
use crate::stage_kit::Setting;

/// Every so many messages one is looked at by itself.
const SAMPLE: usize = 97;

/// What became of both.
pub struct Audits {
    pub push: AuditReport,
    pub mail: AuditReport,
}

/// Asserts everything but the duplicates, which the caller knows.
pub async fn judge(setting: &Setting, registry: &Registry, driven: &Driven) -> Audits {
    let status = setting.rest(Duration::from_secs(60)).await;
    assert_eq!((driven.refused, driven.gave_up), (0, 0), "{driven:?}");
    assert_eq!(driven.accepted.len() as u64, driven.sent, "{driven:?}");

    let behaviour = Behaviour::default();
    let message = |index| registry.morning.message(index);
    let pushes = |index| Some(registry.morning.expected_pushes(&message(index), &behaviour));
    let mails = |index| Some(registry.morning.expected_mails(&message(index)));
    let (pushed, mailed) = (setting.stage.records().await, setting.stage.mail_records().await);
    let push = audit(&driven.accepted, &pushed.unwrap(), pushes, Some(&status));
    let mail = audit(&driven.accepted, &mailed.unwrap(), mails, Some(&status));
    for report in [&push, &mail] {
        assert_eq!((report.lost, report.phantoms), (0, 0), "{report:?}");
        // A repetition under another id would be a delivery too many.
        let expected = report.expected_deliveries;
        assert_eq!((report.excess, report.delivered), (0, expected), "{report:?}");
        assert_eq!(report.distinct_ids, report.accepted, "one id for two messages: {report:?}");
        assert!(report.is_clean(), "{report:?}");
    }
    let audits = Audits { push, mail };
    compare_books(registry, driven, &audits, &status);
    setting.assert_conserved().await;
    for accepted in driven.accepted.iter().step_by(SAMPLE) {
        look_at(setting, registry, accepted.index, accepted.id).await;
    }
    audits
}

/// The server's totals are exactly those of the plan: each message ended once.
fn compare_books(registry: &Registry, driven: &Driven, audits: &Audits, status: &Value) {
    let mut plan: BTreeMap<&str, u64> = BTreeMap::new();
    for accepted in &driven.accepted {
        *plan.entry(end(registry.morning.message(accepted.index).expected).1).or_default() += 1;
    }
    let planned = |name: &str| plan.get(name).copied().unwrap_or(0);
    let messages = &status["messages"];
    assert_eq!(messages["accepted"], audits.push.accepted, "{status}");
    assert_eq!(messages["processed"], planned(""), "{status}");
    for reason in ["USER_NOT_FOUND", "SERVICE_NOT_ALLOWED"] {
        assert_eq!(messages["rejected_by_reason"][reason], planned(reason), "{reason}: {status}");
    }
    for none in ["expired", "recalled", "quarantined", "pending"] {
        assert_eq!(messages[none], 0, "{none}: {status}");
    }
    assert_eq!(status["delivered_by_channel"]["push"], audits.push.delivered, "{status}");
    assert_eq!(status["delivered_by_channel"]["email"], audits.mail.delivered, "{status}");
    assert_eq!(status["delivered_by_channel"]["in_app"], planned(""), "{status}");
    for none in ["failed", "expired", "cancelled", "pending"] {
        assert_eq!(status["deliveries"][none], 0, "{none}: {status}");
    }
    assert_eq!(status["deliveries"]["suppressed"], unwanted(registry, driven), "{status}");
}

/// Devices and addresses of citizens who took the message, but not by them.
fn unwanted(registry: &Registry, driven: &Driven) -> u64 {
    let endpoints = |accepted: &Accepted| {
        let message = registry.morning.message(accepted.index);
        let Expected::Processed { pushes, email } = message.expected else { return 0 };
        let citizen = registry.population.citizen(message.recipient);
        let devices = if pushes == 0 { citizen.devices.len() as u64 } else { 0 };
        devices + u64::from(citizen.email.is_some() && !email)
    };
    driven.accepted.iter().map(endpoints).sum()
}

/// Status and reason a message must end with.
const fn end(expected: Expected) -> (&'static str, &'static str) {
    match expected {
        Expected::UserNotFound => ("REJECTED", "USER_NOT_FOUND"),
        Expected::ServiceNotAllowed => ("REJECTED", "SERVICE_NOT_ALLOWED"),
        Expected::Processed { .. } => ("PROCESSED", ""),
    }
}

/// One message, as its sender reads it: ended, with every delivery delivered
/// that the citizen wants.
async fn look_at(setting: &Setting, registry: &Registry, index: u64, id: u128) {
    let message = registry.morning.message(index);
    let (status, reason) = end(message.expected);
    let body: Value = serde_json::from_str(&message.body).unwrap();
    let to = body["fiscal_code"].as_str().unwrap();
    let seen = setting.message(&registry.keys[message.service], to, id).await;
    assert_eq!(seen["status"], status, "message {index}");
    if !reason.is_empty() {
        assert_eq!(seen["rejection_reason"], reason, "message {index}");
    }
    assert_eq!(seen["message"]["content"]["subject"], body["content"]["subject"]);
    let pushed = matches!(message.expected, Expected::Processed { pushes: 1.., .. });
    let mailed = matches!(message.expected, Expected::Processed { email: true, .. });
    for delivery in seen["delivery"].as_array().unwrap() {
        let wanted = match delivery["channel"].as_str().unwrap() {
            "in_app" => true,
            "email" => mailed,
            _ => pushed,
        };
        let state = if wanted { "delivered" } else { "suppressed" };
        assert_eq!(delivery["state"], state, "message {index}");
    }
}
